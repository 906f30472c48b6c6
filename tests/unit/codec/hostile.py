"""Payloads that somebody might send, and what must come of each: a refusal or the right tensors.

The second reader (`tests/reference/version.py`) is slow and knows nothing of the first: it takes a
file apart as safetensors describes it, and decodes value by value as `docs/protocol.md` says.
"""

from __future__ import annotations

import json
import math
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bafl.codec import canonical
from bafl.codec.model import model_layout, read_model, write_model
from bafl.codec.update import CODECS, read_update, update_layout, write_update
from bafl.errors import BaflError
from bafl.types import Encoding, UpdateHeader
from tests.reference.version import decoded, tensors_of
from tests.unit.payloads import make_header, make_manifest, random_delta, random_state

SIZE_LIMIT = 1 << 14
MANIFEST = make_manifest(encodings=tuple(Encoding), size_limit=SIZE_LIMIT)
MOST_MEMORY = 1 << 18
"""Bytes one payload may take to read or refuse: some times what this model's files have."""

Kind = Encoding | None
"""What a payload is read as: an update in an encoding, or a model."""

KINDS: tuple[Kind, ...] = (*Encoding, None)
Table = dict[str, Any]
Mutation = Callable[[bytes, random.Random], bytes]


def header_of(kind: Encoding) -> UpdateHeader:
    return make_header(kind)


def layout_of(kind: Kind) -> canonical.Layout:
    return model_layout(MANIFEST) if kind is None else update_layout(header_of(kind), MANIFEST)


def good(folder: Path, kind: Kind, seed: int) -> bytes:
    """Write a sound payload, and return its bytes."""
    path = folder / "good"
    if kind is None:
        write_model(path, MANIFEST, random_state(MANIFEST, seed))
    else:
        delta = random_delta(MANIFEST, seed, 0.0 if seed == 0 else 10.0 ** (seed % 5 - 3))
        write_update(path, delta, header_of(kind), MANIFEST)
    return path.read_bytes()


# --- the oracle ---


@dataclass
class Tally:
    """What came of payloads: how many were read, and how many refused for which reason."""

    read: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    most_memory: int = 0


def judge(path: Path, data: bytes, kind: Kind, tally: Tally) -> None:
    """Read a payload; raise AssertionError unless it is refused as it should be, or right."""
    path.unlink(missing_ok=True)  # a new file: arrays of the one before may still be mapped on it
    path.write_bytes(data)
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    refusal: BaflError | None = None
    arrays: Mapping[str, Any] = {}
    try:
        arrays = _read(path, kind)
    except BaflError as error:
        refusal = error
    used = tracemalloc.get_traced_memory()[1] - before
    tally.most_memory = max(tally.most_memory, used)
    assert used <= MOST_MEMORY, f"{used} bytes of memory for a payload of {len(data)}"
    if refusal is not None:
        text = str(refusal)
        assert len(text) < 600, "a refusal that repeats what a stranger wrote"
        tally.refused[type(refusal).__name__] += 1
        return
    tally.read += 1
    slow = read_slowly(data, kind)
    for spec in MANIFEST.tensors:
        if spec.name in arrays or kind is None:
            values = arrays[spec.name]
            assert values.shape == spec.shape, spec.name
            assert values.reshape(-1).tolist() == slow[spec.name], spec.name
            assert spec.dtype != "F32" or all(map(is_canonical, slow[spec.name])), spec.name
    assert data == rewritten(arrays, kind), "two files with the same tensors"


def _read(path: Path, kind: Kind) -> dict[str, Any]:
    if kind is None:
        return dict(read_model(path, MANIFEST).tensors)
    update = read_update(path, header_of(kind), MANIFEST)
    flat, arrays, start = update.array(), {}, 0
    assert update.peak == float(np.abs(flat).max())
    for spec in MANIFEST.weights:
        stop = start + math.prod(spec.shape)
        arrays[spec.name] = flat[start:stop].reshape(spec.shape)
        start = stop
    return arrays


def rewritten(arrays: Mapping[str, Any], kind: Kind) -> bytes:
    """Return the file that a writer makes of these tensors."""
    layout = layout_of(kind)
    tensors = dict(arrays)
    if kind is not None:
        tensors = {}
        for spec in MANIFEST.weights:
            tensors |= CODECS[kind].encode(spec, arrays[spec.name].reshape(-1))
    return layout.header() + b"".join(tensors[spec.name].tobytes() for spec in layout.specs)


def is_canonical(value: float) -> bool:
    if value == 0:
        return math.copysign(1, value) == 1
    return math.isfinite(value) and abs(value) >= 2.0**-126


def read_slowly(data: bytes, kind: Kind) -> dict[str, list[Any]]:
    """Return a payload's values by tensor of the model, whatever its offsets are."""
    if kind is None:
        return tensors_of(data)
    sizes = {spec.name: math.prod(spec.shape) for spec in MANIFEST.weights}
    return decoded(data, kind.name.lower(), sizes)


# --- what can be done to a payload ---


