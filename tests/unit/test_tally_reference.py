"""What the tally promises, asked of its slow reference; and that the frozen vectors are current."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from bafl.store.cid import cid
from bafl.types import DAG_PB, RAW, Root
from tests.reference.tally import (
    MALFORMED,
    NO_AGREEMENT,
    NO_CONSENSUS,
    NO_SEAT,
    PPM,
    Input,
    Verdict,
    entropy,
    entropy_shares,
    entropy_weights,
    is_real,
    lower_weighted_median,
    pack_scores,
    proportions_of,
    spearman_ppm,
    tally,
)
from tests.reference.vectors import FOLDER, VECTORS, text_of, window_of
from tests.reference.windows import real_scores, windows

small_windows = windows(max_validators=8, max_updates=8)
votes = st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 9)), min_size=1, max_size=12)
indicator_lists = st.integers(1, 16).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(0, 10**9).map(Fraction), min_size=n, max_size=n),
        min_size=1,
        max_size=3,
    )
)


# ----- Medians -----


@given(votes)
def test_the_median_is_a_value_with_half_the_weight_on_either_side(
    cast: list[tuple[int, int]],
) -> None:
    values, weights = zip(*cast, strict=True)
    median = lower_weighted_median(values, weights)
    assert median in values
    assert 2 * sum(w for v, w in cast if v <= median) >= sum(weights)
    assert 2 * sum(w for v, w in cast if v < median) < sum(weights)


@given(votes)
def test_the_median_repeats_each_value_by_its_weight(cast: list[tuple[int, int]]) -> None:
    values, weights = zip(*cast, strict=True)
    spread = sorted(v for v, w in cast for _ in range(w))
    assert lower_weighted_median(values, weights) == spread[(len(spread) - 1) // 2]


@given(st.lists(st.tuples(real_scores, st.integers(1, 99)), min_size=1, max_size=20), st.data())
def test_liars_below_half_cannot_move_a_consensus_outside_the_honest_range(
    honest: list[tuple[int, int]], data: st.DataObject
) -> None:
    scores, weights = [[s] for s, _ in honest], [w for _, w in honest]
    budget = sum(weights) - 1
    for _ in range(data.draw(st.integers(0, 12))):
        if budget < 1:
            break
        weight = data.draw(st.integers(1, budget))
        budget -= weight
        scores.append([data.draw(real_scores)])
        weights.append(weight)
    output = tally(window_of(scores, weights=weights))
    assert min(s for s, _ in honest) <= output.consensus[0] <= max(s for s, _ in honest)


# ----- The whole -----


@given(small_windows)
def test_a_tally_has_an_output_for_any_window_and_keeps_its_promises(window: Input) -> None:
    output = tally(window)
    n = len(window.author_seat)
    assert len(output.consensus) == len(output.verdicts) == len(output.shares) == n
    assert sum(output.shares) <= PPM
    accepted = [i for i in range(n) if output.verdicts[i] >= Verdict.ACCEPTED]
    assert len(accepted) <= output.keep <= n
    for i in range(n):
        score, verdict = output.consensus[i], output.verdicts[i]
        assert verdict is not Verdict.NONE
        assert (verdict is Verdict.MALFORMED) == (score == MALFORMED)
        assert i in accepted or output.shares[i] == 0
        if i in accepted:
            assert is_real(score)
            assert score >= window.reject_below
            assert (verdict is Verdict.PAID) == (score > 0)
    for rho in output.agreement:
        assert rho == NO_AGREEMENT or -PPM <= rho <= PPM
    assert output.overruled & ~sum(1 << seat for seat in window.seats) == 0


@given(small_windows)
def test_an_accepted_update_ranks_before_any_that_is_refused_for_its_rank(window: Input) -> None:
    output = tally(window)
    ranks = [(-score, i) for i, score in enumerate(output.consensus)]
    taken = [r for i, r in enumerate(ranks) if output.verdicts[i] >= Verdict.ACCEPTED]
    left = [
        r
        for i, r in enumerate(ranks)
        if output.verdicts[i] is Verdict.REJECTED and output.consensus[i] >= window.reject_below
    ]
    assert not taken or not left or max(taken) < min(left)


@given(small_windows, st.data())
def test_a_split_stake_gains_no_votes(window: Input, data: st.DataObject) -> None:
    who = data.draw(st.integers(0, len(window.seats) - 1))
    assume(window.weights[who] > 1 and window.seats[who] not in window.author_seat)
    part = data.draw(st.integers(1, window.weights[who] - 1))
    weights = list(window.weights)
    weights[who] -= part
    free = next(seat for seat in range(32) if seat not in {*window.seats, *window.author_seat})
    split = replace(
        window,
        scores=(*window.scores, window.scores[who]),
        weights=(*weights, part),
        keeps=(*window.keeps, window.keeps[who]),
        seats=(*window.seats, free),
    )
    one, two = tally(window), tally(split)
    assert two.keep == one.keep
    for before, after in zip(one.consensus, two.consensus, strict=True):
        # A third account may complete the three that malformed needs; no weight does.
        assert after == before or (before, after) == (NO_CONSENSUS, MALFORMED)


@given(small_windows, st.data())
def test_what_an_author_says_of_its_own_update_changes_nothing(
    window: Input, data: st.DataObject
) -> None:
    own = [
        (v, i)
        for i, author in enumerate(window.author_seat)
        for v, seat in enumerate(window.seats)
        if seat == author
    ]
    assume(len(window.seats) > 1 and own)
    v, i = data.draw(st.sampled_from(own))
    row = list(window.scores[v])
    row[i] = data.draw(st.one_of(real_scores, st.just(MALFORMED)))
    scores = (*window.scores[:v], tuple(row), *window.scores[v + 1 :])
    assert tally(replace(window, scores=scores)) == tally(window)


@given(small_windows)
def test_codes_move_no_median_while_real_scores_have_the_majority(window: Input) -> None:
    coder = next((s for s in range(32) if s not in {*window.seats, *window.author_seat}), None)
    assume(coder is not None and len(window.seats) < 32)
    assert coder is not None
    with_codes = replace(
        window,
        scores=(*window.scores, (MALFORMED,) * len(window.author_seat)),
        weights=(*window.weights, 1),
        keeps=(*window.keeps, window.keeps[0]),
        seats=(*window.seats, coder),
    )
    for before, after in zip(tally(window).consensus, tally(with_codes).consensus, strict=True):
        assert after == before or not is_real(after)


def test_who_codes_against_a_majority_is_overruled_and_nobody_else() -> None:
    output = tally(window_of([[MALFORMED, 10], [20, MALFORMED], [30, 30]], authors=[NO_SEAT, 1]))
    assert output.consensus == (20, 10)
    assert output.overruled == 0b001  # validator 1 coded its own update, which counts for nothing


# ----- Agreement -----


@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=16),
)
def test_the_rank_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    xs, ys = zip(*pairs, strict=True)
    if len(set(xs)) == 1 or len(set(ys)) == 1:
        assert spearman_ppm(xs, ys) == 0
        return
    assert spearman_ppm(xs, ys) == pytest.approx(PPM * stats.spearmanr(xs, ys).statistic, abs=2)


def test_a_liar_who_turns_every_score_around_disagrees_wholly() -> None:
    honest = [50, 40, 30, -10, -700]
    output = tally(window_of([honest] * 3 + [[-s for s in honest]]))
    assert output.agreement == (PPM, PPM, PPM, -PPM)


# ----- Shares -----


@given(indicator_lists)
def test_shares_sum_to_at_most_one_and_none_takes_more_than_two_parts(
    indicators: list[list[Fraction]],
) -> None:
    shares = entropy_shares(indicators)
    n = len(shares)
    assert math.fsum(shares) <= 1 + 1e-12
    assert all(1 / (8 * n) <= share <= max(1 / n, 2 / n) + 1e-12 for share in shares)


@given(indicator_lists)
def test_more_of_every_indicator_is_never_less_share(indicators: list[list[Fraction]]) -> None:
    shares = entropy_shares(indicators)
    for i in range(len(shares)):
        for j in range(len(shares)):
            if all(xs[i] >= xs[j] for xs in indicators):
                assert shares[i] >= shares[j] - 1e-12


@given(st.lists(st.integers(0, 10**6).map(Fraction), min_size=2, max_size=16))
def test_an_indicator_says_the_less_the_more_even_it_is(xs: list[Fraction]) -> None:
    assert -1e-12 <= 1 - entropy(proportions_of(xs)) < 1
    assert entropy(proportions_of([Fraction(7)] * len(xs))) == pytest.approx(1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=3))
def test_no_indicator_weighs_more_than_two_thirds_where_another_counts(gains: list[float]) -> None:
    weights = entropy_weights(gains)
    assert math.fsum(weights) == pytest.approx(1)
    if sum(gain >= 1e-9 for gain in gains) > 1:
        assert max(weights) <= 2 / 3 + 1e-12


@given(small_windows, st.data())
def test_an_update_three_versions_stale_takes_half_its_share_and_leaves_the_others_theirs(
    window: Input, data: st.DataObject
) -> None:
    i = data.draw(st.integers(0, len(window.author_seat) - 1))

    def shares(staleness: int) -> list[int]:
        changed = (*window.staleness[:i], staleness, *window.staleness[i + 1 :])
        return list(tally(replace(window, staleness=changed)).shares)

    fresh, stale = shares(0), shares(3)
    assert stale.pop(i) == fresh.pop(i) // 2
    assert stale == fresh


# ----- Vectors -----


def test_scores_are_packed_as_big_endian_int16_from_the_top() -> None:
    assert pack_scores([1, -1, -32768]) == (0x0001_FFFF_8000 << 208)


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_the_frozen_vectors_are_what_the_reference_says(name: str) -> None:
    frozen = (FOLDER / name).read_text(encoding="utf-8")
    assert frozen == text_of(name), "stale: run python -m tests.reference.vectors"


def test_the_cids_of_the_vectors_are_those_of_the_stores() -> None:
    cases = json.loads((FOLDER / "cid.json").read_text(encoding="utf-8"))["cases"]
    known = [case for case in cases if case["codec"] in {RAW, DAG_PB}]
    assert len(known) >= 8
    for case in known:
        digest = bytes.fromhex(case["digest"].removeprefix("0x"))
        assert cid(Root(digest, case["codec"])) == case["cid"]
