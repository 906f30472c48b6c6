"""The tally of a window, written slowly and obviously from the protocol's text.

This is what `contracts/libraries/Tally.sol` is checked against, not a way to judge updates: the
rules of the protocol run once, on the chain. Medians, thresholds and shares before the entropy
weights are exact fractions; logarithms and square roots are floats.

Where the protocol's text leaves a case open:

- A score that is neither a code nor within [-10000, 9990] is refused at its reveal. Should one
  appear all the same it counts as unavailable.
- "The others" of an agreement are the revealing validators but this one and the update's author;
  where nobody is left they have no consensus, and they need more than half of *their* revealed
  weight in real scores.
- An indicator whose 1 - E is below `EVEN` tells the updates apart by nothing: its 1 - E counts as
  zero. An indicator that is zero for the median update is zero for all, hence even.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

PPM = 1_000_000
UNAVAILABLE = -32768
MALFORMED = -32767
NO_CONSENSUS = -32768
NO_AGREEMENT = -(2**255)
LOWEST, HIGHEST = -10_000, 9_990
NO_SEAT = 255
FEWEST_COMMON = 4
FEWEST_MALFORMED = 3
EVEN = 1e-9


class Verdict(enum.IntEnum):
    """What a window decides about an update."""

    NONE = 0
    REJECTED = 1
    MALFORMED = 2
    ACCEPTED = 3
    PAID = 4


@dataclass(frozen=True, slots=True)
class Input:
    """What a window's verdicts depend on: m revealing validators, n updates in order of arrival.

    scores: m rows of n int16, basis points or a code. weights, keeps, seats: m. active_weight: of
    the whole active set. author_seat, author_weight: n; `NO_SEAT` and 0 where the author is not in
    the active set. reputations: n, ppm. samples: n, declared. staleness: n, versions.
    reject_below: bps, negative.
    """

    scores: tuple[tuple[int, ...], ...]
    weights: tuple[int, ...]
    keeps: tuple[int, ...]
    seats: tuple[int, ...]
    active_weight: int
    author_seat: tuple[int, ...]
    author_weight: tuple[int, ...]
    reputations: tuple[int, ...]
    samples: tuple[int, ...]
    staleness: tuple[int, ...]
    trust_samples: bool
    reject_below: int


@dataclass(frozen=True, slots=True)
class Output:
    """What a window decides.

    consensus: n, bps, or a code. verdicts: n. shares: n, ppm, summing to at most `PPM`. keep: how
    many of the best are kept. agreement: m, ppm in [-PPM, PPM], or `NO_AGREEMENT`. overruled: a
    bitmap over seats.
    """

    consensus: tuple[int, ...]
    verdicts: tuple[Verdict, ...]
    shares: tuple[int, ...]
    keep: int
    agreement: tuple[int, ...]
    overruled: int


def pack_scores(row: Sequence[int]) -> int:
    """The word a reveal's scores (at most 16) are on the chain: big-endian int16, first on top."""
    return int.from_bytes(
        b"".join(score.to_bytes(2, "big", signed=True) for score in row).ljust(32, b"\0"), "big"
    )


def is_real(score: int) -> bool:
    """Whether a score is a measurement, not a code."""
    return LOWEST <= score <= HIGHEST


def lower_weighted_median(values: Sequence[int], weights: Sequence[int]) -> int:
    """The least value x of `values` with 2 * (weight of all values <= x) >= the whole weight."""
    whole = sum(weights)
    for x in sorted(set(values)):
        if 2 * sum(w for v, w in zip(values, weights, strict=True) if v <= x) >= whole:
            return x
    raise ValueError("a median needs at least one value")


def consensus_of(votes: Sequence[tuple[int, int]]) -> int | None:
    """The consensus of (score, weight) votes: the median of the real scores if these are more than
    half of the weight, else None."""
    real = [(score, weight) for score, weight in votes if is_real(score)]
    if 2 * sum(w for _, w in real) <= sum(w for _, w in votes):
        return None
    return lower_weighted_median([s for s, _ in real], [w for _, w in real])


def tally(window: Input) -> Output:
    """The verdicts of a window. Total: any well-formed input has an output."""
    m, n = len(window.scores), len(window.author_seat)
    keep = lower_weighted_median(window.keeps, window.weights)
    judges = [_judges(window, i) for i in range(n)]

    consensus = [_consensus(window, i, judges[i]) for i in range(n)]
    agreed = [i for i in range(n) if consensus[i] not in (NO_CONSENSUS, MALFORMED)]
    overruled = 0
    for i in agreed:
        for v in judges[i]:
            if not is_real(window.scores[v][i]):
                overruled |= 1 << window.seats[v]

    best_first = sorted(agreed, key=lambda i: (-consensus[i], i))
    kept = [i for i in best_first[:keep] if consensus[i] >= window.reject_below]
    verdicts = [Verdict.MALFORMED if c == MALFORMED else Verdict.REJECTED for c in consensus]
    for i in kept:
        verdicts[i] = Verdict.PAID if consensus[i] > 0 else Verdict.ACCEPTED

    return Output(
        consensus=tuple(consensus),
        verdicts=tuple(verdicts),
        shares=_shares(window, consensus, sorted(kept)),
        keep=keep,
        agreement=tuple(_agreement(window, v) for v in range(m)),
        overruled=overruled,
    )


