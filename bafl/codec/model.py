"""Global models as payloads: float32 weights, and integer buffers that stay as in the genesis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bafl.codec import canonical, errors
from bafl.manifest import Manifest
from bafl.types import TensorSpec

Array = npt.NDArray[Any]
Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class ModelFile:
    """A model whose bytes were checked. tensors: read-only arrays mapped on the file, by name."""

    path: Path
    manifest: Manifest
    tensors: Mapping[str, Array]

    def read(self, spec: TensorSpec, start: int, stop: int) -> Vector:
        """Values start to stop (exclusive) of a float32 tensor, flattened."""
        part: Vector = self.tensors[spec.name].reshape(-1)[start:stop]
        return part


def model_layout(manifest: Manifest) -> canonical.Layout:
    """What every model of a federation looks like; the same bytes for everybody."""
    return canonical.layout({"kind": "model"}, manifest.tensors)


def write_model(path: Path, manifest: Manifest, tensors: Mapping[str, Array]) -> None:
    """Write a model from its state. tensors: by name, of the manifest's shapes and dtypes.

    -0 and subnormal weights become 0. Raises TensorError for tensors that are not the manifest's,
    NonFiniteValue for NaN or infinity, PayloadTooLarge, StoreError when the disk refuses.
    """
    check_tensors(tensors, manifest)
    blocks = ((spec, _prepared(spec, tensors[spec.name])) for spec in manifest.tensors)
    write_model_blocks(path, manifest, blocks)


def write_model_blocks(
    path: Path, manifest: Manifest, tensors: Iterable[tuple[TensorSpec, Iterable[Array]]]
) -> None:
    """Write a model block by block, in canonical order; raises as `bafl.codec.canonical.write`."""
    canonical.write(path, model_layout(manifest), tensors, manifest.size_limit)


def read_model(path: Path, manifest: Manifest) -> ModelFile:
    """Map a model and check every byte of it.

    Raises a PayloadError that says what is wrong, StoreError if the file cannot be read.
    """
    tensors = canonical.read(path, model_layout(manifest), manifest.size_limit)
    for spec in manifest.tensors:
        canonical.check_values(spec, tensors[spec.name])
    return ModelFile(path, manifest, tensors)


def flat(model: ModelFile) -> Vector:
    """All float32 weights in canonical order: float32, shape (P,), a copy."""
    return flatten(model.tensors, model.manifest)


def flatten(tensors: Mapping[str, Array], manifest: Manifest) -> Vector:
    """Concatenate a state's float32 tensors in canonical order: float32, shape (P,), a copy.

    Raises TensorError if a tensor is missing or has another shape or dtype.
    """
    check_tensors(tensors, manifest)
    result = np.empty(manifest.parameters, np.float32)
    for spec, start, stop in spans(manifest):
        result[start:stop] = tensors[spec.name].reshape(-1)
    return result


def unflat(vector: Vector, model: ModelFile) -> dict[str, Array]:
    """The inverse of `flat`: a whole state with these weights and the model's integer buffers.

    vector: float32, shape (P,). Returns arrays by name in the manifest's shapes; the weights are
    views of vector. Raises WrongShape for another P or dtype.
    """
    check_vector(vector, model.manifest)
    state: dict[str, Array] = dict(model.tensors)
    for spec, start, stop in spans(model.manifest):
        state[spec.name] = vector[start:stop].reshape(spec.shape)
    return state


def spans(manifest: Manifest) -> Iterator[tuple[TensorSpec, int, int]]:
    """Where each float32 tensor lies in the flat vector: (spec, start, stop)."""
    start = 0
    for spec in manifest.weights:
        stop = start + prod(spec.shape)
        yield spec, start, stop
        start = stop


def check_vector(vector: Vector, manifest: Manifest) -> None:
    """Raise WrongShape unless vector is float32 of shape (P,)."""
    if vector.shape != (manifest.parameters,) or vector.dtype != np.float32:
        raise errors.WrongShape(
            f"a flat vector of {vector.dtype} {list(vector.shape)} was given; "
            f"the model needs float32 [{manifest.parameters}]"
        )


def check_tensors(tensors: Mapping[str, Array], manifest: Manifest) -> None:
    """Raise TensorError, naming the tensor, unless the state has the manifest's tensors."""
    for spec in manifest.tensors:
        values = tensors.get(spec.name)
        if values is None:
            raise errors.MissingTensor(f"the state lacks the tensor {spec.name!r}")
        if values.dtype != canonical.DTYPES[spec.dtype]:
            raise errors.WrongDtype(
                f"tensor {spec.name!r} is {values.dtype}, the manifest says {spec.dtype}"
            )
        if values.shape != spec.shape:
            raise errors.WrongShape(
                f"tensor {spec.name!r} has shape {list(values.shape)}, "
                f"the manifest says {list(spec.shape)}"
            )
    extra = sorted(set(tensors) - {spec.name for spec in manifest.tensors})
    if extra:
        raise errors.ExtraTensor(f"the state has a tensor {extra[0]!r} the manifest has not")


def _prepared(spec: TensorSpec, values: Array) -> Iterator[Array]:
    yield canonical.flush(values) if spec.dtype == "F32" else values
