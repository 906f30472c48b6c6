"""What the demo can play: a task, who takes part, and who has which data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bafl.data import DataSet, Samples, load, split_off
from bafl.settings import FederationSettings
from bafl.tasks.ready import ReadySettings
from examples.demo.cast import Part


@dataclass(frozen=True, slots=True)
class Play:
    """One task of the demo.

    told: what the audience is told of the data. cast: who takes part; participant i has part i of
    the data. data: with more training a version than the ready task's own, so that steps are large
    enough for a poisoned one to do harm. owners: whose each training sample is, where that is not
    left to a partitioner.
    """

    task: str
    told: str
    cast: tuple[Part, ...]
    data: ReadySettings
    owners: Callable[[Samples], NDArray[np.int64]] | None = None

    def load(self) -> DataSet:
        """Load the task's data. Raises DataError where it cannot be had."""
        data = load(self.task)
        if self.owners is None:
            return data
        train = data.train
        return replace(data, train=Samples(train.features, train.labels, self.owners(train)))

    def settings(self, common: FederationSettings) -> FederationSettings:
        """Return the demo's federation file with this task in it."""
        task = common.task.model_copy(update={"name": self.task})
        return common.model_copy(update={"task": task})


def halved(train: Samples, *owners: int) -> NDArray[np.int64]:
    """Give half of an owner's samples to a new owner, and so on; classes are shared alike."""
    assert train.groups is not None
    groups = train.groups.copy()
    for owner in owners:
        own = np.flatnonzero(train.groups == owner)
        _, given = split_off(train.labels[own], 0.5, seed=owner)
        groups[own[given]] = groups.max() + 1
    return groups


def merged(train: Samples, owners: tuple[int, ...]) -> NDArray[np.int64]:
    """Give all of an owner's samples to owner `owners[owner]`."""
    assert train.groups is not None
    return np.array(owners)[train.groups]


REMOTE: Final = Part("remote", slower=8.0)
ROGUE: Final = Part("rogue", poisons=True)
QUARTERS: Final = (Part("north"), Part("south"), Part("east"), Part("west", is_killed=True))

PLAYS: Final = {
    "digits": Play(
        "digits",
        "Handwritten digits, shared out unevenly: some have hardly any of some of them.",
        (*QUARTERS, REMOTE, ROGUE),
        ReadySettings(participants=6, partitioner="dirichlet", alpha=1.0, epochs=4),
    ),
    "heart": Play(
        "heart",
        "Patients of four hospitals, who has heart disease? Each keeps its own. A slow one and a "
        "poisoner come along: remote has half of Cleveland's patients, rogue half of Budapest's.",
        (
            Part("Cleveland"),
            Part("Budapest"),
            Part("Zurich"),
            Part("Long Beach", is_killed=True),
            REMOTE,
            ROGUE,
        ),
        ReadySettings(participants=6, partitioner="natural", epochs=8, holdout_fraction=0.3),
        lambda train: halved(train, 0, 1),
    ),
    "credit": Play(
        "credit",
        "Credit card clients, who will not pay? Eight bands of the credit limit: north and south "
        "have two of them each, the others one.",
        (*QUARTERS, REMOTE, ROGUE),
        ReadySettings(participants=6, partitioner="natural", epochs=2, lr=0.1, holdout_size=1_000),
        lambda train: merged(train, (0, 0, 1, 1, 2, 3, 4, 5)),
    ),
}
"""By the name that `make demo TASK=…` gives."""
