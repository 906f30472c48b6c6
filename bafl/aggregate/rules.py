"""The rules by name, and what a scorer shares with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bafl.aggregate import exact
from bafl.aggregate.base import Aggregation, Rule
from bafl.aggregate.clipped_mean import ClippedMean, squared_norm_of
from bafl.codec.model import ModelFile
from bafl.codec.update import UpdateFile
from bafl.errors import ManifestError
from bafl.manifest import Manifest, RuleSpec

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Entry:
    """A rule and its integer parameters, each with the range it may have."""

    make: Callable[..., Rule]
    ranges: Mapping[str, tuple[int, int]]


RULES: Mapping[str, Entry] = {
    "clipped-mean": Entry(
        ClippedMean, {"clip_medians": (1, 1000), "server_rate_ppm": (1, 10_000_000)}
    ),
}


def rule_of(spec: RuleSpec) -> Rule:
    """The rule a manifest names. Raises ManifestError for an unknown rule or parameter."""
    entry = RULES.get(spec.name)
    if entry is None:
        raise ManifestError(
            f"manifest: rule.name is {spec.name!r}; this BAFL knows {', '.join(RULES)}"
        )
    if set(spec.parameters) != set(entry.ranges):
        raise ManifestError(
            f"manifest: rule.parameters are {sorted(spec.parameters)}; "
            f"{spec.name} takes {sorted(entry.ranges)}"
        )
    for name, (low, high) in entry.ranges.items():
        if not low <= spec.parameters[name] <= high:
            raise ManifestError(
                f"manifest: rule.parameters.{name} is {spec.parameters[name]}; "
                f"allowed are {low} to {high}"
            )
    return entry.make(**spec.parameters)


def aggregate(
    model: ModelFile,
    updates: Sequence[UpdateFile],
    shares_ppm: Sequence[int],
    manifest: Manifest,
    out: Path,
) -> Aggregation:
    """Write the next model to out, by the manifest's rule; see `Rule.aggregate`.

    updates: the accepted ones, in the chain's order, with their shares of 1e6.
    Raises ManifestError for a rule this BAFL does not know, AggregationError, StoreError.
    """
    return rule_of(manifest.rule).aggregate(model, updates, shares_ppm, out)


def clipped(updates: Sequence[UpdateFile], clip_medians: int = 2) -> list[Callable[[], Vector]]:
    """A window as a scorer sees it: every update clipped by the median of all it could read.

    Returns what reads each of them, float32 arrays of shape (P,), in the order given; an empty list
    for no updates.
    """
    if not updates:
        return []
    factors = exact.clip_factors([squared_norm_of(update) for update in updates], clip_medians)

    def read(update: UpdateFile, factor: int) -> Vector:
        return exact.scaled(update.array(), factor)

    return [partial(read, *each) for each in zip(updates, factors, strict=True)]
