"""What a loaded data set is: arrays, a training part to share out and a central test part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Samples:
    """Features float32 (N, ...), labels int64 (N,), and each sample's natural owner or None."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if len(self.features) != len(self.labels):
            raise ValueError(f"{len(self.features)} samples with {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Samples:
        """Return the samples at `indices`, in that order."""
        groups = None if self.groups is None else self.groups[indices]
        return Samples(self.features[indices], self.labels[indices], groups)


@dataclass(frozen=True, slots=True)
class DataSet:
    """A published data set. train is shared out among participants; test belongs to nobody."""

    name: str
    train: Samples
    test: Samples
    classes: int


def split_off(
    labels: NDArray[np.int64], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split indices in two, keeping each label's proportion: (rest, part of about `fraction`).

    Labels may be any integers (a class, or class and owner in one). A label with fewer than two
    samples stays in the rest; every other gives at least one to the part and keeps one.
    """
    rng = np.random.default_rng(seed)
    rest = [np.zeros(0, np.int64)]
    part = [np.zeros(0, np.int64)]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        part.append(members[:count])
        rest.append(members[count:])
    return np.sort(np.concatenate(rest)), np.sort(np.concatenate(part))
