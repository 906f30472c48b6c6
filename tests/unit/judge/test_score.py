"""Scores and keep votes: against a slow reference, and by their properties."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from bafl.errors import TaskError
from bafl.judge import Candidate, Verdicts, keep_vote, rules, score_window
from bafl.judge.score import Loss

Vector = NDArray[np.float32]

COPY = Candidate(code=rules.UNAVAILABLE_OR_COPY)
MALFORMED = Candidate(code=rules.MALFORMED)
CODES = (rules.UNAVAILABLE_OR_COPY, rules.MALFORMED)


def update(values: Vector) -> Candidate:
    return Candidate(lambda: values)


coordinates = st.floats(-4, 4, width=16)
deltas = hnp.arrays(np.float32, 3, elements=coordinates).map(update)
windows = st.lists(
    st.one_of(deltas, deltas, deltas, st.sampled_from([COPY, MALFORMED])), max_size=8
)
bases = hnp.arrays(np.float32, 3, elements=coordinates)


def bowl(weights: Vector) -> float:
    """A loss with its least value, 0, at (1, 1, 1)."""
    return float(np.square(weights.astype(np.float64) - 1).sum())


def slowly(loss: Loss, base: Vector, genesis_loss: float, updates: Sequence[Candidate]) -> Verdicts:
    """The protocol's text, sentence by sentence, each loss measured where it is named."""

    def raw(weights: Vector) -> float:
        value = loss(weights.astype(np.float32))
        return min(value, 1e6) if math.isfinite(value) else 1e6

    def measure(weights: Vector) -> float:
        return raw(weights) + 0.05 * (genesis_loss if math.isfinite(genesis_loss) else 1e6)

    def ratio(worse: float, better: float) -> float:
        return 10_000 * (worse - better) / (worse + better) if worse + better else 0.0

    n = len(updates)
    deltas = {i: u.delta() for i, u in enumerate(updates) if u.delta is not None}
    alone = {i: ratio(measure(base), measure(base + deltas[i])) for i in deltas}
    fit = [i for i in deltas if alone[i] >= rules.DISQUALIFIED_BELOW]
    r = len(fit)
    average = sum((deltas[i] for i in fit), np.zeros_like(base)) / np.float32(max(r, 1))
    scores = []
    for i, each in enumerate(updates):
        if each.code is not None:
            scores.append(each.code)
        elif i in fit:
            without = base + average - deltas[i] / np.float32(r)
            marginal = ratio(measure(without), measure(base + average))
            scores.append(
                min(max(10 * round(marginal / 10), rules.MARGINAL_MIN), rules.MARGINAL_MAX)
            )
        else:
            scores.append(min(max(10 * round(alone[i] / 10), rules.ALONE_MIN), rules.ALONE_MAX))
    best_first = sorted(deltas, key=lambda i: (-scores[i], i))
    curve = []
    for m in range(len(deltas) + 1):
        best = sum((deltas[i] for i in best_first[:m]), np.zeros_like(base))
        curve.append(measure(base + best / np.float32(max(m, 1))))
    keep = max(m for m in range(len(curve)) if curve[m] <= 1.5 * min(curve))
    keep = max(keep, len([score for score in scores if score > 0]))
    return Verdicts(tuple(scores), n if keep == len(deltas) else keep)


@given(bases, windows)
def test_scores_and_vote_are_those_of_the_slow_reference(
    base: Vector, updates: list[Candidate]
) -> None:
    fast = score_window(bowl, base, 3.0, updates)
    slow = slowly(bowl, base, 3.0, updates)
    # Sums in another order may fall on the other side of a rounding.
    assert all(abs(a - b) <= 10 for a, b in zip(fast.scores, slow.scores, strict=True))
    if fast.scores == slow.scores:
        assert fast.keep == slow.keep


@given(bases, windows)
def test_scores_are_codes_or_multiples_of_ten_in_the_ranges_the_contract_takes(
    base: Vector, updates: list[Candidate]
) -> None:
    verdicts = score_window(bowl, base, 3.0, updates)
    assert len(verdicts.scores) == len(updates)
    assert 0 <= verdicts.keep <= len(updates)
    for score in verdicts.scores:
        if score not in CODES:
            assert score % 10 == 0
            assert score <= rules.ALONE_MAX or score >= rules.MARGINAL_MIN
            assert -10_000 <= score <= 9990


@given(bases, st.lists(deltas, max_size=5))
def test_an_update_that_does_nothing_scores_exactly_zero(
    base: Vector, updates: list[Candidate]
) -> None:
    nothing = update(np.zeros(3, np.float32))
    verdicts = score_window(bowl, base, 3.0, [*updates, nothing])
    assert verdicts.scores[-1] == 0


