"""Which updates are copies of another's, or as good as none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bafl.judge import rules

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Authored:
    """An update and who wrote it. author: address. delta: float32 (P,), as decoded, not clipped."""

    author: str
    delta: Array


def copied(update: Authored, earlier: Sequence[Authored]) -> bool:
    """Tell whether an update points where another author's earlier one already pointed.

    earlier: updates of the ring submitted before this one. False for models of fewer than
    `rules.COPY_MIN_WEIGHTS` weights and for zero updates (see `tiny`).
    """
    if update.delta.size < rules.COPY_MIN_WEIGHTS:
        return False
    return any(
        cosine(update.delta, other.delta) >= rules.COPY_COSINE
        for other in earlier
        if other.author != update.author
    )


def tiny(norm: float, median_norm: float) -> bool:
    """Tell whether an update is as good as none: below 1 % of the window's median norm, or 0."""
    return norm < rules.TINY_NORM * median_norm or norm == 0.0


def cosine(a: Array, b: Array) -> float:
    """Return the cosine of two vectors, float32 (P,); 0 where one of them is zero.

    Each is scaled by its largest value first, so that squares neither overflow nor vanish.
    """
    x, y = _unit(a), _unit(b)
    if x is None or y is None:
        return 0.0
    product = float(np.einsum("i,i->", x, y, dtype=np.float64))
    squares = (float(np.einsum("i,i->", v, v, dtype=np.float64)) for v in (x, y))
    return product / float(np.sqrt(next(squares) * next(squares)))


def _unit(vector: Array) -> Array | None:
    largest = np.max(np.abs(vector), initial=np.float32(0))
    return None if largest == 0 else vector / largest
