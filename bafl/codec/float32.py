"""The plain encoding: four bytes a value, nothing lost. For debugging and small models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bafl.codec import canonical
from bafl.types import Encoding, TensorSpec

Array = npt.NDArray[Any]
Vector = npt.NDArray[np.float32]


class Float32:
    """Values as they are, with -0 and subnormals flushed to 0."""

    encoding = Encoding.FLOAT32

    def specs(self, weights: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        """The payload has the model's own float32 tensors."""
        return weights

    def encode(self, spec: TensorSpec, values: Vector) -> dict[str, Array]:
        """Keep the values, which must have no -0 and no subnormal."""
        return {spec.name: values.copy()}

    def check(self, spec: TensorSpec, tensors: Mapping[str, Array]) -> float:
        """Refuse NaN, infinity, -0 and subnormals; return max |value|."""
        return canonical.check_values(spec, tensors[spec.name])

    def decode(
        self, spec: TensorSpec, tensors: Mapping[str, Array], start: int, stop: int
    ) -> Vector:
        """Values start to stop (exclusive)."""
        part: Vector = tensors[spec.name].reshape(-1)[start:stop]
        return part
