"""Softmax regression on digits in plain numpy: a task whose process starts at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bafl.data import Samples, load
from bafl.data.partition import DirichletPartitioner
from bafl.tasks.base import Evaluation, Metric, TrainContext, TrainingStopped

Model = dict[str, NDArray[np.float32]]
RATE, EPOCHS, BATCH, HELD = 0.5, 3, 20, 0.25


class Softmax:
    """Participant `index` of `count`, on its own Dirichlet part of the digits."""

    name = "softmax"
    metric = Metric("accuracy")

    def __init__(self, index: int, count: int, seconds: float = 0.0) -> None:
        data = load("digits")
        parts = DirichletPartitioner(count, alpha=2.0, min_partition_size=60, seed=1)
        mine = data.train.take(parts.partition(data.train.labels, None)[index])
        order = np.random.default_rng(index).permutation(len(mine))
        held = round(HELD * len(mine))
        self.held, self.train_data, self.test_data = (
            mine.take(order[:held]), mine.take(order[held:]), data.test
        )  # fmt: skip
        self.seconds = seconds
        self.samples = len(self.train_data)

    def model(self) -> Model:
        return {"b": np.zeros(10, np.float32), "w": np.zeros((64, 10), np.float32)}

    def train(self, model: Model, context: TrainContext) -> None:
        rng = np.random.default_rng(context.seed)
        data = self.train_data
        shift = np.log(np.maximum(np.bincount(data.labels, minlength=10) / len(data), 1e-4))
        for _ in range(EPOCHS):
            for batch in np.array_split(rng.permutation(len(data)), max(1, len(data) // BATCH)):
                if context.should_stop():
                    raise TrainingStopped("stopped")
                x, y = flat(data.take(batch))
                error = probabilities(x @ model["w"] + model["b"] + shift)
                error[np.arange(len(y)), y] -= 1
                model["w"] -= (RATE * x.T @ error / len(y)).astype(np.float32)
                model["b"] -= (RATE * error.mean(axis=0)).astype(np.float32)

    def evaluate(self, model: Model) -> Evaluation:
        return measured(model, self.held)

    def holdout(self, seed: int) -> Callable[[Model], Evaluation]:
        size = max(1, round(0.8 * len(self.held)))
        drawn = self.held.take(np.random.default_rng(seed).permutation(len(self.held))[:size])
        return lambda model: measured(model, drawn)

    def test(self, model: Model) -> Evaluation:
        return measured(model, self.test_data)


def flat(samples: Samples) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    return samples.features.reshape(len(samples), -1).astype(np.float64), samples.labels


def probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def measured(model: Model, samples: Samples) -> Evaluation:
    x, y = flat(samples)
    p = probabilities(x @ model["w"].astype(np.float64) + model["b"])
    losses = -np.log(np.maximum(p[np.arange(len(y)), y], 1e-12))
    classes = np.unique(y)
    loss = float(np.mean([losses[y == c].mean() for c in classes]))
    return Evaluation(loss, float((p.argmax(axis=1) == y).mean()), len(y))
