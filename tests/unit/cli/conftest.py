"""The command line in this process, with what it changes put back afterwards."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest


class Done(NamedTuple):
    """How a call of the command line ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Done]


@pytest.fixture
def bafl(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Call]:
    """Call `bafl ARGUMENTS…` in an empty folder, without the caller's environment."""
    import os

    from bafl.cli import main

    for name in os.environ:
        if name.startswith("BAFL_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)
    root, level = logging.getLogger(), logging.getLogger("bafl").level
    handlers, root_level = root.handlers[:], root.level

    def call(*arguments: str) -> Done:
        code = main(list(arguments))
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    with warnings.catch_warnings():
        yield call
    logging.captureWarnings(False)
    signal.signal(signal.SIGTERM, handler)
    root.handlers[:] = handlers
    root.setLevel(root_level)
    logging.getLogger("bafl").setLevel(level)
