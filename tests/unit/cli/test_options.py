"""Settings from file, environment and command line meet in one checked object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bafl.cli.options import session_options, task_option
from bafl.cli.session import Session
from tests.unit.cli.conftest import Call

FILE = 'rpc = "http://file:1"\nchain_id = 5\nstore = "local:blocks"\n'


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
