"""Who takes part: honest organisations, and four ways of playing foul."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bafl.data import DataSet, Samples, split_off
from bafl.judge import Candidate, Verdicts, rules, score_window
from bafl.tasks import TrainContext, load_arrays, state_arrays
from bafl.tasks.ready import ReadySettings, network, own_part
from bafl.tasks.torch import Loss, TorchTask

Vector = NDArray[np.float32]

START_REPUTATION_PPM = 300_000
_SMALLEST_PART = 100
_HOLDOUT = 0.2


@dataclass(frozen=True, slots=True)
class Case:
    """One run of a federation.

    attack: "flip" (labels all to one class; as validators the attackers lie in concert), "zero"
        (submits nothing), "noise" (of the median norm); the last two wave every update through
        unseen. "none": nobody attacks. The first `attackers` participants do it.
    samples: of the whole training set, split by Dirichlet `alpha`; a fifth of each participant's
        part is its hold-out, 20 to 200 samples a window.
    honest_only: leave the attackers out altogether: what the honest reach alone.
    equal_shares: give every accepted update the same share instead of the tally's.
    """

    attack: str
    attackers: int
    seed: int
    task: str = "fashion-mnist"
    participants: int = 10
    samples: int = 12_000
    alpha: float = 0.1
    windows: int = 14
    epochs: int = 3
    lr: float = 0.1
    batch_size: int = 32
    honest_only: bool = False
    equal_shares: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """A submitted update as everybody reads it. base: the version it was trained on."""

    author: int
    base: int
    delta: Vector


class Participant:
    """One organisation: its task, its standing, and how it plays foul, if it does."""

    def __init__(self, index: int, task: TorchTask, attack: str | None, seed: int) -> None:
        self.index = index
        self.task = task
        self.attack = attack
        self.trainer_reputation_ppm = START_REPUTATION_PPM
        self.validator_reputation_ppm = START_REPUTATION_PPM
        self._seed = seed
        self._model = task.model()
        self._like = state_arrays(self._model)
        self.genesis = _vector(self._model)

    def train(self, base: Vector, version: int) -> Vector:
        """Return an update of `base`; noise has norm 1 until it is known what the others sent."""
        rng = np.random.default_rng((self._seed, self.index, version))
        if self.attack == "zero":
            return np.zeros_like(base)
        if self.attack == "noise":
            noise = rng.standard_normal(base.shape)
            return (noise / np.linalg.norm(noise)).astype(np.float32)
        self._load(base)
        self.task.train(self._model, TrainContext(version, int(rng.integers(2**31))))
        return _vector(self._model) - base

    def judge(
        self,
        window: int,
        base: Vector,
        candidates: Sequence[Candidate],
        authors: Sequence[int],
        foul: frozenset[int],
    ) -> Verdicts:
        """Judge a window honestly, lie in concert, or wave everything through unseen."""
        if self.attack == "flip":
            best, worst = rules.MARGINAL_MAX, rules.ALONE_MIN
            lies = tuple(best if author in foul else worst for author in authors)
            return Verdicts(lies, len(authors))
        if self.attack is not None:
            return Verdicts((0,) * len(authors), len(authors))
        rng = np.random.default_rng((self._seed, self.index, window, 1))
        evaluate = self.task.holdout(int(rng.integers(2**31)))

        def loss(weights: Vector) -> float:
            self._load(weights)
            return evaluate(self._model).loss

        return score_window(loss, base, loss(self.genesis), candidates)

    def accuracy(self, weights: Vector) -> float:
        """Return the accuracy of weights on the central test set, 0..1."""
        self._load(weights)
        return self.task.test(self._model).metric

    def _load(self, weights: Vector) -> None:
        start, arrays = 0, {}
        for name, array in self._like.items():
            arrays[name] = weights[start : start + array.size].reshape(array.shape)
            start += array.size
        load_arrays(self._model, arrays)


def gather(case: Case, data: DataSet) -> list[Participant]:
    """Split the data and make the participants of a case."""
    parts = [_part(case, data, index) for index in range(case.participants)]
    target = _rarest(parts[: case.attackers], data.classes)
    people = []
    for index, part in enumerate(parts):
        attack = case.attack if index < case.attackers else None
        if attack is None or not case.honest_only:
            flipped_to = target if attack == "flip" else None
            task = _task(case, data, part, flipped_to)
            people.append(Participant(index, task, attack, case.seed))
    return people


def _part(case: Case, data: DataSet, index: int) -> Samples:
    settings = ReadySettings(
        participant=index,
        participants=case.participants,
        partitioner="dirichlet",
        alpha=case.alpha,
        min_partition_size=min(_SMALLEST_PART, case.samples // (2 * case.participants)),
        partition_seed=case.seed,
        samples=case.samples,
    )
    return own_part(data, settings)


def _rarest(parts: Sequence[Samples], classes: int) -> int:
    """The class that the attackers hold least of: data of the class it is flipped to is no lie."""
    labels = np.concatenate([np.zeros(0, np.int64), *(part.labels for part in parts)])
    return int(np.argmin(np.bincount(labels, minlength=classes)))


def _task(case: Case, data: DataSet, part: Samples, flipped_to: int | None) -> TorchTask:
    """A participant's task; a flipper calls everything one class, with plain cross-entropy."""
    rest, held = split_off(part.labels, _HOLDOUT, case.seed)
    train = part.take(rest)
    loss: Loss | None = None
    if flipped_to is not None:
        train = Samples(train.features, np.full_like(train.labels, flipped_to))
        loss = torch.nn.functional.cross_entropy
    return TorchTask(
        case.task,
        network(case.task),
        train=train,
        holdout=part.take(held),
        test=data.test,
        classes=data.classes,
        loss=loss,
        epochs=case.epochs,
        lr=case.lr,
        batch_size=case.batch_size,
    )


def _vector(model: torch.nn.Module) -> Vector:
    return np.concatenate([array.ravel() for array in state_arrays(model).values()])
