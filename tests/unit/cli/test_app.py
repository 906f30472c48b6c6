"""Help, wrong usage and exit codes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bafl.cli.app import SECTIONS, Verb, VerbGroup, root
from tests.unit.cli.conftest import Call

NOBODY = "0x" + "11" * 20


def commands() -> Iterator[tuple[str, Verb | VerbGroup]]:
    """Every verb, and every verb of a verb, by its whole name."""
    context = click.Context(root)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert isinstance(command, Verb | VerbGroup)
        yield name, command
        if isinstance(command, VerbGroup):
            for inner in command.commands.values():
                assert isinstance(inner, Verb)
                yield f"{name} {inner.name}", inner


COMMANDS = dict(commands())


def test_the_verbs_are_those_the_documents_name() -> None:
    assert {verb for verbs in SECTIONS.values() for verb in verbs} == {
        *("devnet", "new", "join", "run", "status", "watch", "audit", "pull", "claim"),
        *("leave", "key", "fund", "invite", "pause", "close"),
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_help_starts_with_an_example(bafl: Call, name: str) -> None:
    done = bafl(*name.split(), "--help")
    assert done.code == 0
    assert done.out.startswith("Example:\n  bafl ")
    assert "Usage: bafl" in done.out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_is_valid_usage(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """Every argument and option of the example is there, and takes what it is given."""
    for line in COMMANDS[name].example.splitlines():
        parse(line)


def parse(line: str) -> None:
    """Take a line as the command line does, without doing what it says."""
    words = shlex.split(line, comments=True)
    assert words[0] == "bafl"
    context: click.Context = click.Context(root)
    command: click.Command | None = root
    rest = words[1:]
    while isinstance(command, click.Group) and rest:
        word = rest.pop(0)
        command = command.get_command(context, word)
        assert command is not None, word
    assert command is not None
    command.make_context(line, rest)


@pytest.mark.parametrize("page", ["README.md", "docs/cli.md"])
def test_the_lines_of_a_page_are_valid_usage(page: str) -> None:
    lines = [
        line
        for block in re.findall(r"(?ms)^```(?:sh)?\n(.*?)^```", Path(page).read_text("utf-8"))
        for line in re.findall(r"(?m)^(?:.*do)? *(bafl [a-z].*?) *(?:2>|[;#\n])", block)
    ]
    assert len(lines) > 4
    for line in lines:
        parse(line)


def test_the_first_line_of_every_verb_fits_the_list(bafl: Call) -> None:
    assert "..." not in bafl("--help").out.split("Start:")[1]


def test_no_arguments_shows_the_help_as_wrong_usage(bafl: Call) -> None:
    done = bafl()
    assert done.code == 2
    assert "Usage: bafl" in done.out + done.err


def test_a_wrong_verb_hears_the_nearest(bafl: Call) -> None:
    done = bafl("stauts")
    assert done.code == 2
    assert "stauts" in done.err
    assert "status" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("fund", "2"), 2, "'0.1 ether'"),
        (("fund", "2 ether"), 2, "no federation is set"),
        (("status", "--federation", NOBODY), 2, "no rpc is set: give --rpc"),
        (("status", "--federation", "0x12"), 2, "needs an address: 0x and 40 hex digits"),
        (("status", "--rpc", "localhost"), 2, "needs an http:// or https:// address"),
        (("status", "--rpc", "http://127.0.0.1:1", "--federation", NOBODY), 3, "127.0.0.1:1"),
        (("status", "--config", "none.toml"), 2, "there is no file none.toml"),
        (("new", "none.toml"), 2, "there is no file none.toml"),
        (("key", "show", "none.json"), 2, "none.json does not exist"),
        (("key", "import", "none.json"), 2, "set BAFL_PRIVATE_KEY"),
        (("key", "new", "a.json"), 2, "needs a password"),
        (("run", "--task", "participant"), 2, "is not KEY=VALUE"),
        (("status", "--rpc"), 2, "requires an argument"),
    ],
)
def test_wrong_usage_is_one_clear_error(
    bafl: Call,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr("bafl.cli.session.READ_PATIENCE_S", 0.0)
    done = bafl(*arguments)
    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err
    assert not done.out


def test_key_new_import_and_show_round_trip(bafl: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAFL_KEYSTORE_PASSWORD", "correct horse")
    monkeypatch.setenv("BAFL_PRIVATE_KEY", "0x" + "11" * 32)
    address = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
    imported = bafl("key", "import", "a.json", "--json")
    assert imported.code == 0
    assert address in imported.out
    assert bafl("key", "show", "a.json").out == f"{address}\n"
    again = bafl("key", "new", "a.json")
    assert again.code == 2
    assert "a key that is overwritten is lost" in again.err
    monkeypatch.setenv("BAFL_KEYSTORE_PASSWORD", "wrong")
    wrong = bafl("key", "show", "a.json")
    assert wrong.code == 2
    assert "does not open it" in wrong.err


def test_an_error_steers_no_terminal(bafl: Call) -> None:
    said = bafl("status", "--config", "no\x1b[2J-such.toml")
    assert said.code == 2
    assert "no [2J-such.toml" in said.err


def test_a_new_keys_password_file_is_read_with_the_same_care(
    bafl: Call, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BAFL_PRIVATE_KEY", "0x" + "11" * 32)
    file = Path("password")
    for content, said in (("x" * 70_000, "too large"), ("\n", "its first line"), ("", "first")):
        file.write_text(content)
        refused = bafl("key", "import", "a.json", "--password-file", "password")
        assert refused.code == 2
        assert said in refused.err
    assert not Path("a.json").exists()
    file.write_text("correct horse\n")
    file.chmod(0o644)
    caplog.clear()
    assert bafl("key", "import", "a.json", "--password-file", "password").code == 0
    assert "password can be read by others: chmod 600 it" in caplog.text
    assert bafl("key", "show", "a.json", "--password-file", "password").code == 0


def test_an_error_is_one_line_and_its_trace_on_request(
    bafl: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(bafl("status").err.splitlines()) == 1
    monkeypatch.setenv("BAFL_DEBUG", "1")
    traced = bafl("status")
    assert traced.err.startswith("Traceback")
    assert traced.code == 2
