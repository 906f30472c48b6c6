"""Promise P6 in short: faults of many kinds upon a federation of real processes.

A hundred of them in one run: `python -m tests.faults`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from bafl.devnet import Kubo
from tests.faults.cast import COUNT
from tests.faults.kinds import KINDS, Kind
from tests.faults.play import play

SEED = 4


def faults(names: Iterable[str]) -> list[tuple[Kind, int, random.Random]]:
    draw = random.Random(SEED)
    return [(KINDS[n], draw.randrange(COUNT), random.Random(draw.random())) for n in names]


def test_a_federation_outlives_faults_of_every_node_rpc_and_chain(tmp_path: Path) -> None:
    names = (
        "kill after Sender.broadcast commitScores",
        "rpc silent after sending",
        "rpc answers with old blocks",
        "disk full",
        "rpc limits log ranges",
        "second copy",
        "reorg undoes ScoresCommitted",
        "clock jumps",
    )
    outcome = play(SEED, faults(names), tmp_path, tell=print)
    assert outcome.faults == Counter(names)


def test_a_federation_outlives_faults_of_its_ipfs_daemon(own_kubo: Kubo, tmp_path: Path) -> None:
    names = (
        "kubo stops",
        "kubo gives false bytes",
        "kill after Shelf.publish",
        "kubo is slow",
    )
    outcome = play(SEED, faults(names), tmp_path / "federation", own_kubo, print)
    assert outcome.faults == Counter(names)
