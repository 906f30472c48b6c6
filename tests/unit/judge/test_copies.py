"""Copies and updates as good as none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bafl.judge import Authored, copied, cosine, tiny

RNG = np.random.default_rng(1)
ORIGINAL = RNG.standard_normal(5000).astype(np.float32)


def by(author: str, delta: NDArray[Any]) -> Authored:
    return Authored(author, delta.astype(np.float32))


@pytest.mark.parametrize("scale", [1.0, 0.01, 1e-30, 1e30])
def test_a_scaled_copy_of_anothers_earlier_update_is_a_copy(scale: float) -> None:
    assert copied(by("mallory", ORIGINAL * scale), [by("alice", ORIGINAL)])


def test_a_copy_with_a_little_noise_is_a_copy() -> None:
    noise = RNG.standard_normal(5000) * 0.02
    assert copied(by("mallory", ORIGINAL + noise), [by("alice", ORIGINAL)])


def test_ones_own_earlier_update_is_no_copy() -> None:
    assert not copied(by("alice", ORIGINAL), [by("alice", ORIGINAL)])


def test_the_opposite_and_the_unrelated_are_no_copies() -> None:
    others = [by("alice", -ORIGINAL), by("bob", RNG.standard_normal(5000))]
    assert not copied(by("carol", ORIGINAL), others)


def test_small_models_have_too_few_directions_to_tell() -> None:
    assert not copied(by("mallory", ORIGINAL[:999]), [by("alice", ORIGINAL[:999])])
    assert copied(by("mallory", ORIGINAL[:1000]), [by("alice", ORIGINAL[:1000])])


def test_a_zero_update_copies_nobody() -> None:
    zero = np.zeros(5000)
    assert not copied(by("idle", zero), [by("alice", ORIGINAL), by("bob", zero)])


def as_floats(values: list[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32)


@given(st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=20).map(as_floats))
def test_cosine_is_that_of_plain_float64(values: NDArray[np.float32]) -> None:
    a, b = values, values[::-1].copy()
    x, y = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(x) * np.linalg.norm(y)
    expected = float(x @ y / lengths) if lengths else 0.0
    assert cosine(a, b) == pytest.approx(expected, abs=1e-4)


def test_tiny_is_below_a_hundredth_of_the_median_or_nothing_at_all() -> None:
    assert tiny(0.009, 1.0)
    assert not tiny(0.011, 1.0)
    assert tiny(0.0, 0.0)
