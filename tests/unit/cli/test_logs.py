"""The log: calm lines for people, one JSON object a line for machines."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from bafl.cli import logs
from tests.unit.cli.conftest import Call


@pytest.fixture(autouse=True)
def _restored(bafl: Call) -> None:
    """The `bafl` fixture puts the logging back."""


def test_people_get_a_time_and_a_line_whatever_is_in_the_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up()
    logging.getLogger("bafl.node").info("update %s", "7\nfake line\x1b[2J")
    logging.getLogger("bafl.node").warning("no answer")
    logging.getLogger("bafl.node").debug("not shown")
    logging.getLogger("urllib3").info("not shown")
    err = capsys.readouterr().err
    first, second = err.splitlines()
    assert first[8:] == " update 7 fake line [2J"
    assert second[8:] == " warning: no answer"


def test_machines_get_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(verbose=True, as_json=True)
    logging.getLogger("bafl.node").debug("two\nlines")
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("bafl").error("failed", exc_info=sys.exc_info())
    captured = capsys.readouterr()
    assert not captured.err
    first, second = map(json.loads, captured.out.splitlines())
    assert (first["level"], first["message"]) == ("debug", "two\nlines")
    assert first["time"].endswith("Z")
    assert "ValueError: why" in second["exception"]
