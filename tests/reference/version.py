"""The next model, written slowly from `docs/protocol.md` with Python's numbers alone.

A second reading of what a version is: no numpy, nothing of `bafl`. Norms and factors are exact
fractions; the only floats are those that the protocol's text has, one operation at a time.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

LETTERS = {"I64": "q", "F32": "f", "I32": "i", "I16": "h", "I8": "b", "U8": "B", "BOOL": "?"}
ONE = 2**20
PPM = 10**6
LARGEST = float(2**128 - 2**104)
SMALLEST_NORMAL = 2.0**-126


class Update(NamedTuple):
    """An accepted update. encoding: "float32", "int8" or "topk". share_ppm: by the tally."""

    payload: bytes
    encoding: str
    share_ppm: int


def tensors_of(payload: bytes) -> dict[str, list[Any]]:
    """The values of each tensor of a safetensors file, flat, in the order of its header."""
    length = int.from_bytes(payload[:8], "little")
    table = json.loads(payload[8 : 8 + length])
    table.pop("__metadata__")
    found: dict[str, list[Any]] = {}
    for name, entry in table.items():
        first, last = entry["data_offsets"]
        raw = payload[8 + length + first : 8 + length + last]
        letter = LETTERS[entry["dtype"]]
        found[name] = list(struct.unpack(f"<{len(raw) // struct.calcsize(letter)}{letter}", raw))
    return found


def decoded(payload: bytes, encoding: str, sizes: Mapping[str, int]) -> dict[str, list[float]]:
    """An update's values, by tensor of the model. sizes: how many values each of them has."""
    parts = tensors_of(payload)
    values: dict[str, list[float]] = {}
    for name, size in sizes.items():
        if encoding == "float32":
            values[name] = parts[name]
            continue
        exponents = parts[f"{name}:exp"]
        if encoding == "int8":
            values[name] = [q * 2.0 ** exponents[i // 256] for i, q in enumerate(parts[name])]
            continue
        values[name] = [0.0] * size
        for slot, (q, at) in enumerate(zip(parts[name], parts[f"{name}:at"], strict=True)):
            if q:
                values[name][slot // 16 * 256 + at] = q * 2.0 ** exponents[slot // 16]
    return values


def squared_norm(values: Sequence[float]) -> Fraction:
    """Step 2: values rounded to 20 bits of the largest, half to even, squared and summed."""
    peak = max(map(abs, values), default=0.0)
    if peak == 0:
        return Fraction(0)
    unit = Fraction(2) ** (math.frexp(peak)[1] - 20)
    return sum(round(Fraction(value) / unit) ** 2 for value in values) * unit**2


def factors(norms: Sequence[Fraction], medians: int) -> list[int]:
    """Step 2: min(1, medians · lower median / norm), in whole 2^-20. norms: squared."""
    limit = sorted(norms)[(len(norms) - 1) // 2] * medians**2
    return [
        ONE if norm <= limit else math.isqrt(math.floor(ONE**2 * limit / norm)) for norm in norms
    ]


def rounded(value: float) -> bytes:
    """Step 4: the four bytes of the nearest float32."""
    value = max(-LARGEST, min(LARGEST, value))
    return struct.pack("<f", value if abs(value) >= SMALLEST_NORMAL else 0.0)


def next_model(
    model: bytes, updates: Sequence[Update], medians: int = 2, rate_ppm: int = PPM
) -> bytes:
    """The payload of the version that these updates make of the payload of the one before."""
    start = 8 + int.from_bytes(model[:8], "little")
    table = json.loads(model[8:start])
    table.pop("__metadata__")
    before = tensors_of(model)
    sizes = {name: len(before[name]) for name in table if table[name]["dtype"] == "F32"}
    deltas = [decoded(update.payload, update.encoding, sizes) for update in updates]
    norms = [squared_norm([x for name in sizes for x in delta[name]]) for delta in deltas]
    scale = factors(norms, medians)
    data = bytearray(model[start:])
    for name, size in sizes.items():
        for i in range(size):
            total = 0.0
            for delta, update, factor in zip(deltas, updates, scale, strict=True):
                total = total + float(factor * update.share_ppm) * delta[name][i]
            step = total * float(rate_ppm) / float(ONE * PPM * PPM)
            at = table[name]["data_offsets"][0] + 4 * i
            data[at : at + 4] = rounded(before[name][i] + step)
    return model[:start] + bytes(data)
