"""Ten thousand payloads from strangers: each refused by type or read rightly, in little memory.

FUZZ_RUNS=1000000 FUZZ_SEED=7 tries that many, and others. `tests/fuzz/payloads.py` is guided by
coverage instead of chance.
"""

from __future__ import annotations

import os
import random
import tracemalloc
from pathlib import Path

import pytest

from bafl.codec import errors
from bafl.codec.update import read_update
from bafl.errors import PayloadError
from bafl.types import Encoding
from tests.unit.codec.hostile import KINDS, MANIFEST, Tally, good, header_of, hostile, judge

FEW = 1_500
RUNS = int(os.environ.get("FUZZ_RUNS", "10000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"), 0)


def leaves(kind: type[PayloadError]) -> set[str]:
    below = set().union(*(leaves(each) for each in kind.__subclasses__()), set())
    return below or {kind.__name__}


@pytest.mark.parametrize("runs", [FEW, pytest.param(RUNS, marks=pytest.mark.slow)])
def test_hostile_payloads_are_refused_by_type_or_read_rightly(tmp_path: Path, runs: int) -> None:
    sound = {kind: [good(tmp_path, kind, seed) for seed in range(6)] for kind in KINDS}
    tally = Tally()
    tracemalloc.start()
    try:
        for run in range(runs):
            rng = random.Random(SEED << 40 | run)
            data, kind = hostile(sound, rng)
            try:
                judge(tmp_path / "payload", data, kind, tally)
            except Exception as error:
                error.add_note(f"payload {run} of seed {SEED}, read as {kind!r}: {data.hex()}")
                raise
    finally:
        tracemalloc.stop()
    if runs >= 10_000:
        # Neither side of the oracle is idle: every refusal was met, and many changes are sound.
        due = leaves(PayloadError) - {"EncodingRefused"}
        assert due <= set(tally.refused), due - set(tally.refused)
        assert tally.read > runs / 50


@pytest.mark.parametrize("kind", list(Encoding))
def test_a_file_of_a_terabyte_is_refused_unread(tmp_path: Path, kind: Encoding) -> None:
    path = tmp_path / "payload"
    path.write_bytes(good(tmp_path, kind, 1))
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(errors.PayloadTooLarge):
        read_update(path, header_of(kind), MANIFEST)