def _judges(window: Input, update: int) -> list[int]:
    """Who judges an update: all who revealed but its author, who does when nobody else is there."""
    everyone = range(len(window.scores))
    others = [v for v in everyone if window.seats[v] != window.author_seat[update]]
    return others or list(everyone)


def _consensus(window: Input, update: int, judges: Sequence[int]) -> int:
    """The consensus score of an update, `MALFORMED`, or `NO_CONSENSUS`."""
    consensus = consensus_of([(window.scores[v][update], window.weights[v]) for v in judges])
    if consensus is not None:
        return consensus
    accusers = [v for v in judges if window.scores[v][update] == MALFORMED]
    accusing = sum(window.weights[v] for v in accusers)
    active = max(0, window.active_weight - window.author_weight[update])
    if len(accusers) >= FEWEST_MALFORMED and 3 * accusing > 2 * active:
        return MALFORMED
    return NO_CONSENSUS


def _agreement(window: Input, validator: int) -> int:
    """The rank correlation of a validator's scores with the consensus of the others, in ppm."""
    mine: list[int] = []
    others: list[int] = []
    for i, author in enumerate(window.author_seat):
        if author == window.seats[validator] or not is_real(window.scores[validator][i]):
            continue
        votes = [
            (window.scores[v][i], window.weights[v])
            for v in range(len(window.scores))
            if v != validator and window.seats[v] != author
        ]
        consensus = consensus_of(votes)
        if consensus is not None:
            mine.append(window.scores[validator][i])
            others.append(consensus)
    if len(mine) < FEWEST_COMMON or len(set(others)) == 1:
        return NO_AGREEMENT
    return spearman_ppm(mine, others)


def spearman_ppm(xs: Sequence[int], ys: Sequence[int]) -> int:
    """Pearson's correlation of the mean ranks, truncated to ppm; 0 where one has no variance."""
    x, y = mean_ranks(xs), mean_ranks(ys)
    mean = Fraction(len(xs) + 1, 2)
    cov = sum((a - mean) * (b - mean) for a, b in zip(x, y, strict=True))
    var = sum((a - mean) ** 2 for a in x) * sum((b - mean) ** 2 for b in y)
    if not var:
        return 0
    size = math.isqrt(math.floor(PPM**2 * cov**2 / var))
    return size if cov > 0 else -size


def mean_ranks(xs: Sequence[int]) -> list[Fraction]:
    """The rank of each value, 1 the least; equal values share the mean of their ranks."""
    return [sum(1 for y in xs if y < x) + Fraction(1 + sum(1 for y in xs if y == x), 2) for x in xs]


def _shares(window: Input, consensus: Sequence[int], accepted: Sequence[int]) -> tuple[int, ...]:
    """The shares of all updates, in ppm; zero where not accepted."""
    indicators = [
        [Fraction(10_000 + consensus[i], 10_000 - consensus[i]) for i in accepted],
        [Fraction(window.reputations[i]) for i in accepted],
    ]
    if window.trust_samples:
        indicators.append([Fraction(window.samples[i]) for i in accepted])
    shares = [0] * len(consensus)
    for i, t in zip(accepted, entropy_shares(indicators), strict=True):
        shares[i] = math.floor(PPM * t / math.sqrt(1 + window.staleness[i]))
    return tuple(shares)


def entropy_shares(indicators: Sequence[Sequence[Fraction]]) -> list[float]:
    """The share of each of n updates by the entropy weight method, before staleness.

    indicators: each n values >= 0, benefits all. Returns n shares, summing to at most 1.
    """
    n = len(indicators[0])
    if n <= 1:
        return [1.0] * n
    proportions = [proportions_of(xs) for xs in indicators]
    weights = entropy_weights([1 - entropy(p) for p in proportions])
    return [
        min(2 / n, sum(w * float(p[i]) for w, p in zip(weights, proportions, strict=True)))
        for i in range(n)
    ]


def proportions_of(xs: Sequence[Fraction]) -> list[Fraction]:
    """Each value, winsorised to [1/2, 2] times the lower median, as a part of their sum."""
    median = sorted(xs)[(len(xs) - 1) // 2]
    if median == 0:
        return [Fraction(1, len(xs))] * len(xs)
    clipped = [min(max(x, median / 2), median * 2) for x in xs]
    return [x / sum(clipped) for x in clipped]


def entropy(proportions: Sequence[Fraction]) -> float:
    """Shannon's entropy over that of n equal parts: 1 where all n >= 2 parts are equal."""
    return -math.fsum(float(p) * math.log(p) for p in proportions) / math.log(len(proportions))


def entropy_weights(gains: Sequence[float]) -> list[float]:
    """The weight of each indicator from its 1 - E: pro rata, none above 2/3, equal if all are 0."""
    gains = [g if g >= EVEN else 0.0 for g in gains]
    whole = sum(gains)
    if whole == 0:
        return [1 / len(gains)] * len(gains)
    weights = [g / whole for g in gains]
    top = max(range(len(weights)), key=lambda k: weights[k])
    excess, rest = weights[top] - 2 / 3, whole - gains[top]
    if excess <= 0 or rest == 0:
        return weights
    return [w - excess if k == top else w + excess * gains[k] / rest for k, w in enumerate(weights)]
