"""Hostile payloads, guided by coverage: `tests/fuzz/guided.py` says how to run it.

A crash is a payload that breaks what `tests/unit/codec/hostile.py` says; its file is the payload,
behind one byte that says as what it is read.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import atheris

from tests.fuzz.guided import fuzz

with atheris.instrument_imports(include=["bafl"]):
    from tests.unit.codec.hostile import KINDS, Tally, good, judge

FOLDER = Path(tempfile.mkdtemp(prefix="bafl-fuzz-"))
TALLY = Tally()


def one(data: bytes) -> None:
    """Judge one input: a byte for the kind, then the payload."""
    if data:
        judge(FOLDER / "payload", data[1:], KINDS[data[0] % len(KINDS)], TALLY)


if __name__ == "__main__":
    sound = {
        f"sound-{number}-{variant}": bytes([number]) + good(FOLDER, kind, variant)
        for number, kind in enumerate(KINDS)
        for variant in range(3)
    }
    fuzz(one, 8192, sound)
