"""A settings file is read whole, with its units, or refused with every mistake at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bafl import units
from bafl.errors import SettingsError
from bafl.settings import BURN_ADDRESS, FederationSettings, NodeSettings
from bafl.types import NATIVE, Encoding, Role
from bafl.values import amounts, read_address

OWNER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


def write(folder: Path, text: str, name: str = "federation.toml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def refusal(path: Path, kind: type[FederationSettings | NodeSettings] = FederationSettings) -> str:
    with pytest.raises(SettingsError) as caught:
        kind.load(path)
    return str(caught.value)


def test_the_shortest_federation_file_gets_the_defaults_of_the_specification(
    tmp_path: Path,
) -> None:
    settings = FederationSettings.load(write(tmp_path, 'name = "a"\ntask.name = "digits"'))
    parameters = settings.parameters.resolve(OWNER)
    assert (parameters.window_size, parameters.min_updates, parameters.min_validators) == (16, 3, 4)
    assert (parameters.max_wait_s, parameters.unbonding_period_s) == (3600, 604_800)
    assert (parameters.min_stake_wei, parameters.reward_rate_wei) == (10**17, 0)
    assert (parameters.treasury, parameters.slash_sink) == (OWNER, BURN_ADDRESS)
    assert parameters.currency == NATIVE


def test_defaults_are_those_of_the_table_in_the_contracts_specification() -> None:
    """Reads the table itself, so that the two cannot drift apart."""
    text = Path("contracts/IFederation.sol").read_text("utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.strip().startswith("/// | ")]
    table = {row[1].strip(): (row[2].strip(), row[4].strip()) for row in rows[1:]}
    given = FederationSettings.model_validate(
        {"name": "a", "task": {"name": "digits"}}
    ).parameters.model_dump()
    assert len(table) == len(given)
    for camel, (unit, default) in table.items():
        key = "".join(f"_{c.lower()}" if c.isupper() else c for c in camel)
        if key in {"treasury", "slash_sink", "currency"}:
            continue
        if unit == "s" and default != "0":
            expected: object = units.parse_duration(default)
        elif unit == "money":
            expected = units.parse_money(default)
        elif unit == "bool":
            expected = default == "true"
        else:
            expected = int(default)
        assert given[key] == expected, key


def test_units_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"""
        name = "clinics"
        fund = "2 ether"
        [task]
        name = "heart"
        participants = 4
        alpha = 0.5
        [payload]
        encodings = ["int8"]
        size_limit = "2 MiB"
        [rule]
        name = "clipped-mean"
        clip_medians = 2
        server_rate_ppm = 900_000
        [metric]
        name = "AUC"
        [parameters]
        max_wait = "2min"
        commit_period = 0
        min_stake = "20 gwei"
        reward_rate = "0.36 ether/hour"
        treasury = "{OWNER.lower()}"
        """,
    )
    settings = FederationSettings.load(path)
    parameters = settings.parameters.resolve("0x" + "11" * 20)
    assert parameters.max_wait_s == 120
    assert parameters.commit_period_s == 0
    assert parameters.min_stake_wei == 20 * 10**9
    assert parameters.reward_rate_wei == 10**14
    assert parameters.treasury == OWNER
    assert settings.task.settings == {"participants": 4, "alpha": 0.5}
    assert settings.payload.encodings == (Encoding.INT8,)
    assert settings.payload.size_limit == 2 << 20
    assert settings.rule is not None
    assert settings.rule.parameters == {"clip_medians": 2, "server_rate_ppm": 900_000}
    assert settings.metric is not None
    assert settings.metric.direction == "higher"
    assert settings.fund == 2 * 10**18


def test_every_mistake_is_listed_with_key_value_and_remedy(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        nmae = "clinics"
        [task]
        name = "heart"
        layers = [1, 2]
        [payload]
        encodings = ["int9"]
        [parameters]
        windw_size = 5
        min_updates = 300
        max_wait = "15 minuts"
        min_stake = 0.1
        open = 1
        treasury = "0x70997970c51812dc3A010C7d01b50e0d17dc79C8"
        """,
    )
    text = refusal(path)
    assert text.startswith("federation.toml has 10 mistakes:")
    for expected in (
        "name is missing",
        "nmae = 'clinics': no such setting; did you mean 'name'?",
        "task.layers = [1, 2]: needs text, a number, true or false",
        "payload.encodings = ['int9']: has 'int9'; known are: float32, int8, topk; did you mean",
        "parameters.windw_size = 5: no such setting; did you mean 'window_size'?",
        "parameters.min_updates = 300: needs a whole number from 0 to 255",
        "parameters.max_wait = '15 minuts': needs a time in whole seconds, such as",
        "parameters.min_stake = 0.1: needs a unit, such as '0.1 ether'",
        "parameters.open = 1: needs to be a valid boolean",
        "has a checksum that does not fit",
    ):
        assert expected in text


