"""A federation whose money is a token: the command line against a real one, on a real chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount

from bafl.chain import calls, errors
from bafl.chain.abi import Artifact, Interface
from bafl.chain.calls import Creation, Invitation
from bafl.chain.compile import compile_contracts
from bafl.chain.connection import Connection
from bafl.chain.currency import balance_of, pay, read_currency
from bafl.chain.deploy import Deployed, Support, deploy_federation, deploy_support
from bafl.chain.federation import Federation
from bafl.chain.sender import Sender
from bafl.cli import invitations
from bafl.devnet import Anvil
from bafl.types import NATIVE
from bafl.units import ETHER as NATIVE_CURRENCY
from bafl.units import Currency
from tests.e2e.chain_life import BOTH, GENESIS, Life, funded, parameters
from tests.e2e.test_cli import bafl, ok, refused
from tests.foreign import ForeignCall

ROOT = Path(__file__).parents[2]
UNIT = 10**6
GOOD = (300, 200, 100)
TOKENS = ("PlainToken", "FeeToken", "SilentToken")


@dataclass(frozen=True, slots=True)
class Token:
    """contracts/test/Tokens.sol on a chain."""

    artifact: Artifact
    address: str
    sender: Sender

    def do(self, name: str, *arguments: Any, sender: Sender | None = None) -> None:
        encoded = Interface(self.artifact.abi).encode(name, arguments)
        call: Any = ForeignCall(name, encoded, self.address)
        (sender or self.sender).send(call)

    def of(self, account: str) -> int:
        return balance_of(self.sender.connection, Currency(self.address, "PLAIN", 6), account)

    def allowance(self, owner: str, spender: str) -> int:
        abi = Interface(self.artifact.abi)
        data = abi.encode("allowance", (owner, spender))
        answer = self.sender.connection.call(self.address, data)
        return int(abi.decode("allowance", answer)[0])


@pytest.fixture(scope="module")
def artifacts() -> dict[str, Artifact]:
    file = ROOT / "contracts" / "test" / "Tokens.sol"
    return compile_contracts([file], TOKENS, modules=ROOT / "node_modules")


@pytest.fixture
def connection(own_anvil: Anvil) -> Iterator[Connection]:
    with Connection(own_anvil.url, patience_s=5) as opened:
        yield opened


@pytest.fixture
def owner(own_anvil: Anvil, connection: Connection) -> Sender:
    return Sender(connection, funded(own_anvil))


def make(artifacts: dict[str, Artifact], name: str, owner: Sender) -> Token:
    address = owner.send(Creation(name, artifacts[name].initcode({}))).contract
    assert address is not None
    return Token(artifacts[name], address, owner)


@pytest.fixture
def token(artifacts: dict[str, Artifact], owner: Sender) -> Token:
    return make(artifacts, "PlainToken", owner)


@dataclass
class Desk:
    """The command line of one account."""

    account: LocalAccount
    options: tuple[str, ...]

    @property
    def key(self) -> str:
        return "0x" + bytes(self.account.key).hex()

    def ok(self, *arguments: str) -> Any:
        return ok(*arguments, *self.options, BAFL_PRIVATE_KEY=self.key)

    def refused(self, code: int, *said: str, by: tuple[str, ...]) -> None:
        refused(code, *said, by=(*by, *self.options), BAFL_PRIVATE_KEY=self.key)


def federation_file(folder: Path, token: str, **changes: str) -> str:
    settings = {
        "min_stake": "50 PLAIN",
        "reward_rate": "3_600 plain/h",
        "fund": "1_000 PLAIN",
        **changes,
    }
    path = folder / "federation.toml"
    path.write_text(
        f"""
