"""Windows for hypothesis: any the contract could tally, with the odd ones made common."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy, composite

from tests.reference.tally import HIGHEST, LOWEST, MALFORMED, NO_SEAT, UNAVAILABLE, Input

real_scores = st.one_of(
    st.integers(LOWEST, HIGHEST),
    st.integers(-60, 60).map(lambda tens: 10 * tens),
    st.sampled_from([LOWEST, -600, -10, 0, 10, HIGHEST]),
)
codes = st.sampled_from([UNAVAILABLE, MALFORMED])


def scores(coded: float) -> SearchStrategy[int]:
    """Scores, of which about the given part are codes."""
    kinds = [codes] * round(8 * coded) + [real_scores] * (8 - round(8 * coded))
    return st.one_of(kinds)


@composite
def windows(draw: DrawFn, max_validators: int = 32, max_updates: int = 16) -> Input:
    """Any well-formed input of a tally."""
    m = draw(st.integers(1, max_validators))
    n = draw(st.integers(1, max_updates))

    def many(count: int, each: SearchStrategy[int]) -> tuple[int, ...]:
        return tuple(draw(st.lists(each, min_size=count, max_size=count)))

    coded = draw(st.sampled_from([0.0, 0.0, 0.125, 0.5, 1.0]))
    weights = many(m, draw(st.sampled_from([st.integers(1, 4), st.integers(1, 2**96)])))
    seats = tuple(draw(st.permutations(range(32)))[:m])
    absent = sorted(set(range(32)) - set(seats))
    absent_weight = draw(st.integers(1, 2**90)) if absent else 0
    authors = many(n, st.sampled_from([NO_SEAT, *seats, *absent[:2]]))
    weight_of = {NO_SEAT: 0, **dict(zip(seats, weights, strict=True))}
    reputations = st.one_of(st.integers(0, 10**6), st.sampled_from([0, 300_000, 10**6]))
    samples = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 100, 101]))
    return Input(
        scores=tuple(many(n, scores(coded)) for _ in range(m)),
        weights=weights,
        keeps=many(m, st.integers(0, n)),
        seats=seats,
        active_weight=sum(weights) + len(absent[:2]) * absent_weight,
        author_seat=authors,
        author_weight=tuple(weight_of.get(seat, absent_weight) for seat in authors),
        reputations=many(n, reputations),
        samples=many(n, samples),
        staleness=many(n, st.one_of(st.integers(0, 4), st.integers(0, 2**16 - 1))),
        trust_samples=draw(st.booleans()),
        reject_below=draw(st.sampled_from([-600, -1, -10_000, -300])),
    )
