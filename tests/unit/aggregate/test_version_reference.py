"""The next model is, to the byte, what a second reading of the protocol's text makes of it."""

from __future__ import annotations

import ast
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bafl.aggregate.clipped_mean import ClippedMean
from bafl.codec.model import read_model, write_model
from bafl.codec.update import UpdateFile, read_update, write_update
from bafl.types import Encoding, TensorSpec
from tests.reference import version
from tests.unit.budget import examples
from tests.unit.payloads import make_header, make_manifest

Vector = npt.NDArray[np.float32]

SPECS = (
    TensorSpec("steps", "I64", (2,)),
    TensorSpec("a", "F32", (3, 90)),  # a whole block and a part
    TensorSpec("b", "F32", (5,)),
    TensorSpec("none", "F32", (0,)),
    TensorSpec("scale", "F32", ()),
    TensorSpec("mask", "BOOL", (3,)),
)
MANIFEST = make_manifest(SPECS, encodings=tuple(Encoding))

LARGEST = float(np.finfo(np.float32).max)
ODD = [0.0, -0.0, 2.0**-149, -(2.0**-127), 2.0**-126, -(2.0**-126), LARGEST, -LARGEST, 1.0]
ODD += [1 + 2.0**-23, 127.5, 0.1, -3e-39]
numbers = st.sampled_from(ODD) | st.floats(width=32, allow_nan=False, allow_infinity=False)
ordinary = st.floats(-4, 4, width=32)


@st.composite
def vectors(draw: st.DrawFn) -> Vector:
    """All of a model's values: a few, repeated with signs and powers of two that differ."""
    few = np.array(draw(st.lists(draw(st.sampled_from([numbers, ordinary])), min_size=1)))
    spread = draw(st.integers(0, 60))
    many = np.resize(few, MANIFEST.parameters)
    many = many * np.ldexp(1.0, -(np.arange(MANIFEST.parameters) * 7 % (spread + 1)))
    result: Vector = many.astype(np.float32)
    return result


updates = st.lists(st.tuples(vectors(), st.sampled_from(Encoding)), min_size=1, max_size=5)


@st.composite
def shares_of(draw: st.DrawFn, count: int) -> list[int]:
    """Shares that sum to at most one."""
    cuts = sorted(draw(st.lists(st.integers(0, 10**6), min_size=count, max_size=count)))
    return [high - low for low, high in zip([0, *cuts[:-1]], cuts, strict=True)]


@examples(60)
@given(
    weights=vectors(),
    window=updates,
    medians=st.integers(1, 3) | st.just(1000),
    rate=st.integers(1, 10**7) | st.just(10**6),
    data=st.data(),
)
def test_the_next_model_has_the_references_bytes(
    tmp_path: Path,
    weights: Vector,
    window: list[tuple[Vector, Encoding]],
    medians: int,
    rate: int,
    data: st.DataObject,
) -> None:
    state = {
        "steps": np.array([7, -7]),
        "a": weights[:270].reshape(3, 90),
        "b": weights[270:275],
        "none": weights[:0],
        "scale": weights[275],
        "mask": np.array([True, False, True]),
    }
    write_model(tmp_path / "model", MANIFEST, {k: np.asarray(v) for k, v in state.items()})
    model = read_model(tmp_path / "model", MANIFEST)
    shares = data.draw(shares_of(len(window)))
    files: list[UpdateFile] = []
    told: list[version.Update] = []
    for i, ((delta, encoding), share) in enumerate(zip(window, shares, strict=True)):
        path, header = tmp_path / f"update-{i}", make_header(encoding)
        with np.errstate(over="ignore"):
            write_update(path, delta, header, MANIFEST)
        files.append(read_update(path, header, MANIFEST))
        told.append(version.Update(path.read_bytes(), encoding.name.lower(), share))
    ClippedMean(medians, rate).aggregate(model, files, shares, tmp_path / "next")
    made = (tmp_path / "next").read_bytes()
    assert made == version.next_model(model.path.read_bytes(), told, medians, rate)


@pytest.mark.parametrize(
    ("norms", "expected"),
    [([9, 1, 4], [version.ONE, version.ONE, version.ONE]), ([1, 1, 16], [2**20, 2**20, 2**19])],
)
def test_the_reference_clips_to_twice_the_lower_median(
    norms: list[int], expected: list[int]
) -> None:
    assert version.factors([Fraction(norm) for norm in norms], 2) == expected


def test_the_reference_rests_on_pythons_numbers_alone() -> None:
    tree = ast.parse(Path(version.__file__).read_text("utf-8"))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [])
        + [alias.name for alias in node.names if isinstance(node, ast.Import)]
    }
    allowed = {"__future__", "collections", "fractions", "json", "math", "struct", "typing"}
    assert imported <= allowed
