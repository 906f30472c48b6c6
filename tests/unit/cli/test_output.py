"""What is printed: whole where a script reads, short for people, harmless whoever wrote it."""

from __future__ import annotations

import json

import pytest

from bafl.cli.output import Output

ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


def test_addresses_are_short_unless_whole_ones_are_asked_for() -> None:
    assert Output().address(ADDRESS) == "0x7099…79C8"
    assert Output(full=True).address(ADDRESS) == ADDRESS


def test_a_script_gets_one_object_and_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=True)
    out.line("for people")
    out.table(("a",), [("b",)])
    out.emit({"name": "Klinik Süd"})
    assert json.loads(capsys.readouterr().out) == {"name": "Klinik Süd"}


def test_a_person_gets_text_and_no_object(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output()
    out.line("for [people]")
    out.emit({"a": 1})
    assert capsys.readouterr().out == "for [people]\n"


def test_tables_are_whole_and_plain_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "because " * 30
    Output().table(("verdict", "why"), [("rejected", long), ("paid", "[red]x[/red]")])
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert long.strip() in text
    assert "[red]x[/red]" in text


def test_foreign_text_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2Jclinic\r\n\u202e"
    Output().table(("name",), [(hostile,)])
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "\r" not in text
    assert "\u202e" not in text
    assert "clinic" in text
    Output().line("two\nlines\x1b[2J")
    assert capsys.readouterr().out == "two\nlines [2J\n"
