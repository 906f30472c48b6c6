"""Copies and updates as good as none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bafl.judge import copies, cosines, tiny

RNG = np.random.default_rng(1)
Signed = tuple[str, NDArray[Any]]
ORIGINAL = RNG.standard_normal(5000).astype(np.float32)


def copied(update: Signed, earlier: list[Signed], judged: int = 1) -> dict[int, int]:
    """The copies among updates, given in blocks that cut them somewhere."""
    authors, deltas = zip(*earlier, update, strict=True)
    rows = np.array(deltas, np.float32)
    return copies(authors, judged, [list(rows[:, :700]), list(rows[:, 700:])])


@pytest.mark.parametrize("scale", [1.0, 0.01, 1e-30, 1e30])
def test_a_scaled_copy_of_anothers_earlier_update_is_a_copy(scale: float) -> None:
    assert copied(("mallory", ORIGINAL * scale), [("alice", ORIGINAL)]) == {1: 0}


def test_a_copy_with_a_little_noise_is_a_copy() -> None:
    noise = RNG.standard_normal(5000) * 0.02
    assert copied(("mallory", ORIGINAL + noise), [("alice", ORIGINAL)])


def test_ones_own_earlier_update_is_no_copy() -> None:
    assert not copied(("alice", ORIGINAL), [("alice", ORIGINAL)])


def test_the_opposite_and_the_unrelated_are_no_copies() -> None:
    others: list[Signed] = [("alice", -ORIGINAL), ("bob", RNG.standard_normal(5000))]
    assert not copied(("carol", ORIGINAL), others, judged=3)


def test_of_two_alike_the_later_is_the_copy_and_names_the_first() -> None:
    alike = [("alice", ORIGINAL), ("bob", ORIGINAL)]
    assert copied(("carol", ORIGINAL), alike, judged=3) == {1: 0, 2: 0}
    assert copied(("carol", ORIGINAL), alike, judged=1) == {2: 0}
    assert copied(("alice", ORIGINAL), alike, judged=1) == {2: 1}


def test_small_models_have_too_few_directions_to_tell() -> None:
    assert not copied(("mallory", ORIGINAL[:999]), [("alice", ORIGINAL[:999])])
    assert copied(("mallory", ORIGINAL[:1000]), [("alice", ORIGINAL[:1000])])


def test_a_zero_update_copies_nobody() -> None:
    zero = np.zeros(5000)
    assert not copied(("idle", zero), [("alice", ORIGINAL), ("bob", zero)])


def as_floats(values: list[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32)


@given(
    st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=20
    ).map(as_floats),
    st.integers(0, 20),
)
def test_cosines_are_those_of_whole_vectors(values: NDArray[np.float32], cut: int) -> None:
    a, b = values, values[::-1].copy()
    x, y = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(x) * np.linalg.norm(y)
    expected = float(x @ y / lengths) if lengths else 0.0
    found = cosines(2, 2, [[a[:cut], b[:cut]], [a[cut:], b[cut:]]])
    assert found[0, 1] == found[1, 0] == pytest.approx(expected, abs=1e-12)


def test_tiny_is_below_a_hundredth_of_the_median_or_nothing_at_all() -> None:
    assert tiny(0.009, 1.0)
    assert not tiny(0.011, 1.0)
    assert tiny(0.0, 0.0)
