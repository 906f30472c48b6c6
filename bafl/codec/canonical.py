"""Canonical safetensors: the same tensors always give the same bytes.

The layout is the one safetensors' own writer gives, with a single metadata key "bafl" whose value
is canonical JSON. Since a reader knows what the payload must be, it builds the one header it
accepts, compares bytes, and parses a foreign header only to say what is wrong with it.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bafl import strictjson
from bafl.codec import errors
from bafl.codec.files import whole
from bafl.errors import StoreError
from bafl.manifest import canonical_order, size_of
from bafl.types import TensorSpec

DTYPES: Mapping[str, np.dtype[Any]] = {
    "I64": np.dtype("<i8"),
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
FORMAT = 1
_HEADER_SLACK = 4096
_CHUNK = 1 << 20

_INFINITY = np.uint32(0x7F800000)
_SMALLEST_NORMAL = np.uint32(0x00800000)
_MAGNITUDE = np.uint32(0x7FFFFFFF)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a payload must be. label: its metadata. specs: its tensors, in canonical order."""

    label: Mapping[str, Any]
    specs: tuple[TensorSpec, ...]

    def header(self) -> bytes:
        """The eight length bytes and the header, padded with spaces to eight bytes."""
        table: dict[str, Any] = {"__metadata__": {"bafl": strictjson.dump(self.label).decode()}}
        offset = 0
        for spec in self.specs:
            end = offset + size_of(spec)
            table[spec.name] = {
                "dtype": spec.dtype,
                "shape": list(spec.shape),
                "data_offsets": [offset, end],
            }
            offset = end
        text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text

    def data_bytes(self) -> int:
        """Bytes after the header."""
        return sum(size_of(spec) for spec in self.specs)

    def total_bytes(self) -> int:
        """Bytes of the whole file."""
        return len(self.header()) + self.data_bytes()


def layout(label: Mapping[str, Any], specs: Iterable[TensorSpec]) -> Layout:
    """Build a layout; the tensors may come in any order."""
    return Layout({"format": FORMAT, **label}, canonical_order(specs))


def write(
    path: Path,
    expected: Layout,
    tensors: Iterable[tuple[TensorSpec, Iterable[npt.NDArray[Any]]]],
    limit: int,
) -> None:
    """Write a payload, streaming, and put it at path only when it is whole.

    tensors: in the layout's order, each as arrays of its dtype that concatenate to its values.
    limit: the manifest's size limit in bytes.
    Raises PayloadTooLarge before anything is written; TensorError if what comes is not the layout;
    NonFiniteValue or NonCanonicalValue for values no reader would accept (`flush` first);
    StoreError when the disk refuses.
    """
    header = expected.header()
    total = len(header) + expected.data_bytes()
    if total > limit:
        raise errors.PayloadTooLarge(
            f"{path.name} would have {total} bytes, over the size limit of {limit}; "
            "raise sizeLimit in a new federation's manifest, or use a smaller model"
        )
    with whole(path) as file:
        file.write(header)
        specs = iter(expected.specs)
        for spec, blocks in tensors:
            due = next(specs, None)
            if due != spec:
                raise errors.ExtraTensor(f"tensor {spec.name!r} was given, {due} is due")
            left = size_of(spec)
            for block in blocks:
                if block.dtype != DTYPES[spec.dtype]:
                    raise errors.WrongDtype(f"tensor {spec.name!r}: {block.dtype} given")
                check_values(spec, block)
                data = np.ascontiguousarray(block).reshape(-1).view(np.uint8)
                left -= data.nbytes
                if left < 0:
                    raise errors.WrongShape(f"tensor {spec.name!r}: more values than its shape")
                file.write(data.data)
            if left:
                raise errors.WrongShape(f"tensor {spec.name!r}: {left} bytes of values missing")
        missing = next(specs, None)
        if missing is not None:
            raise errors.MissingTensor(f"tensor {missing.name!r} was not given")


def read(path: Path, expected: Layout, limit: int) -> dict[str, npt.NDArray[Any]]:
    """Map a payload whose bytes are exactly those of the layout.

    Returns read-only arrays on the file, by name, with values not yet checked (`check_values`).
    Raises a PayloadError that says what is wrong (`bafl.codec.errors`), StoreError if the file
    cannot be read. At most a little more than the expected header is read of a foreign one.
    """
    wanted = expected.header()
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise errors.PayloadTooLarge(
                    f"{path.name} has {size} bytes, over the limit {limit}"
                )
            found = file.read(len(wanted))
            if found != wanted:
                found += file.read(len(wanted) + _HEADER_SLACK)
                _explain(path.name, found, size, wanted, expected)
            total = len(wanted) + expected.data_bytes()
            if size < total:
                raise errors.TruncatedPayload(f"{path.name} has {size} bytes of {total}")
            if size > total:
                raise errors.TrailingBytes(f"{path.name} has {size - total} bytes after its data")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise StoreError(f"cannot read the payload {path}: {error.strerror}") from error
    arrays = {}
    offset = len(wanted)
    for spec in expected.specs:
        end = offset + size_of(spec)
        values = np.frombuffer(memoryview(mapped)[offset:end], DTYPES[spec.dtype])
        arrays[spec.name] = values.reshape(spec.shape)
        offset = end
    return arrays


