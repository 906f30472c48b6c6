"""The first rule: clip every update to a multiple of the median norm, add by share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from bafl.aggregate import exact
from bafl.aggregate.base import Aggregation, Vector, check_inputs
from bafl.codec.model import ModelFile, write_model_blocks
from bafl.codec.update import BLOCK, UpdateFile, partition
from bafl.types import TensorSpec

Array = npt.NDArray[Any]


class ClippedMean:
    """model + rate · Σ share · clip(update, clip_medians · lower median norm).

    Source: norm clipping, Sun et al. 2019, "Can You Really Backdoor Federated Learning?", with
    the window's own median as threshold instead of a constant.
    Breakdown point: the threshold stands just under half of the accepted updates; the mean is
    bounded rather than robust: updates with shares of sum s move the model by at most
    s · clip_medians · median norm, in any direction they agree on.
    Cost: O(K · P) time in two passes over the updates, memory of a few blocks whatever K and P.
    """

    def __init__(self, clip_medians: int, server_rate_ppm: int, block: int = BLOCK) -> None:
        """clip_medians ≥ 1; server_rate_ppm of 1e6; block: values at a time, changes no result."""
        self.clip_medians = clip_medians
        self.server_rate_ppm = server_rate_ppm
        self.block = block

    def aggregate(
        self,
        model: ModelFile,
        updates: Sequence[UpdateFile],
        shares_ppm: Sequence[int],
        out: Path,
    ) -> Aggregation:
        """Write the next model to out; see `Rule.aggregate`."""
        check_inputs(model, updates, shares_ppm)
        squared = [squared_norm_of(update, self.block) for update in updates]
        factors = exact.clip_factors(squared, self.clip_medians)
        parts = self._parts(model, updates, factors, shares_ppm)
        write_model_blocks(out, model.manifest, parts)
        return Aggregation(
            norms=tuple(exact.norm_of(value) for value in squared),
            median_norm=exact.norm_of(exact.lower_median(squared)),
            factors=tuple(factor / exact.ONE for factor in factors),
        )

    def clipped(
        self, updates: Sequence[UpdateFile], squared_norms: Sequence[int]
    ) -> list[Callable[[], Vector]]:
        """Every update, clipped among these, for a scorer; see `Rule.clipped`."""
        if not updates:
            return []
        factors = exact.clip_factors(squared_norms, self.clip_medians)

        def read(update: UpdateFile, factor: int) -> Vector:
            return exact.scaled(update.array(), factor)

        return [partial(read, *each) for each in zip(updates, factors, strict=True)]

    def _parts(
        self,
        model: ModelFile,
        updates: Sequence[UpdateFile],
        factors: Sequence[int],
        shares_ppm: Sequence[int],
    ) -> Iterator[tuple[TensorSpec, Iterator[Array]]]:
        cuts: dict[str, list[tuple[int, int]]] = {}
        for spec, start, stop in partition(model.manifest, self.block):
            cuts.setdefault(spec.name, []).append((start, stop))

        def stepped(spec: TensorSpec) -> Iterator[Array]:
            for start, stop in cuts.get(spec.name, []):
                blocks = (update.read(spec, start, stop) for update in updates)
                step = exact.weighted_step(blocks, factors, shares_ppm, self.server_rate_ppm)
                yield exact.stepped(model.read(spec, start, stop), step)

        for spec in model.manifest.tensors:
            if spec.dtype == "F32":
                yield spec, stepped(spec)
            else:
                yield spec, iter([model.tensors[spec.name]])


def squared_norm_of(update: UpdateFile, block: int = BLOCK) -> int:
    """The exact squared norm of an update, streaming; see `exact.SquaredNorm`."""
    norm = exact.SquaredNorm(update.peak)
    for values in update.blocks(block):
        norm.add(values)
    return norm.value
