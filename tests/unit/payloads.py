"""Small manifests, models and updates for tests of payloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bafl.codec.model import ModelFile, read_model, write_model
from bafl.codec.update import UpdateFile, read_update, write_update
from bafl.manifest import Manifest, Metric, RuleSpec
from bafl.store.cid import cid, root_of
from bafl.types import Encoding, TensorSpec, UpdateHeader

Vector = npt.NDArray[np.float32]

SPECS = (
    TensorSpec("steps", "I64", ()),
    TensorSpec("conv.weight", "F32", (4, 3, 5, 5)),  # 300: a whole block and a part
    TensorSpec("conv.bias", "F32", (4,)),
    TensorSpec("head", "F32", (2, 256)),  # whole blocks only
    TensorSpec("scale", "F32", ()),
    TensorSpec("none", "F32", (0, 3)),
    TensorSpec("mask", "BOOL", (3,)),
    TensorSpec("table", "U8", (5,)),
)
PARAMETERS = 300 + 4 + 512 + 1
FEDERATION = "0x" + "Ab" * 20


def make_manifest(specs: tuple[TensorSpec, ...] = SPECS, **changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "task": "digits",
        "settings": {"hidden": 32, "lr": 0.05, "deep": False},
        "tensors": specs,
        "genesis": cid(root_of(b"genesis")),
        "metric": Metric("accuracy", "%", "higher"),
        "size_limit": 1 << 20,
        "rule": RuleSpec(),
    }
    return Manifest(**(fields | changes))


def make_header(
    encoding: Encoding = Encoding.INT8, author: int = 1, base_version: int = 7
) -> UpdateHeader:
    return UpdateHeader(31337, FEDERATION, f"0x{author:040X}", base_version, encoding)


def random_state(manifest: Manifest, seed: int = 0) -> dict[str, npt.NDArray[Any]]:
    rng = np.random.default_rng(seed)
    state: dict[str, npt.NDArray[Any]] = {}
    for spec in manifest.tensors:
        if spec.dtype == "F32":
            state[spec.name] = rng.standard_normal(spec.shape).astype(np.float32)
        elif spec.dtype == "BOOL":
            state[spec.name] = rng.integers(0, 2, spec.shape).astype(bool)
        else:
            dtype = {"I64": np.int64, "U8": np.uint8}[spec.dtype]
            state[spec.name] = np.asarray(rng.integers(0, 100, spec.shape), dtype)
    for name, values in state.items():  # a 0-d result of the generator is a scalar
        state[name] = np.asarray(values)
    return state


def make_model(path: Path, manifest: Manifest, seed: int = 0) -> ModelFile:
    write_model(path, manifest, random_state(manifest, seed))
    return read_model(path, manifest)


def make_update(
    path: Path,
    manifest: Manifest,
    delta: Vector,
    encoding: Encoding = Encoding.INT8,
    author: int = 1,
) -> UpdateFile:
    header = make_header(encoding, author)
    write_update(path, delta, header, manifest)
    return read_update(path, header, manifest)


def random_delta(manifest: Manifest, seed: int, scale: float = 0.01) -> Vector:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(manifest.parameters) * scale).astype(np.float32)
