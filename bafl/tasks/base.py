"""What a user implements: a task is a model, a way to train it and a way to measure it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from bafl.errors import BaflError, TaskError


class TrainingStopped(BaflError):
    """Training was asked to stop before it was done; nothing came of it."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class Metric:
    """What the learning curve shows. name: such as "accuracy". unit: "" for a plain number."""

    name: str
    unit: str = ""
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model's measure on some data.

    loss: >= 0; inf or nan where the model is broken (judged as the worst there is).
    metric: in the unit of the task's `Metric`; nan where it does not exist. n: samples seen, >= 1.
    Raises TaskError for a negative loss or no samples.
    """

    loss: float
    metric: float
    n: int

    def __post_init__(self) -> None:
        if self.loss < 0:
            raise TaskError(f"a loss must be 0 or more, not {self.loss}: shift it or square it")
        if self.n < 1:
            raise TaskError("an evaluation saw no samples: give the task hold-out data")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is. loss: of the step just done."""

    step: int
    steps: int
    loss: float


def _never() -> bool:
    return False


def _silent(progress: Progress) -> None:
    del progress


@dataclass(frozen=True, slots=True)
class TrainContext:
    """What a training is told.

    base_version: the version it starts from. seed: for every random choice it makes.
    should_stop: asked often; once true, `train` raises TrainingStopped soon.
    report: told about progress, at the task's own pace.
    """

    base_version: int
    seed: int
    should_stop: Callable[[], bool] = _never
    report: Callable[[Progress], None] = _silent


@runtime_checkable
class Task(Protocol):
    """A participant's task: the same model for everybody, on this participant's own data.

    A model is a torch module or a dictionary of numpy arrays by name, changed in place; see
    `bafl.tasks.arrays`. `samples` is the size of the training data that the participant declares.
    """

    @property
    def name(self) -> str: ...

    @property
    def metric(self) -> Metric: ...

    @property
    def samples(self) -> int: ...

    def model(self) -> Any:
        """Return a new model with the genesis weights: the same ones on every call."""
        ...

    def train(self, model: Any, context: TrainContext) -> None:
        """Train `model` in place on the participant's own data, with a fresh optimizer.

        Raises TrainingError where the loss is not finite, TrainingStopped when asked to stop.
        """
        ...

    def evaluate(self, model: Any) -> Evaluation:
        """Measure `model` on the participant's own hold-out data, never trained on."""
        ...


@runtime_checkable
class Resampling(Protocol):
    """A task whose hold-out is drawn anew for each window, so that less can be learnt of it."""

    def holdout(self, seed: int) -> Callable[[Any], Evaluation]:
        """Return an evaluation on a part of the hold-out drawn with `seed`."""
        ...


@runtime_checkable
class HasTestSet(Protocol):
    """A task that comes with a central test set, for reports; no protocol step looks at it."""

    def test(self, model: Any) -> Evaluation:
        """Measure `model` on the central test set."""
        ...


@runtime_checkable
class Checked(Protocol):
    """A task that can try itself out before a node relies on it."""

    def check(self) -> None:
        """Raise TaskError if model and data do not fit together. Cheap, and changes nothing."""
        ...


def holdout_of(task: Task, seed: int) -> Callable[[Any], Evaluation]:
    """Return how `task` judges models in one window: resampled with `seed` where it can be."""
    return task.holdout(seed) if isinstance(task, Resampling) else task.evaluate