def test_a_mistyped_address_is_told_by_its_checksum(tmp_path: Path) -> None:
    wrong = OWNER.replace("C8", "c8")
    path = write(tmp_path, f'federation = "{wrong}"', "node.toml")
    assert "checksum" in refusal(path, NodeSettings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = ", "is not TOML: Invalid value (at"),
        ("\xff", "is not TOML"),
        ("task = 5\nname='a'", "task = 5: needs to be a"),
        ("name='a'\ntask.name='digits'\ntask.entry='digits.py'", "needs 'package.module:function'"),
        (
            "name='a'\ntask.name='d'\nrule.name='r'\nrule.trim=0.5",
            "rule.trim = 0.5: needs a whole number",
        ),
        (
            "name='a'\ntask.name='d'\nparameters.min_stake='1000000000000 ether'",
            "can be stored",
        ),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in refusal(write(tmp_path, text))


def test_a_missing_or_binary_file_is_refused_by_name(tmp_path: Path) -> None:
    assert "there is no file" in refusal(tmp_path / "none.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "not text in UTF-8" in refusal(binary)
    assert "cannot read" in refusal(tmp_path)


def test_paths_of_a_node_file_are_relative_to_its_folder(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        rpc = "http://127.0.0.1:8545"
        store = "local:blocks"
        keystore = "keys/alice.json"
        password_file = "/etc/alice"
        roles = ["validator"]
        stake = "0.2 ether"
        task.participant = 3
        run.poll = "2s"
        run.encoding = "topk"
        run.fee_limit = "300 gwei"
        """,
        "alice.toml",
    )
    settings = NodeSettings.load(path)
    assert settings.store == f"local:{tmp_path}/blocks"
    assert settings.keystore == tmp_path / "keys" / "alice.json"
    assert settings.password_file == Path("/etc/alice")
    assert settings.home == tmp_path / "alice.home"
    assert settings.roles == Role.VALIDATOR
    assert settings.stake == units.read_amount("0.2 ether")  # of a currency that is not known yet
    assert settings.task.settings == {"participant": 3}
    assert settings.run.poll == 2
    assert settings.run.encoding == Encoding.TOPK
    assert settings.run.fee_limit == 300 * 10**9


@pytest.mark.parametrize("given", ['"300"', '"300 USDC"', "0.5", "-1", '"1 gwei/s"'])
def test_what_is_no_fee_limit_is_refused_with_an_example(tmp_path: Path, given: str) -> None:
    text = refusal(write(tmp_path, f"run.fee_limit = {given}", "node.toml"), NodeSettings)
    assert "run.fee_limit = " in text
    assert "gwei'" in text or "wei per gas" in text


def test_an_encoding_nobody_knows_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path, 'run.encoding = "top-k"', "node.toml")
    with pytest.raises(SettingsError, match="float32, int8, topk; did you mean 'topk'"):
        NodeSettings.load(path)
    path = write(tmp_path, "run.encoding = 2", "node.toml")
    with pytest.raises(SettingsError, match="needs one of"):
        NodeSettings.load(path)


def test_what_is_given_on_the_command_line_is_checked_alike(tmp_path: Path) -> None:
    settings = NodeSettings.load(write(tmp_path, 'rpc = "http://a:1"', "node.toml"))
    other = settings.replace("the command line", rpc="https://b/v2?key=1", chain_id=5, store=None)
    assert (other.rpc, other.chain_id, other.home) == ("https://b/v2?key=1", 5, settings.home)
    with pytest.raises(SettingsError, match="the command line has 2 mistakes"):
        settings.replace("the command line", rpc="b", chain_id=0)


def test_roles_and_url_say_what_is_allowed(tmp_path: Path) -> None:
    path = write(tmp_path, 'roles = ["trainr"]\nrpc = "localhost"\nhome = 5', "node.toml")
    text = refusal(path, NodeSettings)
    assert "needs a list of 'trainer', 'validator' or both" in text
    assert "needs an http:// or https:// address" in text
    assert "home = 5: needs a path in quotes" in text


def test_gateways_are_a_list_of_addresses_in_one_spelling(tmp_path: Path) -> None:
    text = """
        store = "local:blocks"
        gateways = ["https://ipfs.io/ipfs/", "http://127.0.0.1:8080", "https://ipfs.io"]
        """
    settings = NodeSettings.load(write(tmp_path, text, "node.toml"))
    assert settings.gateways == ("https://ipfs.io", "http://127.0.0.1:8080")
    assert settings.stores == (
        f"local:{tmp_path}/blocks",
        "gateway:https://ipfs.io",
        "gateway:http://127.0.0.1:8080",
    )
    other = settings.replace("the command line", gateways=("https://b",), store=None)
    assert other.stores == (f"local:{tmp_path}/blocks", "gateway:https://b")
    assert NodeSettings(gateways=("https://b",)).stores == ("gateway:https://b",)
    assert NodeSettings().stores == ()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('"https://a"', "gateways = 'https://a': needs a list of addresses"),
        ("[5]", "gateways = [5]: has 5, which is no address in quotes"),
        ('["https://a", "b:1"]', "has 'b:1', which needs an IPFS gateway's http:// or https://"),
        ('["file:///etc/passwd"]', "has 'file:///…', which needs"),
        ('["https://me:word@a"]', "without password"),
        ('["https://a:99999"]', "Port out of range"),
    ],
)
def test_a_gateway_that_is_no_address_is_named(tmp_path: Path, given: str, expected: str) -> None:
    assert expected in refusal(write(tmp_path, f"gateways = {given}", "node.toml"), NodeSettings)


def test_a_misspelt_gateway_setting_gets_the_right_name(tmp_path: Path) -> None:
    path = write(tmp_path, 'gateway = ["https://a"]\nrpc = "b"', "node.toml")
    text = refusal(path, NodeSettings)
    assert "did you mean 'gateways'?" in text
    assert "has 2 mistakes" in text


# --- a token as the currency ---

TOKEN = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
DOLLAR = units.Currency(TOKEN, "USDC", 6)
IN_TOKENS = f"""
name = "clinics"
fund = "1_000 USDC"
task.name = "heart"
[parameters]
reward_rate = "36 usdc/hour"
min_stake = "50.5 USDC"
currency = "{TOKEN}"
"""


def test_amounts_of_a_token_are_counted_once_the_token_is_known(tmp_path: Path) -> None:
    settings = FederationSettings.load(write(tmp_path, IN_TOKENS))
    parameters = settings.parameters.resolve(OWNER, DOLLAR)
    assert parameters.currency == TOKEN
    assert (parameters.min_stake_wei, parameters.reward_rate_wei) == (50_500_000, 10_000)
    assert settings.fund_in(DOLLAR) == 1_000_000_000


def test_amounts_of_another_currency_are_refused_all_at_once(tmp_path: Path) -> None:
    wrong = IN_TOKENS.replace("36 usdc", "36 gwei").replace("50.5 USDC", "50.5 ether")
    settings = FederationSettings.load(write(tmp_path, wrong))
    with pytest.raises(SettingsError) as caught:
        settings.parameters.resolve(OWNER, DOLLAR)
    assert "parameters.min_stake = '50.5 ether': needs an amount in USDC" in str(caught.value)
    assert "parameters.reward_rate = '36 gwei/hour': needs an amount in USDC" in str(caught.value)


@pytest.mark.parametrize("text", ["0.0000001 USDC", "-1 USDC", "1 USDT", "1 ether", "0.5 units"])
def test_what_is_no_amount_of_the_token_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^--stake = '.*': needs an amount"):
        amounts(DOLLAR, {"--stake": units.read_amount(text)})


def test_a_token_in_a_federation_that_names_none_is_a_mistake(tmp_path: Path) -> None:
    text = refusal(write(tmp_path, IN_TOKENS.replace("currency", "# currency")))
    for key in ("parameters.min_stake = '50.5 USDC'", "parameters.reward_rate", "fund"):
        assert key in text


def test_a_token_needs_a_stake_of_its_own_and_an_address(tmp_path: Path) -> None:
    text = refusal(write(tmp_path, IN_TOKENS.replace("min_stake", "# min_stake")))
    assert "needs a min_stake, such as '100 USDC'" in text
    text = refusal(write(tmp_path, IN_TOKENS.replace(TOKEN, "USDC")))
    assert "parameters.currency = 'USDC': needs an address" in text


def test_a_mistyped_address_is_not_mended_on_a_guess() -> None:
    right = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    wrong = right.replace("7970", "7971", 1)
    with pytest.raises(SettingsError, match="a typing error") as caught:
        read_address(wrong, "ADDRESS")
    assert str(caught.value).count("0x") == 1
    assert read_address(right.lower(), "ADDRESS") == right


@pytest.mark.parametrize(
    "url", ["http://localhost:85455555", "http://localhost:85a5", "http://[::1"]
)
def test_an_rpc_address_that_nothing_can_be_at_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match=r"rpc = .*such as 'http://127\.0\.0\.1:8545'"):
        NodeSettings.load(write(tmp_path, f'rpc = "{url}"', "node.toml"))
