"""Arithmetic that gives the same bytes on every machine; the next model rests on it alone.

Elementwise float64 sums, products and quotients, correctly rounded by IEEE 754, one numpy call per
operation (so nothing is fused), in the order the caller gives; reductions over parameters in
integers, which no order, thread or vector width can change. No BLAS, no libm, no float sums.
Inputs have no NaN, infinity, -0 or subnormal (the codecs refuse them), and intermediates never get
near float64's subnormals, so a CPU told to flush them gives the same results.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import frexp, isqrt

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]

ONE = 1 << 20
"""One, in the integers of clip factors."""

NORM_BITS = 20
_NORM_BASE = 126  # the smallest normal float32 is ½ · 2^-125, so exponents plus this are positive
_MAX_FLOAT32 = float(np.finfo(np.float32).max)
_SMALLEST_NORMAL = 2.0**-126
_MAX_BLOCK = 1 << 22  # squares of 20 bits: 2^22 of them fit in 63 bits with room
_PPM = 1_000_000


class SquaredNorm:
    """The square of an update's L2 norm as an integer, fed block by block.

    Every value is scaled by the power of two that brings peak, the update's largest magnitude,
    into [2^19, 2^20), rounded half to even to an integer and squared; the sum is exact, whatever
    the blocks. `value` is in one unit for all updates, (2^-146)², so values compare and divide.
    The norm's relative error is below √P · 2^-20.
    """

    def __init__(self, peak: float) -> None:
        """peak: max |x| over the whole update; 0 or a normal float32."""
        self._exponent = frexp(peak)[1] if peak else 1 - _NORM_BASE
        self._scale = np.float64(2.0 ** (NORM_BITS - self._exponent))
        self._sum = 0

    def add(self, block: Vector) -> None:
        """Take in some values: float32, at most 2^22 of them."""
        if block.size > _MAX_BLOCK:
            raise ValueError(f"a block has at most {_MAX_BLOCK} values, not {block.size}")
        scaled = np.multiply(block, self._scale, dtype=np.float64)
        whole = np.rint(scaled).astype(np.int64)
        self._sum += int(np.dot(whole, whole))

    @property
    def value(self) -> int:
        """The squared norm of what was added."""
        return self._sum << (2 * (self._exponent + _NORM_BASE))


def squared_norm(values: Vector) -> int:
    """The squared norm of a whole vector; see `SquaredNorm`.

    values: float32, finite; without a normal value the norm is 0.
    """
    flat = values.reshape(-1)
    peak = float(np.abs(flat).max()) if flat.size else 0.0
    if peak < _SMALLEST_NORMAL:
        return 0
    norm = SquaredNorm(peak)
    for start in range(0, flat.size, _MAX_BLOCK):
        norm.add(flat[start : start + _MAX_BLOCK])
    return norm.value


def norm_of(squared: int) -> float:
    """A squared norm as an ordinary float, for people to read; no consensus rests on it."""
    return isqrt(squared) / 2.0 ** (_NORM_BASE + NORM_BITS)


def lower_median(values: Sequence[int]) -> int:
    """The least x with 2 · #(values ≤ x) ≥ #values. Raises ValueError if there are none."""
    if not values:
        raise ValueError("no values, no median")
    return sorted(values)[(len(values) - 1) // 2]


def clip_factor(squared: int, squared_limit: int) -> int:
    """What an update is multiplied by so that its norm is within the limit, times 2^20.

    min(1, limit / norm), rounded down; both are given squared (`SquaredNorm.value`).
    """
    if squared <= squared_limit:
        return ONE
    return isqrt((squared_limit << 40) // squared)


def clip_factors(squared: Sequence[int], medians: int) -> list[int]:
    """Clip factors for a window: every norm to at most `medians` times the lower median norm.

    If half of the updates or more are zero, so is the limit, and nothing moves the model.
    """
    limit = lower_median(squared) * medians * medians
    return [clip_factor(value, limit) for value in squared]


def scaled(values: Vector, factor: int) -> Vector:
    """values times factor / 2^20, rounded once: float32, same shape; the input if factor is 1."""
    if factor == ONE:
        return values
    return rounded(np.multiply(values, np.float64(factor / ONE), dtype=np.float64))


def weighted_step(
    blocks: Iterable[Vector], factors: Sequence[int], shares_ppm: Sequence[int], rate_ppm: int
) -> Double:
    """Σ share · factor · block, in the order given, times the server rate: float64.

    blocks: the same values of each update, float32. factors: of 2^20. shares_ppm, rate_ppm: of
    1e6. The sum runs over integers times float32 values and is scaled once at the end.
    """
    total: Double = np.zeros(())
    for block, factor, share in zip(blocks, factors, shares_ppm, strict=True):
        total = total + np.multiply(block, np.float64(factor * share), dtype=np.float64)
    return total * np.float64(rate_ppm) / np.float64(ONE * _PPM * _PPM)


def stepped(model: Vector, step: Double) -> Vector:
    """model + step, rounded once (`rounded`). model: float32; step: float64, same shape."""
    return rounded(np.add(model, step, dtype=np.float64))


def rounded(values: Double) -> Vector:
    """Round float64 to float32, half to even; never NaN, infinite, -0 or subnormal.

    What is too large becomes ±the largest float32, so that no accepted update can make a version
    that cannot be written, and thereby stop the federation; what is below the smallest normal
    float32 becomes 0, before rounding, since CPUs differ in when they call a result subnormal.
    """
    bounded = np.clip(values, -_MAX_FLOAT32, _MAX_FLOAT32)
    bounded[np.abs(bounded) < _SMALLEST_NORMAL] = 0.0
    return bounded.astype(np.float32)