@given(bases, windows)
def test_few_losses_are_measured(base: Vector, updates: list[Candidate]) -> None:
    calls = 0

    def counted(weights: Vector) -> float:
        nonlocal calls
        calls += 1
        return bowl(weights)

    verdicts = score_window(counted, base, 3.0, updates)
    n = sum(u.delta is not None for u in updates)
    r = sum(s >= rules.MARGINAL_MIN for s in verdicts.scores)
    assert calls <= 2 * n + r + 2


def test_codes_pass_through_and_do_not_disturb_the_others() -> None:
    good = update(np.full(3, 0.5, np.float32))
    bare = score_window(bowl, np.zeros(3, np.float32), 3.0, [good])
    mixed = score_window(bowl, np.zeros(3, np.float32), 3.0, [COPY, good, MALFORMED])
    assert mixed.scores == (rules.UNAVAILABLE_OR_COPY, bare.scores[0], rules.MALFORMED)


def test_whoever_could_not_read_an_update_does_not_vote_to_cut_it() -> None:
    good = update(np.full(3, 0.5, np.float32))
    assert score_window(bowl, np.zeros(3, np.float32), 3.0, [COPY, good, good]).keep == 3


def test_what_adds_something_is_not_cut_however_much_better_the_best_is_alone() -> None:
    best, good, bad = (update(np.full(3, x, np.float32)) for x in (1.0, 0.3, -0.3))
    losses_of_best_m = [3 * (1 - w) ** 2 + 0.15 for w in (0, 1, 1.3 / 2, 1.6 / 3)]
    assert keep_vote(losses_of_best_m) == 1
    start = np.zeros(3, np.float32)
    assert score_window(bowl, start, 3.0, [best, good, good]) == Verdicts((4410, 1620, 1620), 3)
    assert score_window(bowl, start, 3.0, [best, bad, bad]).keep == 1


def test_poison_that_triples_the_loss_is_disqualified_and_cut() -> None:
    good = update(np.full(3, 0.9, np.float32))
    poison = update(np.full(3, -3.0, np.float32))
    verdicts = score_window(bowl, np.zeros(3, np.float32), 3.0, [good, poison, good])
    assert verdicts.scores[1] <= rules.ALONE_MAX < 0 < min(verdicts.scores[0], verdicts.scores[2])
    assert verdicts.keep == 2


@pytest.mark.parametrize("broken", [math.nan, math.inf, 1e300])
def test_a_broken_model_counts_as_the_worst_loss_there_is(broken: float) -> None:
    def loss(weights: Vector) -> float:
        return broken if weights[0] > 0 else 1.0

    updates = [update(np.ones(3, np.float32)), update(np.zeros(3, np.float32))]
    verdicts = score_window(loss, np.zeros(3, np.float32), 1.0, updates)
    assert verdicts == Verdicts((-10_000, 0), 1)


def test_a_sum_that_overflows_is_judged_not_raised() -> None:
    huge = update(np.full(3, 3e38, np.float32))
    verdicts = score_window(bowl, np.full(3, 3e38, np.float32), 3.0, [huge])
    assert rules.MARGINAL_MIN <= verdicts.scores[0] <= rules.MARGINAL_MAX


def test_a_window_of_codes_alone_asks_for_no_cut() -> None:
    verdicts = score_window(bowl, np.zeros(3, np.float32), 3.0, [COPY, MALFORMED])
    assert verdicts == Verdicts(CODES, 2)


def test_a_perfect_model_and_genesis_give_zero_not_a_division_by_zero() -> None:
    verdicts = score_window(bowl, np.ones(3, np.float32), 0.0, [update(np.zeros(3, np.float32))])
    assert verdicts == Verdicts((0,), 1)


def test_a_negative_loss_is_refused() -> None:
    with pytest.raises(TaskError, match="0 or more"):
        score_window(lambda _: -1.0, np.zeros(3, np.float32), 1.0, [])


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=17))
def test_the_keep_vote_is_the_last_point_within_half_more_than_the_least(
    curve: list[float],
) -> None:
    m = keep_vote(curve)
    assert curve[m] <= 1.5 * min(curve)
    assert all(value > 1.5 * min(curve) for value in curve[m + 1 :])


@pytest.mark.parametrize(
    ("delta", "code"), [(None, None), (lambda: np.zeros(3, np.float32), -32768), (None, 5)]
)
def test_a_candidate_is_either_a_delta_or_a_known_code(
    delta: Callable[[], Vector] | None, code: int | None
) -> None:
    with pytest.raises(ValueError, match=r"either|no code"):
        Candidate(delta, code)


def test_a_window_is_scored_in_the_memory_of_a_few_updates() -> None:
    base = np.zeros(1 << 20, np.float32)
    updates = [Candidate(lambda: np.full_like(base, 0.1)) for _ in range(16)]
    tracemalloc.start()
    try:
        verdicts = score_window(lambda weights: float(abs(1 - weights[0])), base, 1.0, updates)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert verdicts.keep == 16
    assert peak < 5 * base.nbytes
