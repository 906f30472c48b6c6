"""Hostile blocks of payloads, guided by coverage: `tests/fuzz/guided.py` says how to run it.

A crash is a list of steps that builds blocks of which too much is read, or that break the reader;
`tests/unit/store/hostile_blocks.py` says what they mean.
"""

from __future__ import annotations

import atheris

from tests.fuzz.guided import fuzz

with atheris.instrument_imports(include=["bafl"]):
    from tests.unit.store.hostile_blocks import judge


def one(data: bytes) -> None:
    """Judge one list of steps."""
    judge(data)


if __name__ == "__main__":
    fuzz(one, 64, {})
