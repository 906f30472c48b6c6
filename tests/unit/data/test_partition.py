"""Partitioners: every sample goes to exactly one participant, in the shape that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bafl.data import (
    DirichletPartitioner,
    IidPartitioner,
    NaturalIdPartitioner,
    Partitioner,
    ShardPartitioner,
    split_off,
)
from bafl.errors import TaskError

LABELS = np.random.default_rng(0).integers(0, 10, 1000)
OWNERS = np.random.default_rng(1).integers(0, 4, 1000) * 7

partitioners = st.one_of(
    st.builds(IidPartitioner, st.integers(1, 12), st.integers(0, 99)),
    st.builds(
        DirichletPartitioner,
        st.integers(1, 6),
        st.floats(0.3, 10),
        min_partition_size=st.integers(0, 5),
        seed=st.integers(0, 99),
    ),
    st.builds(ShardPartitioner, st.integers(1, 12), st.integers(1, 4), st.integers(0, 99)),
    st.builds(NaturalIdPartitioner, st.integers(1, 4)),
)


@given(partitioners)
def test_every_sample_goes_to_exactly_one_participant(partitioner: Partitioner) -> None:
    parts = partitioner.partition(LABELS, OWNERS)
    assert len(parts) == partitioner.num_partitions
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(LABELS)))


@given(partitioners)
def test_the_same_seed_gives_every_participant_the_same_split(partitioner: Partitioner) -> None:
    once, again = (partitioner.partition(LABELS, OWNERS) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))


@given(st.integers(1, 12))
def test_iid_parts_differ_by_one_sample_at_most(parts: int) -> None:
    sizes = [len(part) for part in IidPartitioner(parts).partition(LABELS)]
    assert max(sizes) - min(sizes) <= 1


def test_a_small_alpha_skews_classes_and_a_large_one_does_not() -> None:
    def largest_class_share(alpha: float) -> float:
        parts = DirichletPartitioner(5, alpha).partition(LABELS)
        return float(np.mean([np.bincount(LABELS[p]).max() / len(p) for p in parts]))

    assert largest_class_share(0.1) > 0.4
    assert largest_class_share(100.0) < 0.2


@given(st.integers(1, 6), st.integers(0, 50))
def test_dirichlet_parts_have_the_minimum_size(parts: int, least: int) -> None:
    split = DirichletPartitioner(parts, 0.5, min_partition_size=least).partition(LABELS)
    assert min(len(part) for part in split) >= least


def test_shards_give_each_participant_few_classes() -> None:
    parts = ShardPartitioner(10, 2).partition(LABELS)
    assert all(len(np.unique(LABELS[part])) <= 4 for part in parts)


def test_natural_parts_are_the_owners() -> None:
    parts = NaturalIdPartitioner(4).partition(LABELS, OWNERS)
    assert [set(OWNERS[part]) for part in parts] == [{0}, {7}, {14}, {21}]


def test_natural_joins_the_last_owners_where_there_are_more_than_parts() -> None:
    parts = NaturalIdPartitioner(2).partition(LABELS, OWNERS)
    assert [set(OWNERS[part]) for part in parts] == [{0}, {7, 14, 21}]


@pytest.mark.parametrize(
    ("partitioner", "says"),
    [
        (IidPartitioner(0), "at least 1"),
        (IidPartitioner(1001), "1000 samples cannot be split into 1001 parts"),
        (DirichletPartitioner(3, 0.0), "alpha is 0.0"),
        (DirichletPartitioner(3, float("nan")), "alpha is nan"),
        (DirichletPartitioner(100, 0.5, min_partition_size=11), "smaller minimum"),
        (DirichletPartitioner(10, 0.01, min_partition_size=99), "raise alpha"),
        (ShardPartitioner(3, 0), "every part needs a shard"),
        (ShardPartitioner(600, 2), "1200 parts"),
        (NaturalIdPartitioner(5), "4 natural owners, not 5"),
    ],
)
def test_what_cannot_be_split_says_why(partitioner: Partitioner, says: str) -> None:
    with pytest.raises(TaskError, match=says):
        partitioner.partition(LABELS, OWNERS)


def test_natural_needs_owners() -> None:
    with pytest.raises(TaskError, match="no natural owners"):
        NaturalIdPartitioner(2).partition(LABELS)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=200),
    st.floats(0.01, 0.99),
    st.integers(0, 99),
)
def test_splitting_off_keeps_both_sides_of_every_class(
    labels: list[int], fraction: float, seed: int
) -> None:
    array = np.array(labels)
    rest, part = split_off(array, fraction, seed)
    assert np.array_equal(np.sort(np.concatenate([rest, part])), np.arange(len(array)))
    for label, count in zip(*np.unique(array, return_counts=True), strict=True):
        taken = int((array[part] == label).sum())
        assert taken == (min(max(round(fraction * count), 1), count - 1) if count > 1 else 0)
