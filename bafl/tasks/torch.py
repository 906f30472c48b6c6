"""A ready task for PyTorch: a module, data, and a few settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.utils.data import DataLoader, Dataset

from bafl.data.base import Samples
from bafl.errors import TaskError, TrainingError
from bafl.tasks.base import Evaluation, Metric, Progress, TrainContext, TrainingStopped
from bafl.tasks.own import users_code

if TYPE_CHECKING:
    from torch import Tensor

Loss = Callable[["Tensor", "Tensor"], "Tensor"]
Measure = Callable[["Tensor", "Tensor"], float]
Data = Samples | Dataset[Any] | DataLoader[Any]

_FREQUENCY_FLOOR: Final = 1e-4
_POOLED_BELOW: Final = 3
_DRAWN: Final = 0.8
_EVALUATION_BATCH: Final = 1024


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Return the share of samples whose largest logit is the target's. (N, C), (N,) -> 0..1."""
    return float((outputs.argmax(dim=1) == targets).double().mean())


def auc(outputs: Tensor, targets: Tensor) -> float:
    """Return the area under the ROC curve of two logits a sample; nan where only one class is.

    (N, 2), (N,) -> 0..1. The share of pairs that are in the right order, ties counting half.
    """
    from sklearn.metrics import roc_auc_score

    if len(targets.unique()) < 2:
        return math.nan
    wide = outputs.double()  # two finite logits may lie further apart than float32 reaches
    return float(roc_auc_score(targets.numpy(), (wide[:, 1] - wide[:, 0]).numpy()))


ACCURACY: Final = Metric("accuracy")
AUC: Final = Metric("AUC")


class LogitAdjusted:
    """Cross-entropy whose logits are raised by the log of the participant's label frequencies.

    Keeps the updates of participants comparable that hold few classes: absent ones are not pushed
    down. Used in training only.
    Source: Menon et al. 2021, "Long-tail learning via logit adjustment"; for federated learning
    Zhang et al. 2022, "Federated Learning with Label Distribution Skew via Logits Calibration".
    """

    def __init__(self, counts: NDArray[np.int64]) -> None:
        frequencies = np.maximum(counts / max(counts.sum(), 1), _FREQUENCY_FLOOR)
        self._shift = torch.from_numpy(np.log(frequencies)).float()

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs + self._shift.to(outputs.device, outputs.dtype), targets)


@dataclass(frozen=True, slots=True)
class _Held:
    """Data kept whole in memory."""

    features: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, indices: Tensor) -> _Held:
        return _Held(self.features[indices], self.targets[indices])


