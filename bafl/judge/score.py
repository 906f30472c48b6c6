"""A validator's verdict on a window: one score an update and one keep vote."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bafl.errors import TaskError
from bafl.judge import rules

Array = NDArray[np.float32]
Loss = Callable[[Array], float]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One update of the window as a validator found it: readable, or a code.

    delta: reads it, float32 (P,), clipped; None where `code` says why there is none. It is called
    whenever the values are needed, so that a whole window need not fit into memory.
    code: `rules.UNAVAILABLE_OR_COPY` or `rules.MALFORMED`; None where there is a delta.
    """

    delta: Callable[[], Array] | None = None
    code: int | None = None

    def __post_init__(self) -> None:
        if (self.delta is None) == (self.code is None):
            raise ValueError("a candidate has either a delta or a code")
        if self.code not in (None, rules.UNAVAILABLE_OR_COPY, rules.MALFORMED):
            raise ValueError(f"{self.code} is no code: -32768 (unavailable or copy) or -32767")


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a validator reveals. scores: basis points or codes, one an update. keep: 0..n."""

    scores: tuple[int, ...]
    keep: int


def score_window(
    loss: Loss, base: Array, genesis_loss: float, updates: Sequence[Candidate]
) -> Verdicts:
    """Score a window's updates on a hold-out and vote how many of them to keep.

    loss: the hold-out loss (>= 0) of weights (P,); not finite counts as 1e6.
    base: float32 (P,), the latest final version W. genesis_loss: raw hold-out loss of version 0.
    updates: in the chain's order; deltas clipped to twice the median norm of those readable.
    Costs at most 2n + r + 2 losses for n readable updates, r of them not disqualified.
    Raises TaskError if the loss is negative.
    Source: marginal value as in leave-one-out data valuation (Ghorbani and Zou 2019), measured on
    the validator's hold-out; the keep vote looks for the jump of the loss where poison begins.
    """
    offset = rules.LOSS_OFFSET * _bounded(genesis_loss)

    def measure(weights: Array) -> float:
        return _bounded(loss(weights)) + offset

    deltas = {i: u.delta for i, u in enumerate(updates) if u.delta is not None}
    at_base = measure(base)
    alone = {i: measure(_plus(base, delta())) for i, delta in deltas.items()}
    scores = [rules.MALFORMED if u.code is None else u.code for u in updates]
    fit: list[int] = []
    for i, value in alone.items():
        gain = _ratio(at_base, value)
        if gain < rules.DISQUALIFIED_BELOW:
            scores[i] = _rounded(gain, rules.ALONE_MIN, rules.ALONE_MAX)
        else:
            fit.append(i)
    known = {0: at_base}
    if fit:
        together = _plus(base, _mean([deltas[i] for i in fit], base.shape))
        with_all = known[len(fit)] = measure(together)
        for i in fit:
            without = measure(_plus(together, deltas[i]() / np.float32(-len(fit))))
            gain = _ratio(without, with_all)
            scores[i] = _rounded(gain, rules.MARGINAL_MIN, rules.MARGINAL_MAX)
    ranked = sorted(deltas, key=lambda i: (-scores[i], i))
    if ranked:
        known[1] = alone[ranked[0]]
    curve = _keep_curve(measure, base, [deltas[i] for i in ranked], known)
    # What adds something here is not cut here: in the first windows the few best updates alone
    # can beat all good ones together by more than the vote allows.
    keep = max(keep_vote(curve), sum(score > 0 for score in scores))
    # Whoever would cut nothing of what it could read asks for no cut among the rest either.
    return Verdicts(tuple(scores), len(updates) if keep == len(deltas) else keep)


def keep_vote(curve: Sequence[float], epsilon: float = rules.KEEP_EPSILON) -> int:
    """Return the largest m whose loss `curve[m]` is within (1 + epsilon) of the smallest."""
    limit = (1 + epsilon) * min(curve)
    return max(m for m, value in enumerate(curve) if value <= limit)


def _keep_curve(
    measure: Loss, base: Array, best_first: Sequence[Callable[[], Array]], known: dict[int, float]
) -> list[float]:
    """Loss of base plus the average of the best m updates, m = 0..n; `known` saves repeats."""
    total = np.zeros_like(base)
    curve = [known[0]]
    for m, delta in enumerate(best_first, start=1):
        total += delta()
        value = known[m] if m in known else measure(_plus(base, total / np.float32(m)))
        curve.append(value)
    return curve


def _mean(deltas: Sequence[Callable[[], Array]], shape: tuple[int, ...]) -> Array:
    total = np.zeros(shape, np.float32)
    for delta in deltas:
        total += delta()
    total /= np.float32(len(deltas))
    return total


def _plus(base: Array, delta: Array) -> Array:
    # Two finite float32 may sum to an infinity: the loss then says what it is worth.
    with np.errstate(over="ignore", invalid="ignore"):
        return base + delta


def _bounded(loss: float) -> float:
    if loss < 0:
        raise TaskError(f"a loss must be 0 or more, the task gave {loss}: shift it or square it")
    return min(float(loss), rules.LOSS_CEILING) if math.isfinite(loss) else rules.LOSS_CEILING


def _ratio(worse: float, better: float) -> float:
    """Return (worse - better) / (worse + better) in basis points; 0 where both are 0."""
    total = worse + better
    return rules.BPS * (worse - better) / total if total > 0 else 0.0


def _rounded(bps: float, low: int, high: int) -> int:
    return min(max(rules.ROUNDING * round(bps / rules.ROUNDING), low), high)
