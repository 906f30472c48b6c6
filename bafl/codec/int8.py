"""The default encoding: a signed byte a value, blocks of 256 sharing a power-of-two scale.

A value is q · 2^e: q in [-127, 127] (-128 unused), e the block's exponent in [-126, 121], so that
every decoded value is a normal float32, exactly. The encoder takes the smallest e with which the
block's largest magnitude rounds (half to even) to at most 127; it then rounds to at least 64, and
a reader refuses a block that uses less, unless e is the smallest. So bytes and values are one to
one, and encoding a decoded update gives the same bytes again.

The error of a value is at most half of 2^e, that is 1/128 of the block's largest magnitude (twice
that only for magnitudes past 127.5 · 2^121, which saturate). Cost: O(P), 1 + 1/256 bytes a value.
Source of the form: block floating point; Rouhani et al. 2023, "Microscaling Data Formats for
Deep Learning" (shared power-of-two scales).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from bafl.codec import errors
from bafl.types import Encoding, TensorSpec

Array = npt.NDArray[Any]
Vector = npt.NDArray[np.float32]

BLOCK = 256
MIN_EXPONENT = -126
MAX_EXPONENT = 121
_MIN_TOP = 64
_CHUNK = BLOCK * 1024


class Int8:
    """Tensor "<name>" holds the q of a model tensor, "<name>:exp" the e of its blocks."""

    encoding = Encoding.INT8

    def specs(self, weights: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        """Two int8 tensors for each float32 tensor of the model."""
        values = tuple(TensorSpec(w.name, "I8", w.shape) for w in weights)
        exponents = tuple(TensorSpec(_exp(w), "I8", (_blocks(prod(w.shape)),)) for w in weights)
        return values + exponents

    def encode(self, spec: TensorSpec, values: Vector) -> dict[str, Array]:
        """Round a tensor's values, flattened and finite, to bytes and exponents."""
        q = np.empty(values.size, np.int8)
        exponents = np.empty(_blocks(values.size), np.int8)
        for start, stop in _chunks(values.size):
            rows = _rows(values[start:stop], np.float32)
            top = np.abs(rows).max(axis=1)
            fraction, power = np.frexp(top)
            # top = fraction · 2^power with fraction in [½, 1); from 127.5 on it would round to 128.
            e = power - 7 + (fraction >= np.float32(127.5 / 128))
            e = np.clip(np.where(top > 0, e, MIN_EXPONENT), MIN_EXPONENT, MAX_EXPONENT)
            # Exact in float64: a float32 times a power of two in [2^-121, 2^126].
            scaled = np.rint(rows.astype(np.float64) * np.ldexp(1.0, -e)[:, None])
            clipped = np.clip(scaled, -127, 127).astype(np.int8)
            q[start:stop] = clipped.reshape(-1)[: stop - start]
            exponents[start // BLOCK : _blocks(stop)] = e
        return {spec.name: q.reshape(spec.shape), _exp(spec): exponents}

    def check(self, spec: TensorSpec, tensors: Mapping[str, Array]) -> float:
        """Refuse blocks that `encode` would have written otherwise; return max |value|."""
        q = tensors[spec.name].reshape(-1)
        exponents = tensors[_exp(spec)]
        peak = 0.0
        for start, stop in _chunks(q.size):
            e = exponents[start // BLOCK : _blocks(stop)].astype(np.int32)
            rows = _rows(q[start:stop], np.int8)
            low, high = rows.min(axis=1).astype(np.int32), rows.max(axis=1).astype(np.int32)
            top = np.maximum(high, -low)
            if bool((top == 128).any()):
                raise errors.NonCanonicalBlock(f"tensor {spec.name!r}: the value -128 is not used")
            if bool(((e < MIN_EXPONENT) | (e > MAX_EXPONENT)).any()):
                raise errors.NonCanonicalBlock(
                    f"tensor {spec.name!r}: an exponent is not within "
                    f"[{MIN_EXPONENT}, {MAX_EXPONENT}]"
                )
            if bool(((top < _MIN_TOP) & (e != MIN_EXPONENT)).any()):
                raise errors.NonCanonicalBlock(
                    f"tensor {spec.name!r}: a block uses less than 7 bits above the smallest "
                    "exponent"
                )
            peak = max(peak, float(np.ldexp(top.astype(np.float64), e).max()))
        return peak

    def decode(
        self, spec: TensorSpec, tensors: Mapping[str, Array], start: int, stop: int
    ) -> Vector:
        """Values start to stop (exclusive); start is a multiple of 256."""
        e = tensors[_exp(spec)][start // BLOCK : _blocks(stop)].astype(np.int32)
        # A power of two is its exponent bits; built so, no libm and no rounding is involved.
        scale = ((e + 127) << 23).view(np.float32)
        q = tensors[spec.name].reshape(-1)[start:stop]
        result = q.astype(np.float32)
        full = result.size // BLOCK * BLOCK
        result[:full].reshape(-1, BLOCK)[...] *= scale[: full // BLOCK, None]
        if full < result.size:
            result[full:] *= scale[-1]
        return result


def _exp(spec: TensorSpec) -> str:
    return f"{spec.name}:exp"


def _blocks(values: int) -> int:
    return -(-values // BLOCK)


def _chunks(size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, size, _CHUNK):
        yield start, min(start + _CHUNK, size)


def _rows(values: Array, dtype: npt.DTypeLike) -> Array:
    """Blocks as rows; the last one is filled up with zeros."""
    if values.size % BLOCK == 0:
        return values.reshape(-1, BLOCK)
    rows = np.zeros(_blocks(values.size) * BLOCK, dtype)
    rows[: values.size] = values
    return rows.reshape(-1, BLOCK)
