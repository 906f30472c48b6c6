"""Logs of a lying RPC, guided by coverage (libFuzzer), for as long as one likes.

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris web3 aiohttp numpy
    PYTHONPATH=. /tmp/fuzz/bin/python -m tests.fuzz.logs /tmp/logs -max_total_time=600

An input is the JSON of what `eth_getLogs` answers. A crash is one that breaks what
`tests/unit/chain/hostile_logs.py` says. atheris is no dependency of this project.
"""

from __future__ import annotations

import json
import sys
import tracemalloc
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bafl"]):
    from tests.unit.chain.hostile_logs import LIFE, judge


def one(data: bytes) -> None:
    """Judge one answer; what is no JSON is none."""
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(answer, list):
        judge(answer)


def seed(corpus: Path) -> None:
    """Write the beginnings of a true life into the corpus, for libFuzzer to start from."""
    corpus.mkdir(parents=True, exist_ok=True)
    for count in range(1, len(LIFE) + 1):
        (corpus / f"true-{count}").write_text(json.dumps(LIFE[:count]))


def main() -> None:
    """Fuzz; the arguments are libFuzzer's, the first one that is no option the corpus."""
    for argument in sys.argv[1:]:
        if not argument.startswith("-"):
            seed(Path(argument))
            break
    tracemalloc.start()
    atheris.Setup([*sys.argv, "-max_len=65536"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
