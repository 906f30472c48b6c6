"""Models as arrays by name: to and from torch modules and dictionaries of arrays.

A tied weight appears once, under its first name. Half precision widens to float32, and narrows
again when loaded. Integer buffers keep their dtype. `bafl.codec` makes one vector of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bafl.errors import ManifestError, TaskError

if TYPE_CHECKING:
    import torch

Arrays = dict[str, NDArray[Any]]


def state_arrays(model: Any) -> Arrays:
    """Return copies of a model's tensors by name, in the model's order: float32 or integers.

    model: torch module, or a mapping of names to numpy arrays.
    Raises TaskError for anything else, or for tensors that are complex or float64.
    """
    if isinstance(model, Mapping):
        return {name: _plain(name, np.asarray(array)) for name, array in model.items()}
    return {name: _numpy(name, tensor) for name, tensor in _tensors(model)}


def load_arrays(model: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Copy `arrays` into `model` in place, with the names and shapes of `state_arrays(model)`.

    Raises ManifestError naming the first tensor that is missing, extra, or of another shape.
    """
    if isinstance(model, Mapping):
        _check(arrays, {name: array.shape for name, array in model.items()})
        for name, target in model.items():
            np.copyto(target, arrays[name], casting="same_kind")
        return
    import torch

    tensors = dict(_tensors(model))
    _check(arrays, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.from_numpy(np.array(arrays[name])))


def _tensors(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield a module's parameters and persistent buffers, a tied one under its first name only."""
    state = getattr(model, "state_dict", None)
    if state is None:
        raise TaskError(
            f"a model is a torch module or a dictionary of arrays, not {type(model).__name__}"
        )
    seen: set[int] = set()
    for name, tensor in state(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield name, tensor


def _numpy(name: str, tensor: torch.Tensor) -> NDArray[Any]:
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point() and tensor.element_size() <= 2:
        tensor = tensor.float()
    return _plain(name, tensor.numpy())


def _plain(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype == np.float32 or array.dtype.kind in "iub":
        return array.copy()
    raise TaskError(
        f"tensor {name} is {array.dtype}: models are float32 (or half) with integer buffers; "
        "convert it with model.float()"
    )


def _check(arrays: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]) -> None:
    missing = [name for name in shapes if name not in arrays]
    extra = [name for name in arrays if name not in shapes]
    if missing or extra:
        raise ManifestError(
            f"the weights do not fit the model: missing {missing or 'none'}, extra "
            f"{extra or 'none'}; is the task's model the federation's?"
        )
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ManifestError(
                f"tensor {name} has shape {arrays[name].shape}, the model's has {shape}; is the "
                "task's model the federation's?"
            )
