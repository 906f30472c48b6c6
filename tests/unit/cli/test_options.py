"""Settings from file, environment and command line meet in one checked object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from bafl.chain.calls import Creation
from bafl.chain.errors import FeesTooHigh
from bafl.chain.sender import Sender
from bafl.cli.options import session_options, task_option
from bafl.cli.output import Output
from bafl.cli.session import Session
from bafl.devnet import Anvil
from bafl.errors import SettingsError
from bafl.settings import NodeSettings
from tests.unit.cli.conftest import Call

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

FILE = """
rpc = "http://file:1"
chain_id = 5
store = "local:blocks"
gateways = ["http://file:2"]
"""


@pytest.fixture(autouse=True)
def _restored(bafl: Call) -> None:
    """The `bafl` fixture puts logging and environment back, in an empty folder."""


def settings_of(*arguments: str, **environment: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    @click.command()
    @task_option
    @session_options
    def probe(session: Session, task: dict[str, Any]) -> None:
        seen.update(dict(session.settings), given=task, as_json=session.output.as_json)

    result = CliRunner().invoke(probe, list(arguments), env=environment, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return seen


def test_the_command_line_goes_before_the_environment_before_the_file() -> None:
    Path("node.toml").write_text(FILE)
    assert settings_of()["rpc"] == "http://file:1"
    assert settings_of(BAFL_RPC="http://env:1")["rpc"] == "http://env:1"
    both = settings_of("--rpc", "http://line:1", BAFL_RPC="http://env:1")
    assert (both["rpc"], both["chain_id"]) == ("http://line:1", 5)


def test_what_was_given_is_repeated_where_another_verb_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("my node.toml").write_text(FILE)
    monkeypatch.setenv("BAFL_CHAIN_ID", "5")
    said: list[str] = []

    @click.command()
    @session_options
    def probe(session: Session) -> None:
        said.append(session.again("run"))

    address = "0x" + "11" * 20
    for given in ([], ["--federation", address, "-c", "my node.toml", "--rpc", "http://a:b@c:1"]):
        assert CliRunner().invoke(probe, given, catch_exceptions=False).exit_code == 0
    assert said[0] == "bafl run"
    assert "-c 'my node.toml'" in said[1]
    assert f"--federation {address}" in said[1]
    assert "a:b" not in said[1]
    assert "chain-id" not in said[1]


def test_a_file_is_named_or_node_toml_or_none() -> None:
    assert settings_of()["rpc"] is None
    Path("other.toml").write_text(FILE)
    assert settings_of("-c", "other.toml")["chain_id"] == 5
    assert settings_of(BAFL_CONFIG="other.toml")["home"] == Path("other.home").resolve()


def test_task_settings_are_typed_as_in_toml() -> None:
    seen = settings_of(
        *("--task", "participant=3", "--task", "alpha=0.5"),
        *("--task", "partitioner=natural", "--task", "x=true", "--json"),
    )
    assert seen["given"] == {
        "participant": 3,
        "alpha": 0.5,
        "partitioner": "natural",
        "x": True,
    }
    assert seen["as_json"]


def test_gateways_come_from_the_file_or_the_environment_or_the_command_line() -> None:
    Path("node.toml").write_text(FILE)
    assert settings_of()["gateways"] == ("http://file:2",)
    env = {"BAFL_GATEWAYS": "http://env:1 http://env:2"}
    assert settings_of(**env)["gateways"] == ("http://env:1", "http://env:2")
    line = settings_of("--gateway", "http://line:1", "--gateway", "http://line:2", **env)
    assert line["gateways"] == ("http://line:1", "http://line:2")


def test_a_session_reads_from_the_store_then_from_the_gateways() -> None:
    settings = NodeSettings(store="local:blocks", gateways=("http://a:1",))
    store = Session(settings, Output(False, False)).store
    where = Path("blocks").absolute()
    assert store.describe() == f"local store in {where}, then IPFS gateway http://a:1"
    assert not store.read_only


def test_gateways_alone_are_enough_to_read_but_not_to_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BAFL_PRIVATE_KEY", "0x" + "11" * 32)
    for settings in (
        NodeSettings(gateways=("http://a:1",)),
        NodeSettings(store="gateway:http://a:1"),
    ):
        session = Session(settings, Output(False, False))
        assert session.store.read_only
        with pytest.raises(SettingsError, match=r"http://a:1 only gives payloads.*--store"):
            _ = session.own_store
    with pytest.raises(SettingsError, match="no store is set"):
        _ = Session(NodeSettings(), Output(False, False)).store


def test_every_transaction_keeps_to_the_node_files_fee_limit(
    anvil: Anvil, new_account: Callable[..., LocalAccount], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAFL_PRIVATE_KEY", new_account().key.hex())
    call = Creation("nothing", b"\x00")

    def sender(limit: str) -> Sender:
        Path("node.toml").write_text(f'rpc = "{anvil.url}"\n[run]\nfee_limit = "{limit}"')
        session = Session(NodeSettings.load(Path("node.toml")), Output(False, False))
        return session.sender_to(None)

    low, high = sender("1 wei"), sender("300 gwei")
    assert (low.fee_limit_wei, high.fee_limit_wei) == (1, 300 * 10**9)
    with low.connection, pytest.raises(FeesTooHigh, match=r"raise `fee_limit` under \[run\]"):
        low.sign(call)
    with high.connection:
        assert high.send(call).ok
