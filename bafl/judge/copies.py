"""Which updates are copies of another's, or as good as none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bafl.judge import rules

Array = NDArray[np.float32]


def copies(
    authors: Sequence[str], judged: int, blocks: Iterable[Sequence[Array]]
) -> dict[int, int]:
    """Find the updates that point where another author's earlier one already pointed.

    authors: addresses, an entry an update, in the order of submission; the last `judged` of them
    are judged, those before are the rest of the ring. blocks: the same values of each update, as
    decoded, not clipped, a block at a time.
    Returns for each copy the first update that it copies, by their places in `authors`. None for
    models of fewer than `rules.COPY_MIN_WEIGHTS` weights and for zero updates (see `tiny`).
    """
    size = 0

    def counted() -> Iterable[Sequence[Array]]:
        nonlocal size
        for block in blocks:
            size += block[0].size
            yield block

    close = cosines(len(authors), judged, counted()) >= rules.COPY_COSINE
    if size < rules.COPY_MIN_WEIGHTS:
        return {}
    found: dict[int, int] = {}
    for row, place in enumerate(range(len(authors) - judged, len(authors))):
        for earlier in range(place):
            if close[row, earlier] and authors[earlier] != authors[place]:
                found[place] = earlier
                break
    return found


def cosines(count: int, judged: int, blocks: Iterable[Sequence[Array]]) -> NDArray[np.float64]:
    """Return the cosines of the last `judged` of `count` vectors with all: float64 (judged, count).

    0 where one of two is zero. blocks: the same values of each vector, float32, a block at a time:
    memory holds one of them. Their squares neither overflow nor vanish in float64.
    """
    products = np.zeros((judged, count))
    squares = np.zeros(count)
    for block in blocks:
        rows = np.array(block, np.float64)
        products += rows[count - judged :] @ rows.T
        squares += np.einsum("ij,ij->i", rows, rows)
    lengths = np.sqrt(squares)
    both = lengths[count - judged :, None] * lengths
    result = np.zeros_like(products)
    np.divide(products, both, out=result, where=both > 0)
    return result


def tiny(norm: float, median_norm: float) -> bool:
    """Tell whether an update is as good as none: below 1 % of the window's median norm, or 0."""
    return norm < rules.TINY_NORM * median_norm or norm == 0.0
