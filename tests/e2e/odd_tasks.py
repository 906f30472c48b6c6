"""Tasks that a node has to refuse."""

from __future__ import annotations

import numpy as np

from bafl.tasks.base import Evaluation, TrainContext
from tests.e2e.federation.softmax import Model, Softmax


class Larger(Softmax):
    """Another model than the federation's."""

    def model(self) -> Model:
        return {"b": np.zeros(10, np.float32), "w": np.zeros((65, 10), np.float32)}


class Diverging(Softmax):
    """Training that ends in weights that are not numbers."""

    def train(self, model: Model, context: TrainContext) -> None:
        model["w"] *= np.float32("nan")
        model["b"] += np.float32("nan")


class Unmeasurable(Softmax):
    """Hold-out data that measuring stumbles over."""

    def evaluate(self, model: Model) -> Evaluation:
        raise KeyError("age")
