"""The numbers of judging, in one place; `docs/protocol.md` says why each is what it is."""

from __future__ import annotations

from typing import Final

BPS: Final = 10_000
"""One, in scores: basis points."""

LOSS_OFFSET: Final = 0.05
"""Share of the genesis model's loss added to every loss, so that ratios stay calm near zero."""

LOSS_CEILING: Final = 1e6
"""What a loss that is not finite, or larger still, counts as."""

DISQUALIFIED_BELOW: Final = -3_330
"""An update that scores less *alone* doubles the loss: it takes no part in marginals.

Measured (`benchmarks/judging`): at -5000 (three times the loss) 4 flippers of 10 that train for one
epoch get 14 % of their updates in, at -4000 4 %, at -3330 2 %; the honest lose under 1 % in each.
"""

MARGINAL_MIN: Final = -3_330
MARGINAL_MAX: Final = 9_990
"""Range of the score of an update that is not disqualified; below it lie only the disqualified."""

ALONE_MIN: Final = -10_000
ALONE_MAX: Final = -3_340
"""Range of the score of a disqualified update."""

ROUNDING: Final = 10
"""Revealed scores are multiples of this, so that crafted updates learn less of a hold-out."""

KEEP_EPSILON: Final = 0.5
"""The keep vote allows (1 + this) times the smallest loss.

Measured: 0.25 catches no more poison and cuts 2 % of honest updates where nobody attacks.
"""

UNAVAILABLE_OR_COPY: Final = -32_768
MALFORMED: Final = -32_767
"""Codes outside the range of scores; they enter no median and no correlation."""

COPY_COSINE: Final = 0.999
"""From this cosine on with another author's earlier update, an update is a copy."""

COPY_MIN_WEIGHTS: Final = 1_000
"""Models with fewer weights have too few directions for the cosine to prove anything."""

TINY_NORM: Final = 0.01
"""Below this share of the window's median norm an update is as good as none."""
