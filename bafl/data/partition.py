"""Split a data set among participants; named like the partitioners of flwr-datasets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bafl.errors import TaskError

Indices = NDArray[np.int64]

_TRIES = 1000


class Partitioner(Protocol):
    """Splits samples into `num_partitions` disjoint lists of indices."""

    @property
    def num_partitions(self) -> int: ...

    def partition(self, labels: Indices, groups: Indices | None = None) -> tuple[Indices, ...]:
        """Return each partition's indices.

        labels: class numbers, (N,). groups: natural owner of each sample, (N,), or None.
        Raises TaskError where the data cannot be split as asked.
        """
        ...


@dataclass(frozen=True, slots=True)
class IidPartitioner:
    """Equal parts at random."""

    num_partitions: int
    seed: int = 42

    def partition(self, labels: Indices, groups: Indices | None = None) -> tuple[Indices, ...]:
        _check_count(self.num_partitions, len(labels))
        order = np.random.default_rng(self.seed).permutation(len(labels))
        return tuple(np.sort(part) for part in np.array_split(order, self.num_partitions))


@dataclass(frozen=True, slots=True)
class DirichletPartitioner:
    """Each class is dealt out in proportions drawn from Dir(alpha); drawn again while a part
    has fewer than `min_partition_size` samples.

    Source: Hsu, Qi and Brown 2019, "Measuring the Effects of Non-Identical Data Distribution".
    """

    num_partitions: int
    alpha: float = 0.5
    min_partition_size: int = 10
    seed: int = 42

    def partition(self, labels: Indices, groups: Indices | None = None) -> tuple[Indices, ...]:
        _check_count(self.num_partitions, len(labels))
        if not self.alpha > 0:
            raise TaskError(f"alpha is {self.alpha}: a Dirichlet needs one above 0, such as 0.5")
        if self.num_partitions * self.min_partition_size > len(labels):
            raise TaskError(
                f"{len(labels)} samples cannot give {self.num_partitions} parts at least "
                f"{self.min_partition_size} each: ask for fewer parts or a smaller minimum"
            )
        rng = np.random.default_rng(self.seed)
        for _ in range(_TRIES):
            parts = self._draw(labels, rng)
            if min(len(part) for part in parts) >= self.min_partition_size:
                return parts
        raise TaskError(
            f"no draw of Dir({self.alpha}) in {_TRIES} gave {self.num_partitions} parts of at "
            f"least {self.min_partition_size} samples: raise alpha or lower the minimum"
        )

    def _draw(self, labels: Indices, rng: np.random.Generator) -> tuple[Indices, ...]:
        shares: list[list[Indices]] = [[] for _ in range(self.num_partitions)]
        for label in np.unique(labels):
            members = rng.permutation(np.flatnonzero(labels == label))
            weights = rng.dirichlet(np.full(self.num_partitions, self.alpha))
            cuts = np.round(np.cumsum(weights)[:-1] * len(members)).astype(np.int64)
            for share, part in zip(shares, np.split(members, cuts), strict=True):
                share.append(part)
        return tuple(np.sort(np.concatenate(share)) for share in shares)


@dataclass(frozen=True, slots=True)
class ShardPartitioner:
    """Samples sorted by class are cut into shards; each part gets some at random.

    Source: McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks".
    """

    num_partitions: int
    num_shards_per_partition: int = 2
    seed: int = 42

    def partition(self, labels: Indices, groups: Indices | None = None) -> tuple[Indices, ...]:
        shards = self.num_partitions * self.num_shards_per_partition
        if self.num_shards_per_partition < 1:
            raise TaskError("num_shards_per_partition is below 1: every part needs a shard")
        _check_count(self.num_partitions, len(labels), shards)
        rng = np.random.default_rng(self.seed)
        mixed = rng.permutation(len(labels))
        by_class = mixed[np.argsort(labels[mixed], kind="stable")]
        pieces = np.array_split(by_class, shards)
        dealt = np.split(rng.permutation(shards), self.num_partitions)
        return tuple(np.sort(np.concatenate([pieces[i] for i in hand])) for hand in dealt)


@dataclass(frozen=True, slots=True)
class NaturalIdPartitioner:
    """One part for each natural owner (hospital, block, segment); the last owners are joined
    where there are more owners than parts."""

    num_partitions: int

    def partition(self, labels: Indices, groups: Indices | None = None) -> tuple[Indices, ...]:
        if groups is None:
            raise TaskError("this data set has no natural owners: use iid, dirichlet or shards")
        owners = np.unique(groups)
        _check_count(self.num_partitions, len(labels))
        if self.num_partitions > len(owners):
            raise TaskError(
                f"this data set has {len(owners)} natural owners, not {self.num_partitions}: "
                "ask for fewer participants, or use iid, dirichlet or shards"
            )
        ranks = np.minimum(np.searchsorted(owners, groups), self.num_partitions - 1)
        return tuple(np.flatnonzero(ranks == part) for part in range(self.num_partitions))


PARTITIONERS: dict[str, type[Partitioner]] = {
    "iid": IidPartitioner,
    "dirichlet": DirichletPartitioner,
    "shards": ShardPartitioner,
    "natural": NaturalIdPartitioner,
}
"""Partitioners by the names a TOML uses."""


def _check_count(parts: int, samples: int, needed: int | None = None) -> None:
    if parts < 1:
        raise TaskError(f"{parts} partitions: there must be at least 1")
    if (needed or parts) > samples:
        raise TaskError(f"{samples} samples cannot be split into {needed or parts} parts")
