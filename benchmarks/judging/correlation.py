"""Pearson's correlation of validators with the consensus of the others, beside the ranks."""

from __future__ import annotations

import math

import numpy as np

from tests.reference.tally import FEWEST_COMMON, Input, consensus_of, is_real

_CLIP_BPS = 500


def pearsons(window: Input) -> list[float | None]:
    """Correlate each validator's scores, clipped to 500 bps, with the others' consensus.

    None where fewer than four updates compare or the others' consensus has no variance.
    """
    return [_pearson(window, validator) for validator in range(len(window.scores))]


def _pearson(window: Input, validator: int) -> float | None:
    pairs: list[tuple[int, int]] = []
    for update, author in enumerate(window.author_seat):
        own = window.scores[validator][update]
        if author == window.seats[validator] or not is_real(own):
            continue
        others = consensus_of(
            [
                (window.scores[v][update], window.weights[v])
                for v in range(len(window.scores))
                if v != validator and window.seats[v] != author
            ]
        )
        if others is not None:
            pairs.append((own, others))
    if len(pairs) < FEWEST_COMMON:
        return None
    mine, theirs = np.clip(np.array(pairs, np.float64), -_CLIP_BPS, _CLIP_BPS).T
    spread = math.sqrt(mine.var() * theirs.var())
    if theirs.var() == 0:
        return None
    return (
        float(((mine - mine.mean()) * (theirs - theirs.mean())).mean()) / spread if spread else 0.0
    )
