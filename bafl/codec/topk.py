"""The sparse encoding: of every block of 256 values the TOP largest, each as two bytes.

A block sends the values of largest magnitude (of equals, the earlier), rounded as in int8; what
rounds to zero is left out. Entries come in the order of their places; a block with fewer entries
than slots ends in zero bytes. A tensor, or a last block, of no more than TOP values goes whole.
So the manifest alone says how many bytes an update has, nothing in a file can make a reader
allocate more, and bytes are one to one with decoded values.

Selecting within blocks rather than in the whole model costs a little of what a given number of
values can say, and saves more: a place is a byte instead of four, values share a scale, blocks
decode by themselves, and nobody has to hold or sort a whole model. What is not sent is the
trainer's residual; but for the rounding, each update carries at least TOP/256 of the squared norm,
which is what error feedback needs to converge.

Cost: O(P), (2 · TOP + 1)/256 bytes a value. Source: Aji and Heafield 2017, "Sparse Communication
for Distributed Gradient Descent"; Stich et al. 2018, "Sparsified SGD with Memory" (k-contraction,
error feedback); Renggli et al. 2019, "SparCML" (the largest of each bucket).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from bafl.codec import blocks, errors
from bafl.codec.blocks import BLOCK, exponent_name
from bafl.types import Encoding, TensorSpec

Array = npt.NDArray[Any]
Vector = npt.NDArray[np.float32]

TOP = 16
"""Values of a block that are sent: one in sixteen. Part of the format: everybody's must agree."""

_INDEX_BITS = 8


class TopK:
    """Tensors "<name>" (q), "<name>:at" (places in their blocks) and "<name>:exp" (e a block)."""

    encoding = Encoding.TOPK

    def specs(self, weights: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        """Two int8 tensors and one of uint8 for each float32 tensor of the model, all flat."""
        specs = []
        for w in weights:
            size = prod(w.shape)
            specs += [
                TensorSpec(w.name, "I8", (_slots(size),)),
                TensorSpec(_at(w), "U8", (_slots(size),)),
                TensorSpec(exponent_name(w), "I8", (blocks.count(size),)),
            ]
        return tuple(specs)

    def encode(self, spec: TensorSpec, values: Vector) -> dict[str, Array]:
        """Pick and round a tensor's largest values, flattened and finite."""
        q = np.empty(_slots(values.size), np.int8)
        at = np.empty(q.size, np.uint8)
        exponents = np.empty(blocks.count(values.size), np.int8)
        for start, stop in blocks.chunks(values.size):
            rows = blocks.rows(values[start:stop])
            places = _largest(rows)
            picked = np.take_along_axis(rows, places, axis=1)
            e = blocks.exponents_of(picked)
            rounded = blocks.quantised(picked, e)
            # Stable, so that the entries stay in order while the empty slots go behind them.
            order = np.argsort(rounded == 0, axis=1, kind="stable")
            rounded = np.take_along_axis(rounded, order, axis=1)
            places = np.where(rounded, np.take_along_axis(places, order, axis=1), 0)
            first, last = _slots(start), _slots(stop)
            q[first:last] = rounded.reshape(-1)[: last - first]
            at[first:last] = places.reshape(-1)[: last - first]
            exponents[start // BLOCK : blocks.count(stop)] = e
        return {spec.name: q, _at(spec): at, exponent_name(spec): exponents}

    def check(self, spec: TensorSpec, tensors: Mapping[str, Array]) -> float:
        """Refuse entries that `encode` would have written otherwise; return max |value|."""
        size = prod(spec.shape)
        exponents = tensors[exponent_name(spec)]
        peak = 0.0
        for start, stop in blocks.chunks(size):
            slots = slice(_slots(start), _slots(stop))
            q = blocks.rows(tensors[spec.name][slots], TOP)
            at = blocks.rows(tensors[_at(spec)][slots], TOP)
            _check_places(spec, q, at, stop - start)
            e = exponents[start // BLOCK : blocks.count(stop)]
            peak = max(peak, blocks.check(spec, q, e))
        return peak

    def decode(
        self, spec: TensorSpec, tensors: Mapping[str, Array], start: int, stop: int
    ) -> Vector:
        """Values start to stop (exclusive); start is a multiple of 256."""
        slots = slice(_slots(start), _slots(min(blocks.count(stop) * BLOCK, prod(spec.shape))))
        q = blocks.rows(tensors[spec.name][slots], TOP)
        at = blocks.rows(tensors[_at(spec)][slots], TOP)
        scale = blocks.scales(tensors[exponent_name(spec)][start // BLOCK : blocks.count(stop)])
        result = np.zeros(q.shape[0] * BLOCK, np.float32)
        row, slot = np.nonzero(q)
        result[row * BLOCK + at[row, slot]] = q[row, slot] * scale[row]
        return result[: stop - start]


def _largest(rows: Vector) -> npt.NDArray[np.int64]:
    """Places of each row's TOP largest magnitudes, ascending; of equals, the earlier ones.

    Magnitude and place make one integer, so that no two are equal and any way of partitioning
    finds the same ones. rows: (blocks, 256). Returns (blocks, TOP).
    """
    magnitude = np.abs(rows).view(np.uint32).astype(np.int64)
    keys = (magnitude << _INDEX_BITS) + (BLOCK - 1 - np.arange(BLOCK))
    top = np.partition(keys, BLOCK - TOP, axis=1)[:, BLOCK - TOP :]
    places: npt.NDArray[np.int64] = np.sort(BLOCK - 1 - (top & (BLOCK - 1)), axis=1)
    return places


def _check_places(
    spec: TensorSpec, q: npt.NDArray[np.int8], at: npt.NDArray[np.uint8], size: int
) -> None:
    """Raise NonCanonicalEntry unless the entries of these blocks are in their only spelling.

    q, at: (blocks, TOP). size: values of the blocks; the last may be shorter.
    """
    used = q != 0
    if bool((used[:, 1:] & ~used[:, :-1]).any()):
        raise errors.NonCanonicalEntry(f"tensor {spec.name!r}: a block has a zero among its values")
    if bool((at[~used] != 0).any()):
        raise errors.NonCanonicalEntry(f"tensor {spec.name!r}: an empty slot has a place")
    if bool((used[:, 1:] & (at[:, 1:] <= at[:, :-1])).any()):
        raise errors.NonCanonicalEntry(f"tensor {spec.name!r}: a block's places do not ascend")
    if int(at[-1].max()) >= size - (len(q) - 1) * BLOCK:
        raise errors.NonCanonicalEntry(f"tensor {spec.name!r}: a place is past the tensor's end")


def _at(spec: TensorSpec) -> str:
    return f"{spec.name}:at"


def _slots(values: int) -> int:
    """How many entries are kept of that many values, the first of a tensor or all of it."""
    full, rest = divmod(values, BLOCK)
    return full * TOP + min(rest, TOP)
