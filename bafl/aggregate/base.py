"""What an aggregation rule is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bafl.codec.model import ModelFile
from bafl.codec.update import UpdateFile
from bafl.errors import RefusedError

Vector = npt.NDArray[np.float32]


class AggregationError(RefusedError):
    """Updates and shares from which no version can be made."""


@dataclass(frozen=True, slots=True)
class Aggregation:
    """What a rule did, for people to read: one entry per update, in the order given.

    norms, median_norm: L2 norms before clipping. factors: what each was multiplied by.
    """

    norms: tuple[float, ...]
    median_norm: float
    factors: tuple[float, ...]


class Rule(Protocol):
    """A pure function from a model, a window's accepted updates and their shares to a model.

    Implementations use `bafl.aggregate.exact` alone for arithmetic, stream block by block, and
    say in their docstring where they come from, what share of bad updates they stand, their cost.
    """

    def aggregate(
        self,
        model: ModelFile,
        updates: Sequence[UpdateFile],
        shares_ppm: Sequence[int],
        out: Path,
    ) -> Aggregation:
        """Write the next model to out.

        updates, shares_ppm: the accepted ones, in the chain's order; shares are integers of 1e6
        that sum to at most 1e6. Raises AggregationError if they are not, StoreError when the disk
        refuses; nothing is left at out then.
        """

    def clipped(
        self, updates: Sequence[UpdateFile], squared_norms: Sequence[int]
    ) -> list[Callable[[], Vector]]:
        """A window as a scorer sees it: every update as the rule clips it among these.

        squared_norms: theirs, see `exact.SquaredNorm`. Returns what reads each of them, float32
        arrays of shape (P,), in the order given; an empty list for no updates.
        """


def check_inputs(
    model: ModelFile, updates: Sequence[UpdateFile], shares_ppm: Sequence[int]
) -> None:
    """Raise AggregationError unless there is one sound share per update, all for this model."""
    if not updates:
        raise AggregationError("no accepted updates: a version is made from at least one")
    if len(shares_ppm) != len(updates):
        raise AggregationError(f"{len(updates)} updates, but {len(shares_ppm)} shares")
    if any(type(s) is not int or s < 0 for s in shares_ppm) or sum(shares_ppm) > 1_000_000:
        raise AggregationError(
            f"shares {list(shares_ppm)} are not integers ≥ 0 of sum ≤ 1000000; "
            "read them from the chain"
        )
    for update in updates:
        if update.manifest != model.manifest:
            raise AggregationError(f"{update.path.name} was read for another manifest's model")
