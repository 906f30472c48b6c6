"""Hostile blocks of payloads, guided by coverage (libFuzzer), for as long as one likes.

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris numpy aiohttp
    PYTHONPATH=. /tmp/fuzz/bin/python -m tests.fuzz.blocks /tmp/blocks -max_total_time=600

A crash is a list of steps that builds blocks of which too much is read, or that break the reader;
`tests/unit/store/hostile_blocks.py` says what they mean. atheris is no dependency of this project.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["bafl"]):
    from tests.unit.store.hostile_blocks import judge


def one(data: bytes) -> None:
    """Judge one list of steps."""
    judge(data)


def main() -> None:
    """Fuzz; the arguments are libFuzzer's."""
    atheris.Setup([*sys.argv, "-max_len=64"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
