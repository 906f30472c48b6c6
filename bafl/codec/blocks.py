"""Blocks of 256 values within one tensor, sharing a power-of-two scale: what int8 and topk rest on.

A value is q · 2^e: q in [-127, 127] (-128 unused), e the block's exponent in [-126, 121], so that
every decoded value is a normal float32, exactly. A writer takes the smallest e with which the
block's largest magnitude rounds (half to even) to at most 127; it then rounds to at least 64, and
a reader refuses a block that uses less, unless e is the smallest. So bytes and values are one to
one.

The error of a value is at most half of 2^e (2^e where it saturates, past 127.5 · 2^121), and so at
most 1/127.5 of the block's largest magnitude, which is at least 63.75 · 2^e.
Source of the form: block floating point; Rouhani et al. 2023, "Microscaling Data Formats for
Deep Learning" (shared power-of-two scales).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bafl.codec import errors
from bafl.types import TensorSpec

Array = npt.NDArray[Any]
Vector = npt.NDArray[np.float32]

BLOCK = 256
MIN_EXPONENT = -126
MAX_EXPONENT = 121
_MIN_TOP = 64
_CHUNK = BLOCK * 1024


def count(values: int) -> int:
    """How many blocks that many values make; the last one may be shorter."""
    return -(-values // BLOCK)


def chunks(size: int) -> Iterator[tuple[int, int]]:
    """Cut a tensor's values into runs of whole blocks, a fixed number at a time: (start, stop)."""
    for start in range(0, size, _CHUNK):
        yield start, min(start + _CHUNK, size)


def rows(values: Array, width: int = BLOCK) -> Array:
    """Lay values out one block a row, the last one filled up with zeros: shape (blocks, width)."""
    if values.size % width == 0:
        return values.reshape(-1, width)
    filled = np.zeros(-(-values.size // width) * width, values.dtype)
    filled[: values.size] = values
    return filled.reshape(-1, width)


def exponent_name(spec: TensorSpec) -> str:
    """Name of the payload tensor with the exponents of a model tensor's blocks, int8 (blocks,)."""
    return f"{spec.name}:exp"


def exponents_of(values: Vector) -> npt.NDArray[np.int32]:
    """Choose each block's exponent. values: (blocks, n), finite. Returns (blocks,)."""
    top = np.abs(values).max(axis=1)
    fraction, power = np.frexp(top)
    # top = fraction · 2^power with fraction in [½, 1); from 127.5 on it would round to 128.
    e = power - 7 + (fraction >= np.float32(127.5 / 128))
    return np.clip(np.where(top > 0, e, MIN_EXPONENT), MIN_EXPONENT, MAX_EXPONENT)


def quantised(values: Vector, exponents: npt.NDArray[np.int32]) -> npt.NDArray[np.int8]:
    """Round values (blocks, n) to their q. exponents: (blocks,)."""
    # Exact in float64: a float32 times a power of two in [2^-121, 2^126].
    scaled = np.rint(values.astype(np.float64) * np.ldexp(1.0, -exponents)[:, None])
    return np.clip(scaled, -127, 127).astype(np.int8)


def scales(exponents: npt.NDArray[np.int8]) -> Vector:
    """Return 2^e of each block, float32. A power of two is its exponent bits: nothing rounds."""
    return ((exponents.astype(np.int32) + 127) << 23).view(np.float32)


def check(spec: TensorSpec, q: npt.NDArray[np.int8], exponents: npt.NDArray[np.int8]) -> float:
    """Refuse blocks that a writer would have scaled otherwise; return max |value|.

    q: (blocks, n). exponents: (blocks,). Raises NonCanonicalBlock.
    """
    e = exponents.astype(np.int32)
    low, high = q.min(axis=1).astype(np.int32), q.max(axis=1).astype(np.int32)
    top = np.maximum(high, -low)
    if bool((top == 128).any()):
        raise errors.NonCanonicalBlock(f"tensor {spec.name!r}: the value -128 is not used")
    if bool(((e < MIN_EXPONENT) | (e > MAX_EXPONENT)).any()):
        raise errors.NonCanonicalBlock(
            f"tensor {spec.name!r}: an exponent is not within [{MIN_EXPONENT}, {MAX_EXPONENT}]"
        )
    if bool(((top < _MIN_TOP) & (e != MIN_EXPONENT)).any()):
        raise errors.NonCanonicalBlock(
            f"tensor {spec.name!r}: a block uses less than 7 bits above the smallest exponent"
        )
    return float(np.ldexp(top.astype(np.float64), e).max())
