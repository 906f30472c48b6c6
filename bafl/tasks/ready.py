"""Tasks that are ready to run: published data, a small network, and settings that work."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from torch import nn

from bafl.data import PARTITIONERS, DataSet, Partitioner, Samples, load, split_off
from bafl.errors import TaskError
from bafl.tasks.base import Metric
from bafl.tasks.torch import ACCURACY, AUC, Measure, TorchTask, accuracy, auc


@dataclass(frozen=True, slots=True)
class ReadySettings:
    """What can be set of a ready task; each field is a key in a TOML.

    participant: whose part of the data, 0 to participants - 1; None: all of it.
    partitioner: "iid", "dirichlet" (with `alpha`), "shards" (with `shards_per_partition`) or
        "natural". partition_seed: all participants must have the same.
    holdout_fraction: of the participant's part, never trained on. holdout_size: most samples that
        one window's judging draws. samples: only so many of the whole training data, or all.
    epochs, batch_size, lr: None for the task's own.
    """

    participant: int | None = None
    participants: int = 1
    partitioner: str = "iid"
    alpha: float = 0.5
    shards_per_partition: int = 2
    min_partition_size: int = 10
    partition_seed: int = 42
    holdout_fraction: float = 0.2
    holdout_size: int = 200
    samples: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.participants < 1:
            raise TaskError(f"participants is {self.participants}: there must be at least 1")
        if self.participant is not None and not 0 <= self.participant < self.participants:
            raise TaskError(
                f"participant is {self.participant}: with {self.participants} participants it is "
                f"0 to {self.participants - 1}"
            )
        if self.partitioner not in PARTITIONERS:
            raise TaskError(
                f"there is no partitioner {self.partitioner!r}: choose from "
                f"{', '.join(PARTITIONERS)}"
            )
        for name in ("samples", "epochs", "batch_size", "lr", "holdout_size"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise TaskError(f"{name} is {value}: it is above 0")
        if not 0 < self.holdout_fraction < 1:
            raise TaskError(f"holdout_fraction is {self.holdout_fraction}: it is between 0 and 1")


_T = TypeVar("_T")


def _or(given: _T | None, own: _T) -> _T:
    return own if given is None else given


def _mlp(*sizes: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for wide, narrow in itertools.pairwise(sizes):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@dataclass(frozen=True, slots=True)
class _Ready:
    """A network's layer widths and the training that suits it."""

    widths: tuple[int, ...]
    epochs: int
    lr: float
    batch_size: int = 32
    metric: Metric = ACCURACY
    measure: Measure = accuracy


_READY: Final[dict[str, _Ready]] = {
    "ai4i": _Ready((8, 64, 32, 2), epochs=2, lr=0.1, metric=AUC, measure=auc),
    "breast-cancer": _Ready((30, 16, 2), epochs=4, lr=0.1, batch_size=16),
    "credit": _Ready((26, 64, 32, 2), epochs=1, lr=0.05, metric=AUC, measure=auc),
    "digits": _Ready((64, 32, 10), epochs=3, lr=0.1, batch_size=16),
    "fashion-mnist": _Ready((784, 64, 10), epochs=1, lr=0.1),
    "heart": _Ready((30, 16, 2), epochs=4, lr=0.05, batch_size=16, metric=AUC, measure=auc),
    "mnist": _Ready((784, 64, 10), epochs=1, lr=0.1),
}


def names() -> tuple[str, ...]:
    """Return the names of the ready tasks."""
    return tuple(_READY)


def open_ready(name: str, settings: ReadySettings) -> TorchTask:
    """Load a ready task's data and cut out the participant's part.

    Raises TaskError for settings that do not fit the data, DataError where it cannot be had.
    """
    return build(name, load(name), settings)


def build(name: str, data: DataSet, settings: ReadySettings) -> TorchTask:
    """Make the ready task `name` on `data`, loaded before; see `open_ready`."""
    ready = _READY[name]
    train = own_part(data, settings)
    rest, held = split_off(train.labels, settings.holdout_fraction, settings.partition_seed)
    return TorchTask(
        name,
        network(name),
        train=train.take(rest),
        holdout=train.take(held),
        test=data.test,
        classes=data.classes,
        epochs=_or(settings.epochs, ready.epochs),
        batch_size=_or(settings.batch_size, ready.batch_size),
        lr=_or(settings.lr, ready.lr),
        metric=ready.metric,
        measure=ready.measure,
        holdout_size=settings.holdout_size,
        device=settings.device,
    )


def read_settings(given: Mapping[str, Any]) -> ReadySettings:
    """Check a TOML's settings whole. Raises TaskError listing every unknown key or wrong type."""
    from pydantic import TypeAdapter, ValidationError

    known = [field.name for field in dataclasses.fields(ReadySettings)]
    unknown = [key for key in given if key not in known]
    if unknown:
        raise TaskError(f"there is no setting {', '.join(unknown)}: there are {', '.join(known)}")
    try:
        return TypeAdapter(ReadySettings).validate_python(given)
    except ValidationError as error:
        wrong = [
            f"{mistake['loc'][0]} is {mistake['input']!r}: {mistake['msg']}"
            for mistake in error.errors()
        ]
        raise TaskError("; ".join(wrong)) from None


def network(name: str) -> Callable[[], nn.Module]:
    """Return the factory of a ready task's network."""
    widths = _READY[name].widths
    return lambda: _mlp(*widths)


def own_part(data: DataSet, settings: ReadySettings) -> Samples:
    """Return the participant's part of the training data, hold-out included; all if it is None."""
    train = data.train
    if settings.samples is not None and settings.samples < len(train):
        fraction = settings.samples / len(train)
        train = train.take(split_off(train.labels, fraction, settings.partition_seed)[1])
    if settings.participant is None:
        return train
    parts = _partitioner(settings).partition(train.labels, train.groups)
    return train.take(parts[settings.participant])


def _partitioner(settings: ReadySettings) -> Partitioner:
    """Make the partitioner, giving it those of the settings that it has a field for."""
    kind = PARTITIONERS[settings.partitioner]
    given = {
        "num_partitions": settings.participants,
        "alpha": settings.alpha,
        "min_partition_size": settings.min_partition_size,
        "num_shards_per_partition": settings.shards_per_partition,
        "seed": settings.partition_seed,
    }
    assert dataclasses.is_dataclass(kind)
    fields = {field.name for field in dataclasses.fields(kind)}
    return kind(**{key: value for key, value in given.items() if key in fields})
