from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bafl.codec import errors
from bafl.codec.model import flat, flatten, read_model, spans, unflat, write_model
from bafl.types import TensorSpec
from tests.unit.payloads import PARAMETERS, make_manifest, make_model, random_state

MANIFEST = make_manifest()


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    state = random_state(MANIFEST)
    write_model(tmp_path / "model", MANIFEST, state)
    read = read_model(tmp_path / "model", MANIFEST).tensors
    assert read.keys() == state.keys()
    for name, values in state.items():
        assert read[name].dtype == values.dtype
        np.testing.assert_array_equal(read[name], values)


def test_unflat_is_the_inverse_of_flat(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", MANIFEST)
    vector = flat(model)
    assert vector.shape == (PARAMETERS,)
    state = unflat(vector * 2, model)
    for spec in MANIFEST.tensors:
        factor = 2 if spec.dtype == "F32" else 1
        np.testing.assert_array_equal(state[spec.name], model.tensors[spec.name] * factor)
    np.testing.assert_array_equal(flatten(state, MANIFEST), vector * 2)


def test_flat_concatenates_in_the_order_that_spans_says(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", MANIFEST)
    vector = flat(model)
    for spec, start, stop in spans(MANIFEST):
        np.testing.assert_array_equal(vector[start:stop], model.tensors[spec.name].reshape(-1))


def test_minus_zero_and_subnormals_become_zero(tmp_path: Path) -> None:
    manifest = make_manifest((TensorSpec("w", "F32", (4,)),))
    tiny = np.array([0x80000000, 0x007FFFFF, 0x807FFFFF, 0x00800000], np.uint32).view(np.float32)
    write_model(tmp_path / "model", manifest, {"w": tiny})
    bits = read_model(tmp_path / "model", manifest).tensors["w"].view(np.uint32)
    np.testing.assert_array_equal(bits, [0, 0, 0, 0x00800000])


def test_arrays_in_another_memory_order_give_the_same_bytes(tmp_path: Path) -> None:
    state = random_state(MANIFEST)
    write_model(tmp_path / "a", MANIFEST, state)
    write_model(tmp_path / "b", MANIFEST, {n: np.array(v, order="F") for n, v in state.items()})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_tied_weights_are_written_twice_and_stay_equal(tmp_path: Path) -> None:
    manifest = make_manifest((TensorSpec("a", "F32", (3,)), TensorSpec("b", "F32", (3,))))
    tied = np.arange(3, dtype=np.float32)
    write_model(tmp_path / "model", manifest, {"a": tied, "b": tied})
    read = read_model(tmp_path / "model", manifest).tensors
    np.testing.assert_array_equal(read["a"], read["b"])


def test_a_state_that_is_not_the_manifests_is_refused_by_name(tmp_path: Path) -> None:
    state = random_state(MANIFEST)
    path = tmp_path / "model"
    with pytest.raises(errors.MissingTensor, match="'head'"):
        write_model(path, MANIFEST, {n: v for n, v in state.items() if n != "head"})
    with pytest.raises(errors.ExtraTensor, match="'new'"):
        write_model(path, MANIFEST, state | {"new": state["head"]})
    with pytest.raises(errors.WrongShape, match="'head'"):
        write_model(path, MANIFEST, state | {"head": state["head"].T})
    with pytest.raises(errors.WrongDtype, match="'head'"):
        write_model(path, MANIFEST, state | {"head": state["head"].astype(np.float16)})
    assert not path.exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_model_with_a_value_that_is_not_finite_is_not_written(
    tmp_path: Path, value: float
) -> None:
    state = random_state(MANIFEST)
    state["head"][1, 7] = value
    with pytest.raises(errors.NonFiniteValue, match="'head'"):
        write_model(tmp_path / "model", MANIFEST, state)
    assert not list(tmp_path.iterdir())


def test_a_vector_of_another_size_is_refused(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", MANIFEST)
    with pytest.raises(errors.WrongShape, match=str(PARAMETERS)):
        unflat(np.zeros(PARAMETERS - 1, np.float32), model)


def test_what_is_read_cannot_be_written_to(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", MANIFEST)
    with pytest.raises(ValueError, match="read-only"):
        model.tensors["head"][0, 0] = 1
