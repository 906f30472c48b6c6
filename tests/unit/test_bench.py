"""Copies are found wherever they were taken from, and only those."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bafl import protocol
from bafl.bench import candidates
from bafl.judge import rules
from bafl.store.local import LocalStore
from bafl.store.shelf import Shelf
from bafl.types import TensorSpec
from tests.unit.past import LIMIT, Past
from tests.unit.payloads import make_manifest

Vector = npt.NDArray[np.float32]

WIDTH = 1_200


@pytest.fixture
def past(tmp_path: Path) -> Past:
    manifest = make_manifest((TensorSpec("w", "F32", (WIDTH,)),))
    genesis = {"w": np.zeros(WIDTH, np.float32)}
    return Past(tmp_path / "past", LocalStore(tmp_path / "store"), manifest, genesis)


def learnt(seed: int) -> Vector:
    return np.random.default_rng(seed).standard_normal(WIDTH).astype(np.float32)


def slightly_changed(delta: Vector) -> Vector:
    return (3 * delta + np.float32(0.01) * learnt(99)).astype(np.float32)


def codes(past: Past, window: int) -> list[int | None]:
    shelf = Shelf(past.folder / "mine", past.store, LIMIT)
    for earlier in range(1, window):
        for record in past.history.updates(earlier):
            shelf.path(record.root)
    found = candidates(past.federal, past.history, window, shelf, 60, lambda: None)
    return [candidate.code for candidate in found]


def void(past: Past, window: int) -> None:
    if not past.history.updates(window):
        past.submit(window, learnt(1000 + window), by=50)
    past.void(window)


def test_a_copy_is_found_in_the_same_window_and_its_original_is_not_blamed(past: Past) -> None:
    past.submit(1, learnt(1), by=1)
    past.submit(1, slightly_changed(learnt(1)), by=2)
    past.submit(1, learnt(2), by=3)
    assert codes(past, 1) == [None, rules.UNAVAILABLE_OR_COPY, None]


def test_a_copy_of_an_earlier_window_is_found_as_long_as_that_is_in_the_ring(past: Past) -> None:
    past.submit(1, learnt(1), by=1)
    for window in range(1, protocol.RING):
        void(past, window)
    past.submit(protocol.RING, slightly_changed(learnt(1)), by=2)
    assert codes(past, protocol.RING) == [rules.UNAVAILABLE_OR_COPY]
    past.void(protocol.RING)
    past.submit(protocol.RING + 1, slightly_changed(learnt(1)), by=3)
    assert codes(past, protocol.RING + 1) == [rules.UNAVAILABLE_OR_COPY]  # of the first copy
    void(past, protocol.RING + 1)
    for window in range(protocol.RING + 2, 2 * protocol.RING + 2):
        void(past, window)
    past.submit(2 * protocol.RING + 2, slightly_changed(learnt(1)), by=4)
    assert codes(past, 2 * protocol.RING + 2) == [None]


def test_whoever_repeats_itself_is_no_copier(past: Past) -> None:
    past.submit(1, learnt(1), by=1)
    past.void(1)
    past.submit(2, slightly_changed(learnt(1)), by=1)
    assert codes(past, 2) == [None]


def test_a_few_weights_prove_nothing(tmp_path: Path) -> None:
    manifest = make_manifest((TensorSpec("w", "F32", (4,)),))
    store = LocalStore(tmp_path / "store")
    past = Past(tmp_path / "past", store, manifest, {"w": np.zeros(4, np.float32)})
    for by in (1, 2):
        past.submit(1, np.ones(4, np.float32), by)
    assert codes(past, 1) == [None, None]