def split(data: bytes) -> tuple[Table, bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def join(text: bytes, values: bytes) -> bytes:
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + values


def dumped(table: Table) -> bytes:
    return json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_values(data: bytes, rng: random.Random) -> bytes:
    begin = 8 + int.from_bytes(data[:8], "little")
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        changed[rng.randrange(begin, len(changed))] = rng.choice((0, 1, 127, 128, 255, 77))
    return bytes(changed)


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def prolong(data: bytes, rng: random.Random) -> bytes:
    return data + rng.randbytes(rng.choice((1, 4, 8, 300, SIZE_LIMIT)))


def lie_about_length(data: bytes, rng: random.Random) -> bytes:
    true = int.from_bytes(data[:8], "little")
    lies = (0, 1, 2, true - 8, true - 1, true + 1, true + 8, len(data), 1 << 20, 2**63, 2**64 - 1)
    return rng.choice(lies).to_bytes(8, "little") + data[8:]


def repeat_a_key(data: bytes, rng: random.Random) -> bytes:
    table, values = split(data)
    text = dumped(table)
    name = rng.choice(sorted(table))
    key = json.dumps(name).encode() + b":"
    inner = rng.choice((b'"dtype":"I8",', b'"shape":[4],', b'"shape":[4],"shape":[4],', b""))
    if rng.random() < 0.5 and inner:
        return join(text.replace(key + b"{", key + b"{" + inner, 1), values)
    return join(text.replace(key, key + b"{}," + key, 1), values)


def lie_in_a_tensor(data: bytes, rng: random.Random) -> bytes:
    """Huge shapes, overlapping or reversed offsets, other dtypes; also of wrong types."""
    table, values = split(data)
    name = rng.choice(sorted(set(table) - {"__metadata__"}))
    shapes: list[Any] = [[2**40], [2**31, 2**31], [2**64 - 1], [-1], [], [0], [4, 3, 5, 5.0], None]
    lies: dict[str, list[Any]] = {
        "shape": [*shapes, [[]], {"a": 1}, [True], "4", [1e300], [10**19]],
        "data_offsets": [[0, 0], [0, 8], [8, 0], [0, 2**63], [-8, 8], [0], None, [0, 1e9], "0"],
        "dtype": ["F64", "F32", "I8", "U8", "BF16", "", "f32", ["I8"], None, 1, "I8" * 300],
    }
    key = rng.choice(sorted(lies))
    table[name][key] = rng.choice(lies[key])
    if rng.random() < 0.1:
        table[name]["more"] = 1
    return join(dumped(table), values)


def overlap(data: bytes, rng: random.Random) -> bytes:
    table, values = split(data)
    one, other = rng.sample(sorted(set(table) - {"__metadata__"}), 2)
    table[one]["data_offsets"] = table[other]["data_offsets"]
    return join(dumped(table), values)


def change_the_set(data: bytes, rng: random.Random) -> bytes:
    table, values = split(data)
    names = sorted(set(table) - {"__metadata__"})
    name = rng.choice(names)
    match rng.randrange(5):
        case 0:
            del table[name]
        case 1:
            table[rng.choice(("more", "head:at", "head:exp", "x" * 3000, ""))] = table[name]
        case 2:
            table[name] = rng.choice((1, None, [], "x", {}))
        case 3:
            table = {key: table[key] for key in rng.sample(list(table), len(table))}
        case _:
            return join(dumped(table), rng.randbytes(len(values)))
    return join(dumped(table), values)


def lie_in_the_label(data: bytes, rng: random.Random) -> bytes:
    table, values = split(data)
    label = json.loads(table["__metadata__"]["bafl"])
    keys = ("format", "kind", "chainId", "federation", "participant", "baseVersion", "encoding")
    lies: tuple[Any, ...] = (0, 1, 2, True, None, "model", "update", "topk", "int8", "", [], 2**80)
    label[rng.choice((*keys, "note"))] = rng.choice(lies)
    if rng.random() < 0.2:
        label.pop(rng.choice(sorted(label)))
    text = json.dumps(label, separators=(",", ":"), sort_keys=rng.random() < 0.9)
    if rng.random() < 0.1:
        text = text.replace("{", '{"format":1,', 1)
    bad: tuple[Any, ...] = (1, None, "", "{", "[]", "\ud800", "[" * 500, "NaN", {"bafl": "{}"})
    table["__metadata__"]["bafl"] = rng.choice(bad) if rng.random() < 0.2 else text
    if rng.random() < 0.05:
        table["__metadata__"]["more"] = "x"
    if rng.random() < 0.05:
        table["__metadata__"] = rng.choice(bad)
    return join(json.dumps(table, separators=(",", ":")).encode(), values)


def spell_otherwise(data: bytes, rng: random.Random) -> bytes:
    """The right contents, or nearly, in another spelling."""
    table, values = split(data)
    text = dumped(table)
    old, new = rng.choice(
        (
            (b":", b": "), (b",", b",\n"), (b"{", b"{ "), (b'"head"', b'"h\\u0065ad"'),
            (b"[4]", b"[4.0]"), (b"[4]", b"[4e0]"), (b"[4]", b"[04]"), (b"[4]", b"[NaN]"),
            (b"[4]", b"[-Infinity]"), (b"[4]", b"[1e999]"), (b"[4]", b"[" + b"9" * 3000 + b"]"),
            (b"[4]", b"[" * 2000), (b"[4]", b'["\\ud800"]'), (b'"head"', b'"\xff\xfe"'),
            (b"}", b"}}"), (b"}", b"}\0"), (b'"dtype"', b'"dtyp\\u0065"'),
            (b"[4]", b"[0.0000004e7]"),
            (b'"head":', b'"a":' + b'{"a":' * 200 + b"1" + b"}" * 200 + b',"head":'),
        )
    )  # fmt: skip
    return join(text.replace(old, new, rng.choice((1, 1, -1)))[:8000], values)


def rubbish_header(data: bytes, rng: random.Random) -> bytes:
    _, values = split(data)
    texts = (b"", b"[]", b"null", b"{}", b"{" * 999, b"[" * 4000, b'"', b"\xef\xbb\xbf{}", b"1")
    return join(rng.choice((*texts, rng.randbytes(rng.randrange(400)))), values)


def odd_floats(data: bytes, rng: random.Random) -> bytes:
    """NaN, infinities, -0 and subnormals where the header says there are float32 values."""
    table, _ = split(data)
    begin = 8 + int.from_bytes(data[:8], "little")
    places = [entry["data_offsets"] for entry in table.values() if entry.get("dtype") == "F32"]
    changed = bytearray(data)
    first, last = rng.choice([p for p in places if p[0] < p[1]] or [[0, len(data) - begin]])
    odd = (0x7FC00000, 0xFF800000, 0x7F800000, 0x7F800001, 0x80000000, 1, 0x807FFFFF, 0x7F7FFFFF)
    for _ in range(rng.choice((1, 1, 3))):
        at = begin + first + 4 * rng.randrange(max(1, (last - first) // 4))
        changed[at : at + 4] = rng.choice(odd).to_bytes(4, "little")
    return bytes(changed[: len(data)])


def tamper_with_a_tensor(data: bytes, rng: random.Random) -> bytes:
    """Fill, sort, reverse or swap bytes within one tensor: places and zeros of sparse blocks."""
    table, _ = split(data)
    begin = 8 + int.from_bytes(data[:8], "little")
    spans = [entry["data_offsets"] for key, entry in table.items() if key != "__metadata__"]
    first, last = rng.choice([span for span in spans if span[0] < span[1]])
    changed = bytearray(data)
    part = bytes(changed[begin + first : begin + last])
    i, j = rng.randrange(len(part)), rng.randrange(len(part))
    swapped = bytearray(part)
    swapped[i], swapped[j] = part[j], part[i]
    repeated = bytearray(part)
    repeated[i] = part[i - 1]
    emptied = bytearray(part)
    emptied[i:] = bytes(len(part) - i)
    new = rng.choice(
        (
            swapped, swapped, repeated, emptied, part[::-1], bytes(sorted(part)),
            bytes(len(part)), bytes([rng.randrange(256)]) * len(part), bytes([130]) * len(part),
        )
    )  # fmt: skip
    changed[begin + first : begin + last] = new
    return bytes(changed)


def tamper_with_a_slot(data: bytes, rng: random.Random) -> bytes:
    """Change value, place or both of one sparse entry; a byte where there are none."""
    table, _ = split(data)
    names = sorted(key.removesuffix(":at") for key in table if key.endswith(":at"))
    if not names:
        return flip_values(data, rng)
    begin = 8 + int.from_bytes(data[:8], "little")
    changed = bytearray(data)
    name = rng.choice(names)
    values, places = table[name]["data_offsets"][0], table[f"{name}:at"]["data_offsets"]
    slot = rng.randrange(places[1] - places[0]) if places[1] > places[0] else 0
    if rng.random() < 0.7:
        changed[begin + values + slot] = rng.choice((0, 0, 1, 63, 128, 255))
    if rng.random() < 0.7:
        changed[begin + places[0] + slot] = rng.choice((0, 0, 3, 43, 44, 255))
    return bytes(changed)


def noise(data: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 7, 8, 9, 100, 4000)))


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    flip_values,
    truncate,
    prolong,
    lie_about_length,
    repeat_a_key,
    lie_in_a_tensor,
    overlap,
    change_the_set,
    lie_in_the_label,
    spell_otherwise,
    rubbish_header,
    odd_floats,
    tamper_with_a_tensor,
    tamper_with_a_slot,
    noise,
)


def hostile(sound: Mapping[Kind, list[bytes]], rng: random.Random) -> tuple[bytes, Kind]:
    """Make one payload, and say as what it is to be read."""
    kind = rng.choice(KINDS)
    data = rng.choice(sound[kind])
    if rng.random() < 0.03:
        return data, rng.choice(KINDS)
    data = rng.choice(MUTATIONS)(data, rng)
    if rng.random() < 0.1 and len(data) > 100:
        data = flip_bits(data, rng)
    return data, kind
