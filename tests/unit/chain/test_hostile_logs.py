"""Logs from a lying RPC: refused with an error of ours, or a history that is sound.

FUZZ_RUNS=100000 FUZZ_SEED=7 tries that many, and others; `tests/fuzz/logs.py` is guided by
coverage.
"""

from __future__ import annotations

import os
import random
import tracemalloc
from typing import Any

import pytest

from bafl.chain.errors import Inconsistent
from bafl.errors import ChainError
from bafl.types import Verdict
from tests.unit.chain.hostile_logs import LIFE, hostile, judge, log_of, read, who

RUNS = max(600, int(os.environ.get("FUZZ_RUNS", "0")))
SEED = int(os.environ.get("FUZZ_SEED", "1"), 0)


def test_the_true_logs_make_the_whole_history() -> None:
    history = read(list(LIFE))
    assert [version.window for version in history.versions] == [0, 1]
    tallied, settled = history.tallied(1), history.settled(1)
    assert tallied is not None
    assert settled is not None
    assert tallied.verdicts == (Verdict.PAID, Verdict.ACCEPTED)
    assert settled.trainer_reputations == (258, 258)
    assert history.voided(2) is not None
    assert history.participants[who(2)].stake_wei == 10**18 - 10**16
    assert history.closed


def test_hostile_logs_are_refused_or_make_a_sound_history() -> None:
    outcomes = []
    tracemalloc.start()
    try:
        for run in range(RUNS):
            answer = hostile(random.Random(SEED << 40 | run))
            try:
                outcomes.append(judge(answer) is None)
            except Exception as error:
                error.add_note(f"run {run} of seed {SEED}: {answer}")
                raise
    finally:
        tracemalloc.stop()
    assert 0.2 < sum(outcomes) / RUNS < 0.99, "both sides of the oracle are busy"


def after(count: int, name: str, **told: Any) -> list[Any]:
    return [*LIFE[:count], log_of(name, told, count + 1)]


SUBMITTED, SEALED, SETTLED = 9, 10, len(LIFE) - 7


@pytest.mark.parametrize(
    ("logs", "said"),
    [
        (after(SETTLED, "FederationCreated", model=b"\1" * 32), "repeats itself"),
        (after(SEALED, "UpdateSubmitted", updateId=18, rootCodec=0x55), "takes none"),
        (after(1, "UpdateSubmitted", updateId=0, rootCodec=0x55), "takes none"),
        (after(1, "WindowSealed", window=2**60, updates=0), "sealed with 0"),
        (after(1, "WindowVoided", window=2**60, reason=0), "no update of it"),
        (after(SETTLED, "Slashed", participant=who(1), amount=2**200), "more than its stake"),
        (
            after(
                SETTLED - 1, "WindowSettled", window=1, isFinal=True, trainerReputations=b"\0" * 5
            ),
            "no list of numbers",
        ),
    ],
)
def test_a_story_that_cannot_be_is_refused(logs: list[Any], said: str) -> None:
    with pytest.raises(ChainError, match=said):
        read(logs)


@pytest.mark.parametrize("gap", range(1, SETTLED - 1))
def test_a_gap_before_a_settlement_is_found_or_loses_only_what_it_held(gap: int) -> None:
    """Of joinings, updates, seals, turns, the tally and the version, none can be left out."""
    logs = [*LIFE[:gap], *LIFE[gap + 1 : SETTLED]]
    try:
        history = read(logs)
    except Inconsistent:
        return
    assert len(history.versions) == 2
    assert LIFE[gap]["topics"][0] in {
        log_of(name, {}, 1)["topics"][0] for name in ("ScoresCommitted", "ModelAttested")
    }