def check_values(spec: TensorSpec, values: npt.NDArray[Any]) -> float:
    """Refuse values that a canonical payload does not hold.

    values: of the spec's dtype, any shape. Returns the largest magnitude of a float32 tensor,
    else 0. Raises NonFiniteValue or NonCanonicalValue.
    """
    flat = values.reshape(-1)
    peak = 0
    if spec.dtype == "BOOL":
        for part in _parts(flat.view(np.uint8)):
            if part.max() > 1:
                raise errors.NonCanonicalValue(f"tensor {spec.name!r}: a boolean is not 0 or 1")
    elif spec.dtype == "F32":
        # Compared as integers: a CPU told to flush subnormals would not see one as a float.
        for bits in _parts(flat.view(np.uint32)):
            magnitude = bits & _MAGNITUDE
            top = int(magnitude.max())
            if top >= _INFINITY:
                raise errors.NonFiniteValue(f"tensor {spec.name!r} has a NaN or an infinity")
            if bool(((magnitude < _SMALLEST_NORMAL) & (bits != 0)).any()):
                raise errors.NonCanonicalValue(f"tensor {spec.name!r} has a -0 or a subnormal")
            peak = max(peak, top)
    return float(np.array(peak, np.uint32).view(np.float32))


def flush(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Replace -0 and subnormals by 0. values: float32, any shape; a copy is returned."""
    result = np.array(values, "<f4", order="C")
    for bits in _parts(result.reshape(-1).view(np.uint32)):
        bits[(bits & _MAGNITUDE) < _SMALLEST_NORMAL] = 0
    return result


def _parts(flat: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    for start in range(0, flat.size, _CHUNK):
        yield flat[start : start + _CHUNK]


def _explain(name: str, found: bytes, size: int, wanted: bytes, expected: Layout) -> None:
    """Raise the error for bytes that do not begin with the wanted header."""
    if size < 8:
        raise errors.TruncatedPayload(f"{name} has {size} bytes, too few for a header")
    length = int.from_bytes(found[:8], "little")
    if length > len(wanted) + _HEADER_SLACK - 8:
        raise errors.OversizeHeader(
            f"{name} announces a header of {length} bytes; this payload's has {len(wanted) - 8}"
        )
    if size < 8 + length:
        raise errors.TruncatedPayload(f"{name} ends within its header of {length} bytes")
    text = found[8 : 8 + length]
    try:
        table = strictjson.load(text, len(text))
    except strictjson.DuplicateKey as error:
        raise errors.DuplicateHeaderKey(f"{name}: {error}") from None
    except strictjson.JsonRefused as error:
        raise errors.MalformedHeader(f"{name}: header is {error}") from None
    if type(table) is not dict:
        raise errors.MalformedHeader(f"{name}: header is not a table")
    _explain_label(name, table.pop("__metadata__", None), expected.label)
    _explain_tensors(name, table, expected.specs)
    raise errors.NonCanonicalHeader(f"{name}: the header's spelling, order or offsets differ")


def _explain_label(name: str, metadata: Any, wanted: Mapping[str, Any]) -> None:
    if type(metadata) is not dict or set(metadata) != {"bafl"} or type(metadata["bafl"]) is not str:
        raise errors.MalformedHeader(f'{name}: the metadata must hold the one key "bafl"')
    text = metadata["bafl"].encode()
    try:
        label = strictjson.load(text, len(text))
    except strictjson.DuplicateKey as error:
        raise errors.DuplicateHeaderKey(f"{name}: metadata: {error}") from None
    except strictjson.JsonRefused as error:
        raise errors.MalformedHeader(f"{name}: metadata: {error}") from None
    if type(label) is not dict or label.get("format") != FORMAT:
        raise errors.MalformedHeader(f"{name}: metadata of another format than {FORMAT}")
    if label.get("kind") != wanted["kind"]:
        raise errors.WrongKind(
            f"{name} is a payload of kind {str(label.get('kind'))[:40]!r}, not {wanted['kind']!r}"
        )
    for key, value in wanted.items():
        if key not in label or type(label[key]) is not type(value) or label[key] != value:
            raise errors.UnboundHeader(
                f"{name}: header gives {key} as {str(label.get(key))[:80]!r}, "
                f"the chain says {value!r}"
            )
    if set(label) != set(wanted):
        raise errors.MalformedHeader(f"{name}: metadata has a field that is not known")


def _explain_tensors(name: str, table: dict[str, Any], wanted: Sequence[TensorSpec]) -> None:
    for spec in wanted:
        entry = table.pop(spec.name, None)
        if entry is None:
            raise errors.MissingTensor(f"{name} lacks the tensor {spec.name!r}")
        if type(entry) is not dict or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise errors.MalformedHeader(f"{name}: tensor {spec.name!r} is not described rightly")
        if entry["dtype"] != spec.dtype:
            raise errors.WrongDtype(
                f"{name}: tensor {spec.name!r} is {str(entry['dtype'])[:20]}, not {spec.dtype}"
            )
        if entry["shape"] != list(spec.shape):
            raise errors.WrongShape(
                f"{name}: tensor {spec.name!r} has shape {str(entry['shape'])[:80]}, "
                f"not {list(spec.shape)}"
            )
    if table:
        raise errors.ExtraTensor(f"{name} has a tensor {min(table)[:80]!r} that is not the model's")
