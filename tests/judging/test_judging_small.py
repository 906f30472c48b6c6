"""The judging benchmark in a small form: digits, ten participants, the contract's own tally."""

from __future__ import annotations

import functools

import pytest

from bafl.data import DataSet, load
from bafl.devnet import Anvil
from benchmarks.judging.federation import Outcome, run
from benchmarks.judging.participants import Case
from tests.reference import tally as reference
from tests.reference.on_chain import ChainTally

SMALL = functools.partial(
    Case, task="digits", samples=1438, alpha=0.5, windows=6, epochs=6, batch_size=16
)


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return load("digits")


@pytest.fixture(scope="module")
def tally(anvil: Anvil) -> ChainTally:
    return ChainTally(anvil)


@pytest.fixture(scope="module")
def clean(digits: DataSet, tally: ChainTally) -> Outcome:
    return run(SMALL("none", 0, 0), digits, tally)


@pytest.mark.parametrize("attackers", [2, 4])
def test_flipped_labels_are_refused_and_unpaid_while_the_honest_learn_on(
    attackers: int, digits: DataSet, tally: ChainTally
) -> None:
    seen = run(SMALL("flip", attackers, 0), digits, tally)
    assert seen.poison_refused >= 0.9 * seen.poison_submitted
    assert seen.honest_refused <= 0.08 * seen.honest_submitted
    assert seen.accuracy > 0.75
    honest = [seen.pay[i] for i in range(attackers, 10)]
    assert max(seen.pay[i] for i in range(attackers)) < min(honest)


def test_nobody_is_refused_where_nobody_attacks(clean: Outcome) -> None:
    assert clean.honest_submitted == 54
    assert clean.honest_refused <= 1
    assert clean.accuracy > 0.8


def test_an_idle_participant_is_refused_and_earns_nothing(
    digits: DataSet, tally: ChainTally
) -> None:
    seen = run(SMALL("zero", 1, 0), digits, tally)
    assert seen.poison_refused == seen.poison_submitted > 0
    assert seen.pay[0] == 0


def test_the_contract_and_the_reference_lead_to_the_same_federation(
    clean: Outcome, digits: DataSet
) -> None:
    """Shares may differ by a millionth in rounding; what is decided may not."""
    slow = run(SMALL("none", 0, 0), digits, reference.tally)
    assert slow.windows == clean.windows
    assert slow.accuracy == pytest.approx(clean.accuracy, abs=0.01)