@dataclass(frozen=True, slots=True)
class _Shuffled:
    """Batches of data in memory, in a new random order each time; far quicker than a loader."""

    held: _Held
    batch_size: int

    def __len__(self) -> int:
        return math.ceil(len(self.held) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for indices in torch.randperm(len(self.held)).split(self.batch_size):
            batch = self.held.take(indices)
            yield batch.features, batch.targets


class TorchTask:
    """A task made of a module factory and data; see `bafl.tasks.base.Task`.

    module: makes the network; called with a fixed seed, so that everybody has the same genesis.
    train: `Samples`, a map-style dataset of (features, target), or a data loader of batches (its
        own order and batch size then count).
    holdout: data of this participant that `train` does not hold, and not `train` itself; kept in
        memory.
    test: central test data for reports, if there are any.
    classes: number of classes, for classification; None: `loss` decides alone.
    loss: (outputs, targets) -> scalar >= 0. For classification by default logit-adjusted
        cross-entropy, and it is used in training only: measured is always the class-balanced
        cross-entropy, with classes of fewer than 3 samples pooled.
    epochs, batch_size, lr, momentum, weight_decay: of SGD; `optimizer` replaces it.
    metric, measure: what the learning curve shows, and how it is got from (outputs, targets).
    holdout_size: most samples that one window's hold-out draws.
    """

    def __init__(
        self,
        name: str,
        module: Callable[[], nn.Module],
        *,
        train: Data,
        holdout: Samples | Dataset[Any],
        test: Samples | Dataset[Any] | None = None,
        classes: int | None = None,
        loss: Loss | None = None,
        epochs: int = 1,
        batch_size: int = 32,
        lr: float = 0.1,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None = None,
        metric: Metric = ACCURACY,
        measure: Measure = accuracy,
        holdout_size: int = 200,
        genesis_seed: int = 0,
        device: str = "cpu",
    ) -> None:
        if classes is None and loss is None:
            raise TaskError(f"task {name}: give `classes` for classification, or a `loss`")
        if epochs < 1 or batch_size < 1 or not lr > 0:
            raise TaskError(
                f"task {name}: epochs {epochs} and batch_size {batch_size} must be at least 1, "
                f"lr {lr} above 0"
            )
        _check_kinds(name, module, train=train, holdout=holdout, test=test)
        self._name = name
        self._module = module
        self._train = train
        self._holdout = _hold(holdout)
        self._test = None if test is None else _hold(test)
        self._classes = classes
        self._loss = loss
        self._epochs = epochs
        self._batch_size = batch_size
        self._lr = lr
        self._optimizer = optimizer or (
            lambda m: torch.optim.SGD(
                m.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay
            )
        )
        self._metric = metric
        self._measure = measure
        self._holdout_size = holdout_size
        self._genesis_seed = genesis_seed
        self._device = torch.device(device)
        if len(self._holdout) == 0:
            raise TaskError(f"task {name} has no hold-out data: set some aside to judge with")
        if self.samples == 0:
            raise TaskError(f"task {name} has no training data")
        self._check_labels("holdout", self._holdout.targets)
        if self._test is not None:
            self._check_labels("test", self._test.targets)
        if isinstance(train, Samples):
            self._check_labels("train", torch.from_numpy(train.labels))

    @property
    def name(self) -> str:
        return self._name

    @property
    def metric(self) -> Metric:
        return self._metric

    @property
    def samples(self) -> int:
        data = self._train.dataset if isinstance(self._train, DataLoader) else self._train
        if not isinstance(data, Sized):
            raise TaskError(f"task {self._name}: training data must have a length")
        return len(data)

    def model(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._genesis_seed)
            network: object = self._module()
        if not isinstance(network, nn.Module):
            raise TaskError(
                f"task {self._name}: module gave a {type(network).__name__}: it is to return a "
                "new torch.nn.Module"
            )
        return network.to(self._device)

    def check(self) -> None:
        """Try the network on a batch of training data and one of the hold-out.

        Raises TaskError if it does not take them, or what it gives does not fit the targets.
        """
        model, held = self.model(), self._holdout.take(torch.arange(min(2, len(self._holdout))))
        with torch.random.fork_rng(devices=[]):
            batch = next(iter(self._loader()), None)
            if batch is None:
                raise TaskError(f"task {self._name}: train gives no batch: does it drop the last?")
            features, targets = batch
            self._check_labels("train", targets)
            loss = self._loss or F.cross_entropy
            self._try("train", model.train(), features, targets, loss)
        self._try("holdout", model.eval(), held.features, held.targets, loss)

    def train(self, model: nn.Module, context: TrainContext) -> None:
        loss = self._training_loss()
        optimizer = self._optimizer(model)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            loader = self._loader()
            steps = self._epochs * len(loader)
            model.train()
            step = 0
            for _ in range(self._epochs):
                for features, targets in loader:
                    if context.should_stop():
                        raise TrainingStopped(f"task {self._name}: stopped at step {step}/{steps}")
                    step += 1
                    optimizer.zero_grad(set_to_none=True)
                    value = loss(model(features.to(self._device)), targets.to(self._device))
                    self._check(value.item(), step, steps)
                    value.backward()
                    optimizer.step()
                    context.report(Progress(step, steps, value.item()))
        if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
            raise TrainingError(
                f"task {self._name}: the last of {steps} steps gave weights that are not finite: "
                f"lower lr (it is {self._lr})"
            )

    def evaluate(self, model: nn.Module) -> Evaluation:
        return self._evaluate(model, self._holdout)

    def test(self, model: nn.Module) -> Evaluation:
        if self._test is None:
            raise TaskError(f"task {self._name} has no central test data: give it as `test`")
        return self._evaluate(model, self._test)

    def holdout(self, seed: int) -> Callable[[nn.Module], Evaluation]:
        held = self._holdout.take(torch.from_numpy(self._draw(seed)))
        return lambda model: self._evaluate(model, held)

    def _try(
        self, data: str, model: nn.Module, features: Tensor, targets: Tensor, loss: Loss
    ) -> None:
        batch = f"a batch of {data}, {_shape(features)} with targets {_shape(targets)}"
        with users_code(f"task {self._name}: {batch}"), torch.no_grad():
            outputs = model(features.to(self._device))
            if self._classes is not None and tuple(outputs.shape[1:]) != (self._classes,):
                raise TaskError(
                    f"task {self._name}: {batch}: the network gives {_shape(outputs)}, and with "
                    f"{self._classes} classes it is to give ({len(targets)}, {self._classes})"
                )
            loss(outputs, targets.to(self._device))

    def _check_labels(self, data: str, targets: Tensor) -> None:
        if self._classes is None or len(targets) == 0:
            return
        if targets.is_floating_point() or targets.ndim != 1:
            raise TaskError(
                f"task {self._name}: the targets of {data} are {targets.dtype} with "
                f"{targets.ndim} dimensions: with `classes` they are one whole number a sample"
            )
        least, most = int(targets.min()), int(targets.max())
        if least < 0 or most >= self._classes:
            raise TaskError(
                f"task {self._name}: the labels of {data} go from {least} to {most}: with "
                f"{self._classes} classes they are 0 to {self._classes - 1}"
            )

    def _training_loss(self) -> Loss:
        if self._loss is not None:
            return self._loss
        assert self._classes is not None
        counts = np.zeros(self._classes, np.int64)
        for targets in self._targets():
            self._check_labels("train", torch.from_numpy(targets))
            counts += np.bincount(targets, minlength=self._classes)
        return LogitAdjusted(counts)

    def _targets(self) -> Iterator[NDArray[np.int64]]:
        if isinstance(self._train, Samples):
            yield self._train.labels
            return
        for _, targets in self._loader():
            yield targets.numpy()

    def _loader(self) -> DataLoader[Any] | _Shuffled:
        if isinstance(self._train, DataLoader):
            return self._train
        if isinstance(self._train, Samples):
            return _Shuffled(_hold(self._train), self._batch_size)
        return DataLoader(self._train, self._batch_size, shuffle=True)

    def _check(self, loss: float, step: int, steps: int) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"task {self._name}: the loss is {loss} at step {step} of {steps}: lower lr (it is "
                f"{self._lr}), or look for values that are not finite in the data"
            )

    def _draw(self, seed: int) -> NDArray[np.int64]:
        """Draw four fifths of each class of the hold-out, at most `holdout_size` samples in all."""
        rng = np.random.default_rng(seed)
        total = len(self._holdout)
        share = min(_DRAWN, self._holdout_size / total)
        if self._classes is None:
            return rng.permutation(total)[: max(1, round(share * total))]
        targets = self._holdout.targets.numpy()
        drawn = []
        for label in np.unique(targets):
            members = rng.permutation(np.flatnonzero(targets == label))
            drawn.append(members[: max(1, round(share * len(members)))])
        return np.concatenate(drawn)

    def _evaluate(self, model: nn.Module, held: _Held) -> Evaluation:
        was_training = model.training
        model.eval()
        with torch.inference_mode():
            parts = [
                model(features.to(self._device)).cpu()
                for features in held.features.split(_EVALUATION_BATCH)
            ]
            outputs = torch.cat(parts)
            loss = self._measured_loss(outputs, held.targets)
            finite = bool(torch.isfinite(outputs).all())
            metric = self._measure(outputs, held.targets) if finite else math.nan
        model.train(was_training)
        return Evaluation(loss if math.isfinite(loss) else math.inf, metric, len(held))

    def _measured_loss(self, outputs: Tensor, targets: Tensor) -> float:
        if self._classes is None:
            assert self._loss is not None
            return float(self._loss(outputs, targets))
        each = F.cross_entropy(outputs.double(), targets, reduction="none")
        return balanced_mean(each.numpy(), targets.numpy())


