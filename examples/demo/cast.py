"""Who takes part in the demo, and how those misbehave who do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.nn import functional as F  # noqa: N812 - its usual name

from bafl.data import DataSet, Samples, split_off
from bafl.judge.rules import MALFORMED, UNAVAILABLE_OR_COPY
from bafl.judge.score import Verdicts
from bafl.tasks.base import Evaluation, Metric, TrainContext, TrainingStopped
from bafl.tasks.ready import ReadySettings, network, own_part
from bafl.tasks.torch import TorchTask
from bafl.work import Bench, Judge, honest


@dataclass(frozen=True, slots=True)
class Part:
    """One participant.

    slower: how many times a normal one's training time it takes. poisons: it flips labels, and lies
    as a validator.
    """

    name: str
    slower: float = 1.0
    poisons: bool = False
    is_killed: bool = False

    @property
    def slug(self) -> str:
        """Its name as files and stores take it."""
        return self.name.lower().replace(" ", "-")

    @property
    def told(self) -> str:
        """What is special about it."""
        if self.poisons:
            return "poisons, lies"
        return f"{self.slower:g} x slower" if self.slower > 1 else ""


CODES = (UNAVAILABLE_OR_COPY, MALFORMED)


class Paced:
    """A task on a computer of a given speed: a training takes at least `seconds`."""

    def __init__(self, task: TorchTask, seconds: float) -> None:
        self._task = task
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    @property
    def name(self) -> str:
        """Its task's."""
        return self._task.name

    @property
    def metric(self) -> Metric:
        """Its task's."""
        return self._task.metric

    @property
    def samples(self) -> int:
        """Its task's."""
        return self._task.samples

    def model(self) -> Any:
        """Its task's."""
        return self._task.model()

    def train(self, model: Any, context: TrainContext) -> None:
        """Train, and let the rest of the time pass."""
        ends = time.monotonic() + self._seconds
        self._task.train(model, context)
        while time.monotonic() < ends:
            if context.should_stop():
                raise TrainingStopped("asked to stop")
            time.sleep(0.05)

    def evaluate(self, model: Any) -> Evaluation:
        """Its task's."""
        return self._task.evaluate(model)

    def holdout(self, seed: int) -> Callable[[Any], Evaluation]:
        """Its task's."""
        return self._task.holdout(seed)


def poisoned(name: str, data: DataSet, settings: ReadySettings) -> TorchTask:
    """Make the task of a participant whose labels all say the first class.

    It trains five times as long as the others, and with plain cross-entropy: an attacker trains as
    it likes.
    """
    part = own_part(data, settings)
    rest, held = split_off(part.labels, settings.holdout_fraction, settings.partition_seed)
    features = part.take(rest).features
    return TorchTask(
        name,
        network(name),
        train=Samples(features, np.zeros(len(features), np.int64)),
        holdout=part.take(held),
        classes=data.classes,
        loss=F.cross_entropy,
        epochs=5 * (settings.epochs or 1),
        lr=0.1,
    )


def lie(bench: Bench) -> Verdicts:
    """Call good bad and bad good, and vote to keep everything."""
    told = honest(bench)
    return Verdicts(
        tuple(s if s in CODES else max(-10_000, min(9_990, -s)) for s in told.scores),
        len(told.scores),
    )


def judge_of(part: Part) -> Judge:
    """Return how a participant judges."""
    return lie if part.poisons else honest