name = "bank"
fund = "{settings["fund"]}"
[task]
name = "softmax"
entry = "tests.e2e.federation.softmax:Softmax"
count = 4
index = 0
[parameters]
window_size = 3
max_wait = "60s"
commit_period = "60s"
reveal_period = "60s"
attest_period = "60s"
unbonding_period = "1h"
min_validators = 3
open = true
min_stake = "{settings["min_stake"]}"
reward_rate = "{settings["reward_rate"]}"
currency = "{token}"
""",
        "utf-8",
    )
    return str(path)


def test_a_federation_in_a_token_from_founding_to_leaving(
    own_anvil: Anvil, connection: Connection, owner: Sender, token: Token, tmp_path: Path
) -> None:
    file = federation_file(tmp_path, token.address)
    common = ("--rpc", own_anvil.url, "--store", f"local:{tmp_path / 'store'}")
    desk = Desk(owner.account, (*common, "--home", str(tmp_path / "owner")))

    # Without the money for the pool nothing is founded, and nothing paid.
    before = connection.balance(owner.address)
    desk.refused(3, "has 0 PLAIN and fund takes 1,000 PLAIN", by=("new", file))
    assert connection.balance(owner.address) == before
    token.do("mint", owner.address, 1_000 * UNIT)
    founded = desk.ok("new", file, "--json").json
    assert founded["currency"] == {"address": token.address, "symbol": "PLAIN", "decimals": 6}
    assert founded["fundWei"] == str(1_000 * UNIT)
    address = founded["federation"]
    federation = Federation(connection, address)
    assert federation.is_known_code
    assert federation.currency == Currency(token.address, "PLAIN", 6)
    assert federation.parameters.min_stake_wei == 50 * UNIT
    assert federation.parameters.reward_rate_wei == UNIT
    assert token.of(address) == federation.head().pool_wei == 1_000 * UNIT

    node = tmp_path / "node.toml"
    node.write_text('[task]\nentry = "tests.e2e.federation.softmax:Softmax"\n', "utf-8")
    where = (*common, "--federation", address, "-c", str(node))
    desks = [Desk(funded(own_anvil), where) for _ in range(4)]
    poor = desks[0].account.address
    desks[0].refused(3, f"{poor} has 0 PLAIN and join takes 50 PLAIN", by=("join",))
    for person in desks:
        token.do("mint", person.account.address, 60 * UNIT)
    desks[0].refused(
        2, "--stake = '50 ether': needs an amount in PLAIN", by=("join", "--stake", "50 ether")
    )
    # What the federation refuses is refused before anything is allowed.
    desks[0].refused(
        1,
        "a stake of 49 PLAIN is below the minimum of 50 PLAIN",
        by=("join", "--stake", "49 PLAIN"),
    )
    assert token.allowance(poor, address) == 0
    for person in desks:
        joined = person.ok("join")
        assert f"Allowing {address} to take 50 PLAIN." in joined.out
        assert "with 50 PLAIN at stake" in joined.out
        assert token.of(person.account.address) == 10 * UNIT
        assert token.allowance(person.account.address, address) == 0
    topped = desks[0].ok("join", "--top-up", "2.5 PLAIN", "--json").json
    assert topped["stakeWei"] == str(52_500_000)
    assert token.of(poor) == 7_500_000
    assert "the pool now has 1,001 PLAIN" in desks[1].ok("fund", "1 PLAIN").out
    assert token.of(address) == 1_001 * UNIT + 202_500_000

    people = [federation.sender(person.account) for person in desks]
    nowhere = Support(*[NATIVE] * 4)
    life = Life(
        own_anvil, connection, owner, nowhere, Deployed(address, founded["block"]), federation
    )
    owner.contract = address
    life.people = people
    life.window(GOOD)
    head = federation.head()
    assert head.version == 1
    assert head.pool_wei + head.credits_wei == 1_001 * UNIT
    assert head.credits_wei > 0

    status = desks[0].ok("status")
    assert f"currency    PLAIN, the token {token.address[:6]}" in status.out
    assert "with at least 50 PLAIN at stake" in status.out
    assert "52.5 PLAIN" in status.out
    assert "paying up to 3,600 PLAIN an hour" in status.out
    assert "ether" not in status.out
    told = desks[0].ok("status", "--json").json
    assert told["federation"]["currency"]["symbol"] == "PLAIN"
    assert told["participant"]["stakeWei"] == str(52_500_000)
    assert "PLAIN" in desks[0].ok("watch", "--once").out

    for person in desks:
        who = person.account.address
        credit, had = federation.participant(who).credit_wei, token.of(who)
        claimed = person.ok("claim")
        assert "PLAIN (fee" in claimed.out
        assert "ether)" in claimed.out
        assert token.of(who) == had + credit
        assert credit > 0
    assert federation.head().credits_wei == 0

    assert "52.5 PLAIN" in desks[0].ok("leave").out
    own_anvil.advance(3602)
    had = token.of(poor)
    assert "Left; 52.5 PLAIN of stake paid out" in desks[0].ok("leave").out
    assert token.of(poor) == had + 52_500_000
    closed = desk.ok("close", "--yes", "--federation", address, "--json").json
    assert token.of(owner.address) == int(closed["sweptPoolWei"]) > 0
    head = federation.head()
    assert token.of(address) == head.stakes_wei == 150 * UNIT
    assert connection.balance(address) == 0


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("0x" + "11" * 20, "parameters.currency: 0x" + "11" * 20 + " is no currency: there is no"),
        ("0x000000000000000000000000000000000000dEaD", "is no currency: there is no contract"),
    ],
)
def test_a_currency_that_is_not_there_is_refused(
    own_anvil: Anvil, owner: Sender, tmp_path: Path, token: str, said: str
) -> None:
    desk = Desk(owner.account, ("--rpc", own_anvil.url, "--store", f"local:{tmp_path}"))
    desk.refused(2, said, by=("new", federation_file(tmp_path, token)))


def test_a_contract_that_is_no_token_is_refused(
    own_anvil: Anvil, owner: Sender, tmp_path: Path, artifacts: dict[str, Artifact]
) -> None:
    desk = Desk(owner.account, ("--rpc", own_anvil.url, "--store", f"local:{tmp_path}"))
    other = deploy_support(owner).registry
    file = federation_file(tmp_path, other)
    desk.refused(2, "it does not answer as an ERC-20 token does", by=("new", file))
    # A token without decimals and symbol can be paid with, but no client can tell how much it is.
    silent = make(artifacts, "SilentToken", owner)
    file = federation_file(tmp_path, silent.address)
    desk.refused(2, "it does not answer as an ERC-20 token does", by=("new", file))


def test_amounts_in_ether_are_refused_where_the_currency_is_a_token(
    own_anvil: Anvil, owner: Sender, token: Token, tmp_path: Path
) -> None:
    desk = Desk(owner.account, ("--rpc", own_anvil.url, "--store", f"local:{tmp_path}"))
    file = federation_file(tmp_path, token.address, min_stake="50 ether", reward_rate="1 gwei/s")
    desk.refused(2, "parameters.min_stake = '50 ether': needs an amount in PLAIN", by=("new", file))


def test_a_fund_that_fails_is_told_with_the_address_and_added_the_next_time(
    own_anvil: Anvil, owner: Sender, tmp_path: Path, artifacts: dict[str, Artifact]
) -> None:
    token = make(artifacts, "FeeToken", owner)
    file = federation_file(tmp_path, token.address)
    common = ("--rpc", own_anvil.url, "--store", f"local:{tmp_path / 'store'}")
    desk = Desk(owner.account, (*common, "--home", str(tmp_path / "owner")))
    token.do("mint", owner.address, 1_000 * UNIT)
    token.do("setFee", 10_000, False)
    failed = bafl("new", file, *desk.options, BAFL_PRIVATE_KEY=desk.key)
    assert failed.code == 1
    address = failed.err.split('"bank" is at ')[1].split(",")[0]
    assert "its pool has no 1,000 PLAIN yet: run `bafl new` again" in failed.err
    token.do("setFee", 0, False)
    again = desk.ok("new", file)
    assert f'Founded before: "bank" at {address}' in again.out
    assert token.of(address) == 1_000 * UNIT


# --- paying, through `bafl.chain` ---


def deployed(owner: Sender, support: Support, currency: str, **changes: object) -> Federation:
    changed = parameters(owner.address, currency=currency, min_stake_wei=50 * UNIT, **changes)
    made = deploy_federation(owner, support, owner.address, GENESIS, changed, bytes(32))
    return Federation(owner.connection, made.address)


def test_only_what_is_missing_is_allowed(
    own_anvil: Anvil, connection: Connection, owner: Sender, token: Token
) -> None:
    federation = deployed(owner, deploy_support(owner), token.address)
    person = federation.sender(funded(own_anvil))
    token.do("mint", person.address, 500 * UNIT)
    heard: list[str] = []
    # Enough is allowed already: nothing is sent, and what is over stays.
    token.do("approve", federation.address, 80 * UNIT, sender=person)
    pay(federation, person, calls.join(BOTH, 50 * UNIT), heard.append)
    assert not heard
    assert token.allowance(person.address, federation.address) == 30 * UNIT
    # Too little is: it is set to what is taken.
    pay(federation, person, calls.top_up(40 * UNIT), heard.append)
    assert heard == [f"Allowing {federation.address} to take 40 PLAIN."]
    assert token.allowance(person.address, federation.address) == 0
    assert federation.participant(person.address).stake_wei == 90 * UNIT
    with pytest.raises(
        errors.InsufficientTokens, match=r"has 410 PLAIN and fund takes 410\.5 PLAIN"
    ):
        pay(federation, person, calls.fund(410_500_000))
    assert token.allowance(person.address, federation.address) == 0
    # Money that comes along the wrong way is refused in the token's words.
    with pytest.raises(errors.WrongAmount, match=r"0\.000007 PLAIN came along where 0 PLAIN"):
        person.sign(calls.top_up(7))


def test_a_token_that_takes_a_fee_is_refused_by_name(
    own_anvil: Anvil, owner: Sender, artifacts: dict[str, Artifact]
) -> None:
    token = make(artifacts, "FeeToken", owner)
    federation = deployed(owner, deploy_support(owner), token.address)
    person = federation.sender(funded(own_anvil))
    token.do("mint", person.address, 100 * UNIT)
    token.do("setFee", 10_000, False)
    with pytest.raises(errors.WrongAmount, match=r"49\.5 PLAIN came along where 50 PLAIN"):
        pay(federation, person, calls.join(BOTH, 50 * UNIT))
    token.do("setFee", 0, False)
    pay(federation, person, calls.join(BOTH, 50 * UNIT))
    assert federation.participant(person.address).stake_wei == token.of(federation.address)


def test_a_federation_whose_token_is_gone_can_still_be_looked_at(
    own_anvil: Anvil, connection: Connection, owner: Sender, token: Token
) -> None:
    federation = deployed(owner, deploy_support(owner), token.address)
    connection.request("anvil_setCode", [token.address, "0x"])
    again = Federation(connection, federation.address)
    assert again.currency == Currency(token.address, "units", 0)
    assert again.currency.format(7) == "7 units"
    with pytest.raises(errors.NotACurrency, match="there is no contract"):
        read_currency(connection, token.address)


def test_native_money_needs_no_allowance(own_anvil: Anvil, owner: Sender) -> None:
    federation = deployed(owner, deploy_support(owner), NATIVE)
    assert federation.currency == NATIVE_CURRENCY
    person = federation.sender(funded(own_anvil))
    pay(federation, person, calls.join(BOTH, 50 * UNIT))
    assert own_anvil_balance(owner.connection, federation.address) == 50 * UNIT


def own_anvil_balance(connection: Connection, address: str) -> int:
    return balance_of(connection, NATIVE_CURRENCY, address)


# --- an owner that is a contract ---

COUNCIL = "6004355f5414631626ba7e60e01b025f5260205ff3"
"""Takes for its signature whatever comes with the digest in its slot 0."""


def test_the_invitation_of_an_owner_that_is_a_contract_is_passed_on(
    own_anvil: Anvil, connection: Connection, owner: Sender, tmp_path: Path
) -> None:
    council = "0x00000000000000000000000000000000C0C0C0C0"
    connection.request("anvil_setCode", [council, "0x" + COUNCIL])
    support = deploy_support(owner)
    terms = parameters(owner.address, open=False)
    made = deploy_federation(owner, support, council, GENESIS, terms, bytes(32))
    federation = Federation(connection, made.address)
    guest = funded(own_anvil)
    desk = Desk(
        guest,
        *[
            (
                "--rpc",
                own_anvil.url,
                "--federation",
                federation.address,
                "--store",
                f"local:{tmp_path}",
                "--home",
                str(tmp_path / "guest"),
            )
        ],
    )
    given = Invitation(guest.address, BOTH, 7, 2**40, 0, b"")
    path = tmp_path / "invitation.json"
    invitations.write(path, federation.chain_id, federation.address, given)
    assert json.loads(path.read_text())["signature"] == "0x"
    by = ("join", "--invitation", str(path))
    desk.refused(1, f"the owner, {federation.owner}, has not signed this invitation", by=by)
    digest = calls.invitation_digest(federation.signing_domain(), given)
    connection.request("anvil_setStorageAt", [council, "0x" + "00" * 32, "0x" + digest.hex()])
    # Signed it is let through, as far as the manifest, which this federation has not got.
    desk.refused(3, "is not in local store", by=by)
    given = invitations.read(path, federation.chain_id, federation.address, guest.address)
    federation.sender(guest).send(
        calls.join_by_invitation(given, federation.parameters.min_stake_wei)
    )
    assert federation.participant(guest.address).roles == BOTH