def _check_kinds(name: str, module: object, **data: object) -> None:
    """Refuse what is easily given by mistake, before it fails deep inside."""
    if isinstance(module, nn.Module) or not callable(module):
        kind = "a network" if isinstance(module, nn.Module) else f"a {type(module).__name__}"
        raise TaskError(
            f"task {name}: module is {kind}: give a function that makes one: lambda: MyNetwork()"
        )
    for key, given in data.items():
        if isinstance(given, str | bytes | PathLike):
            raise TaskError(
                f"task {name}: {key} is {given!r}, a name: give the data themselves, as a torch "
                "Dataset or bafl.data.Samples"
            )
    train = data["train"]
    if data["holdout"] is (train.dataset if isinstance(train, DataLoader) else train):
        raise TaskError(
            f"task {name}: holdout is train: judge with data that were set aside before training"
        )


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))


def balanced_mean(values: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the mean over classes of each class's mean; classes of fewer than 3 are pooled."""
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rare = counts < _POOLED_BELOW
    means = np.bincount(inverse, values) / counts
    parts = list(means[~rare])
    if rare.any():
        parts.append(values[rare[inverse]].mean())
    return float(np.mean(parts))


def _hold(data: Samples | Dataset[Any]) -> _Held:
    """Bring data into memory as two tensors."""
    if isinstance(data, Samples):
        return _Held(torch.from_numpy(data.features), torch.from_numpy(data.labels))
    batches = list(DataLoader(data, _EVALUATION_BATCH))
    if not batches:
        return _Held(torch.zeros(0), torch.zeros(0))
    features, targets = (torch.cat(column) for column in zip(*batches, strict=True))
    return _Held(features, targets)
