"""The default encoding: a signed byte a value, blocks of 256 sharing a power-of-two scale.

What the bytes mean, and why they are one to one with the values, is said in `bafl.codec.blocks`;
encoding a decoded update gives the same bytes again. Cost: O(P), 1 + 1/256 bytes a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from bafl.codec import blocks
from bafl.codec.blocks import BLOCK, exponent_name
from bafl.types import Encoding, TensorSpec

Array = npt.NDArray[Any]
Vector = npt.NDArray[np.float32]


class Int8:
    """Tensor "<name>" holds the q of a model tensor, "<name>:exp" the e of its blocks."""

    encoding = Encoding.INT8

    def specs(self, weights: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        """Two int8 tensors for each float32 tensor of the model."""
        values = tuple(TensorSpec(w.name, "I8", w.shape) for w in weights)
        exponents = tuple(
            TensorSpec(exponent_name(w), "I8", (blocks.count(prod(w.shape)),)) for w in weights
        )
        return values + exponents

    def encode(self, spec: TensorSpec, values: Vector) -> dict[str, Array]:
        """Round a tensor's values, flattened and finite, to bytes and exponents."""
        q = np.empty(values.size, np.int8)
        exponents = np.empty(blocks.count(values.size), np.int8)
        for start, stop in blocks.chunks(values.size):
            rows = blocks.rows(values[start:stop])
            e = blocks.exponents_of(rows)
            q[start:stop] = blocks.quantised(rows, e).reshape(-1)[: stop - start]
            exponents[start // BLOCK : blocks.count(stop)] = e
        return {spec.name: q.reshape(spec.shape), exponent_name(spec): exponents}

    def check(self, spec: TensorSpec, tensors: Mapping[str, Array]) -> float:
        """Refuse blocks that `encode` would have written otherwise; return max |value|."""
        q = tensors[spec.name].reshape(-1)
        exponents = tensors[exponent_name(spec)]
        peak = 0.0
        for start, stop in blocks.chunks(q.size):
            e = exponents[start // BLOCK : blocks.count(stop)]
            peak = max(peak, blocks.check(spec, blocks.rows(q[start:stop]), e))
        return peak

    def decode(
        self, spec: TensorSpec, tensors: Mapping[str, Array], start: int, stop: int
    ) -> Vector:
        """Values start to stop (exclusive); start is a multiple of 256."""
        scale = blocks.scales(tensors[exponent_name(spec)][start // BLOCK : blocks.count(stop)])
        result = tensors[spec.name].reshape(-1)[start:stop].astype(np.float32)
        full = result.size // BLOCK * BLOCK
        result[:full].reshape(-1, BLOCK)[...] *= scale[: full // BLOCK, None]
        if full < result.size:
            result[full:] *= scale[-1]
        return result
