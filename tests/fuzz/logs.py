"""Logs of a lying RPC, guided by coverage: `tests/fuzz/guided.py` says how to run it.

An input chooses the lies. A crash is one that breaks what `tests/unit/chain/hostile_logs.py` says.
"""

from __future__ import annotations

import random

import atheris

from tests.fuzz.guided import fuzz

with atheris.instrument_imports(include=["bafl"]):
    from tests.unit.chain.hostile_logs import hostile, judge


class Choices(random.Random):
    """Choices read from bytes, and the first of each once these are used up."""

    def __init__(self, data: bytes) -> None:
        super().__init__(0)
        self.data = data

    def getrandbits(self, k: int, /) -> int:
        count = (k + 7) // 8
        drawn, self.data = self.data[:count], self.data[count:]
        return int.from_bytes(drawn, "big") & ((1 << k) - 1)

    def random(self) -> float:
        return self.getrandbits(53) / (1 << 53)


def one(data: bytes) -> None:
    """Judge the answer that the input chooses."""
    judge(hostile(Choices(data)))


if __name__ == "__main__":
    fuzz(one, 256, {})
