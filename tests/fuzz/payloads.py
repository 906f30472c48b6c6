"""Hostile payloads, guided by coverage (libFuzzer), for as long as one likes.

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris numpy
    PYTHONPATH=. /tmp/fuzz/bin/python -m tests.fuzz.payloads /tmp/corpus -max_total_time=600

A crash is a payload that breaks what `tests/unit/codec/hostile.py` says; its file is the payload,
behind one byte that says as what it is read. atheris is no dependency of this project.
"""

from __future__ import annotations

import sys
import tempfile
import tracemalloc
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bafl"]):
    from tests.unit.codec.hostile import KINDS, Tally, good, judge

FOLDER = Path(tempfile.mkdtemp(prefix="bafl-fuzz-"))
TALLY = Tally()


def one(data: bytes) -> None:
    """Judge one input: a byte for the kind, then the payload."""
    if data:
        judge(FOLDER / "payload", data[1:], KINDS[data[0] % len(KINDS)], TALLY)


def seed(corpus: Path) -> None:
    """Write sound payloads into the corpus, for libFuzzer to start from."""
    corpus.mkdir(parents=True, exist_ok=True)
    for number, kind in enumerate(KINDS):
        for variant in range(3):
            payload = bytes([number]) + good(FOLDER, kind, variant)
            (corpus / f"sound-{number}-{variant}").write_bytes(payload)


def main() -> None:
    """Fuzz; the arguments are libFuzzer's, the first one that is no option the corpus."""
    for argument in sys.argv[1:]:
        if not argument.startswith("-"):
            seed(Path(argument))
            break
    tracemalloc.start()
    atheris.Setup([*sys.argv, "-max_len=8192"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
