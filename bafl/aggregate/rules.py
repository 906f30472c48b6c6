"""The rules by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bafl.aggregate.base import Aggregation, Rule
from bafl.aggregate.clipped_mean import ClippedMean
from bafl.codec.model import ModelFile
from bafl.codec.update import UpdateFile
from bafl.errors import ManifestError
from bafl.manifest import Manifest, RuleSpec


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
