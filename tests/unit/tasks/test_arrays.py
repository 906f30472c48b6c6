"""Models as arrays by name: tied weights, half precision, integer buffers, plain dictionaries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bafl.errors import ManifestError, TaskError
from bafl.tasks import load_arrays, state_arrays


class Tied(nn.Module):
    """An embedding whose weight is the output layer's too, as in language models."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("steps", torch.tensor([7], dtype=torch.int64))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), nn.GroupNorm(1, 3), nn.Linear(3, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_round_trip_changes_no_bit(dtype: torch.dtype) -> None:
    model, other = small().to(dtype), small().to(dtype)
    load_arrays(other, state_arrays(model))
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert theirs.dtype == dtype
        assert torch.equal(mine, theirs)


def test_half_precision_widens_to_float32() -> None:
    assert {a.dtype for a in state_arrays(small().half()).values()} == {np.dtype(np.float32)}


def test_a_tied_weight_appears_once_and_stays_tied() -> None:
    model = Tied()
    arrays = state_arrays(model)
    assert list(arrays) == ["steps", "embed.weight"] or list(arrays) == ["embed.weight", "steps"]
    arrays["embed.weight"][...] = 2.0
    load_arrays(model, arrays)
    assert model.head.weight is model.embed.weight
    assert bool((model.head.weight == 2.0).all())


def test_integer_buffers_keep_their_dtype_and_scratch_buffers_stay_out() -> None:
    model = Tied()
    arrays = state_arrays(model)
    assert arrays["steps"].dtype == np.int64
    assert "scratch" not in arrays
    arrays["steps"] = np.array([9])
    load_arrays(model, arrays)
    assert model.get_buffer("steps").item() == 9


def test_arrays_are_copies() -> None:
    model = small()
    before = state_arrays(model)
    state_arrays(model)["0.weight"][...] = 5
    assert np.array_equal(state_arrays(model)["0.weight"], before["0.weight"])


def test_loading_read_only_and_reordered_arrays_works() -> None:
    model = small()
    arrays = dict(reversed(state_arrays(small()).items()))
    for array in arrays.values():
        array.flags.writeable = False
    load_arrays(model, arrays)
    assert np.array_equal(state_arrays(model)["2.bias"], arrays["2.bias"])


def test_a_dictionary_of_arrays_is_a_model_too() -> None:
    model = {"w": np.zeros((2, 2), np.float32), "n": np.array([1])}
    load_arrays(model, {"w": np.ones((2, 2), np.float32), "n": np.array([2])})
    assert model["w"].sum() == 4
    arrays = state_arrays(model)
    arrays["w"][...] = 9
    assert model["w"].sum() == 4


def changed(change: str) -> dict[str, Any]:
    arrays = state_arrays(small())
    if change == "missing":
        del arrays["0.bias"]
    elif change == "extra":
        arrays["3.bias"] = arrays["0.bias"]
    else:
        arrays["0.bias"] = np.zeros(4, np.float32)
    return arrays


@pytest.mark.parametrize(
    ("change", "says"),
    [("missing", r"0\.bias"), ("extra", r"3\.bias"), ("shape", r"0\.bias has shape \(4,\)")],
)
@pytest.mark.parametrize("kind", ["module", "dictionary"])
def test_weights_of_another_model_are_refused(kind: str, change: str, says: str) -> None:
    model: Any = small() if kind == "module" else state_arrays(small())
    before = state_arrays(model)
    with pytest.raises(ManifestError, match=says):
        load_arrays(model, changed(change))
    assert all(np.array_equal(a, before[name]) for name, a in state_arrays(model).items())


def test_doubles_are_refused_with_the_remedy() -> None:
    with pytest.raises(TaskError, match=r"0\.weight is float64.*model\.float\(\)"):
        state_arrays(small().double())


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(TaskError, match="not list"):
        state_arrays([1, 2])
