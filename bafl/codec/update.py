"""Updates as payloads: a weight change, bound to its author and base, in one of the encodings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bafl.codec import canonical, errors
from bafl.codec.float32 import Float32
from bafl.codec.int8 import Int8
from bafl.codec.model import check_vector, spans
from bafl.codec.topk import TopK
from bafl.manifest import Manifest
from bafl.types import Encoding, TensorSpec, UpdateHeader, encoding_name

Array = npt.NDArray[Any]
Vector = npt.NDArray[np.float32]

BLOCK = 1 << 17
"""Values decoded at a time where the caller does not say; a multiple of 256."""


class Codec(Protocol):
    """How a weight change becomes tensors of a payload, and back, one model tensor at a time.

    `decode(encode(x))` has no -0 and no subnormal, and `encode` of it gives the same tensors.
    """

    encoding: Encoding

    def specs(self, weights: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        """The payload's tensors for a model with these float32 tensors."""

    def encode(self, spec: TensorSpec, values: Vector) -> dict[str, Array]:
        """Encode one float32 tensor: finite values, flattened.

        Returns payload tensors by name; none shares its memory with the values.
        """

    def check(self, spec: TensorSpec, tensors: Mapping[str, Array]) -> float:
        """Raise PayloadError unless `encode` could have written this; return max |value|."""

    def decode(
        self, spec: TensorSpec, tensors: Mapping[str, Array], start: int, stop: int
    ) -> Vector:
        """Values start to stop (exclusive); start is a multiple of 256."""


CODECS: Mapping[int, Codec] = {
    Encoding.FLOAT32: Float32(),
    Encoding.INT8: Int8(),
    Encoding.TOPK: TopK(),
}


BY_CHOICE = (Encoding.INT8, Encoding.TOPK, Encoding.FLOAT32)
"""What a trainer uses of what the manifest allows, where its operator does not say."""


@dataclass(frozen=True, slots=True, eq=False)
class UpdateFile:
    """An update whose bytes were checked; its values stay in the file until they are asked for.

    peak: the largest magnitude among the values.
    """

    path: Path
    header: UpdateHeader
    manifest: Manifest
    peak: float
    _tensors: Mapping[str, Array]

    def read(self, spec: TensorSpec, start: int, stop: int) -> Vector:
        """Decoded values start to stop (exclusive) of a tensor; start is a multiple of 256."""
        return CODECS[self.header.encoding].decode(spec, self._tensors, start, stop)

    def blocks(self, size: int = BLOCK) -> Iterator[Vector]:
        """All values in flat order, at most size (a multiple of 256) at a time."""
        for spec, start, stop in partition(self.manifest, size):
            yield self.read(spec, start, stop)

    def array(self) -> Vector:
        """All values: float32, shape (P,)."""
        result = np.empty(self.manifest.parameters, np.float32)
        at = 0
        for block in self.blocks():
            result[at : at + block.size] = block
            at += block.size
        return result


def partition(manifest: Manifest, size: int = BLOCK) -> Iterator[tuple[TensorSpec, int, int]]:
    """Cut the flat vector into blocks within single tensors: (spec, start, stop) in the tensor."""
    if size <= 0 or size % 256:
        raise ValueError(f"a block's size is a multiple of 256, not {size}")
    for spec, first, last in spans(manifest):
        for start in range(0, last - first, size):
            yield spec, start, min(start + size, last - first)


def codec_of(encoding: int, manifest: Manifest) -> Codec:
    """The codec of an encoding. Raises EncodingRefused if the manifest or we do not allow it."""
    allowed = {known: codec for known, codec in CODECS.items() if known in manifest.encodings}
    if encoding not in allowed:
        names = ", ".join(map(encoding_name, allowed))
        raise errors.EncodingRefused(
            f"encoding {encoding_name(encoding)} is not allowed here; use one of: {names}"
        )
    return allowed[encoding]


def encoding_for(manifest: Manifest, wanted: Encoding | None = None) -> Encoding:
    """The encoding of a trainer's updates. Raises EncodingRefused for a wanted one not allowed."""
    if wanted is None:
        wanted = next(encoding for encoding in BY_CHOICE if encoding in manifest.encodings)
    return codec_of(wanted, manifest).encoding


def update_layout(header: UpdateHeader, manifest: Manifest) -> canonical.Layout:
    """What an update with this header must look like."""
    codec = codec_of(header.encoding, manifest)
    label = {
        "kind": "update",
        "chainId": int(header.chain_id),
        "federation": header.federation.lower(),
        "participant": header.participant.lower(),
        "baseVersion": int(header.base_version),
        "encoding": codec.encoding.name.lower(),
    }
    return canonical.layout(label, codec.specs(manifest.weights))


def write_update(path: Path, delta: Vector, header: UpdateHeader, manifest: Manifest) -> Vector:
    """Encode a weight change and write it.

    delta: float32, shape (P,), the trained weights minus the base version's.
    Returns what the encoding lost, delta minus decoded, float32 (P,): carry it into the next
    update (error feedback). Raises NonFiniteValue, EncodingRefused, WrongShape, PayloadTooLarge,
    StoreError when the disk refuses.
    """
    check_vector(delta, manifest)
    expected = update_layout(header, manifest)
    codec = CODECS[header.encoding]
    if not np.isfinite([delta.min(initial=0), delta.max(initial=0)]).all():
        raise errors.NonFiniteValue(
            "the update has a NaN or an infinity; lower the learning rate or clip gradients"
        )
    residual = canonical.flush(delta)
    tensors: dict[str, Array] = {}
    for spec, start, stop in spans(manifest):
        encoded = codec.encode(spec, residual[start:stop])
        for at in range(0, stop - start, BLOCK):
            end = min(at + BLOCK, stop - start)
            decoded = codec.decode(spec, encoded, at, end)
            here = slice(start + at, start + end)
            np.subtract(delta[here], decoded, out=residual[here])
        tensors |= encoded
    canonical.write(
        path,
        expected,
        ((spec, [tensors[spec.name]]) for spec in expected.specs),
        manifest.size_limit,
    )
    return residual


def read_update(path: Path, header: UpdateHeader, manifest: Manifest) -> UpdateFile:
    """Map an update and check every byte of it against what the chain says it is.

    header: from the chain, never from the file. Raises a PayloadError that says what is wrong,
    StoreError if the file cannot be read.
    """
    tensors = canonical.read(path, update_layout(header, manifest), manifest.size_limit)
    codec = CODECS[header.encoding]
    peak = max((codec.check(spec, tensors) for spec in manifest.weights), default=0.0)
    return UpdateFile(path, header, manifest, peak, tensors)
