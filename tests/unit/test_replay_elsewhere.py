"""One history, replayed by processes as different as one machine allows: the same digests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bafl.aggregate.rules import aggregate
from bafl.codec.model import read_model
from bafl.codec.update import read_update
from bafl.store.cid import root_of
from bafl.store.local import LocalStore
from bafl.types import Encoding, TensorSpec
from tests.unit.aggregate.test_rules import floats
from tests.unit.past import Past
from tests.unit.payloads import make_manifest, random_state
from tests.unit.replayer import vector_instructions

SPECS = (
    TensorSpec("steps", "I64", ()),
    TensorSpec("wide", "F32", (140_001,)),  # more than the block that is decoded at once
    TensorSpec("head", "F32", (7, 11)),
)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ENCODINGS = [Encoding.FLOAT32, Encoding.INT8, Encoding.TOPK, Encoding.INT8, Encoding.FLOAT32]


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    """Three versions of five updates, in all encodings and of all magnitudes; one stale in each."""
    folder = tmp_path_factory.mktemp("past")
    manifest = make_manifest(SPECS, encodings=tuple(Encoding))
    past = Past(folder / "past", LocalStore(folder / "store"), manifest, random_state(manifest))
    for window in (1, 2, 3):
        for i, encoding in enumerate(ENCODINGS):
            highest = 6 if i == window else 1
            delta = floats(manifest.parameters, 10 * window + i, -127, highest)
            past.submit(window, delta, i + 1, max(0, window - 1 - (i == 4)), encoding)
        past.seal(window)
        past.begin(window)
        past.tally(window, [250_000, 199_999, 150_001, 123_456, 276_544])
        past.finalize(window)
        past.settle(window)
    (folder / "manifest").write_bytes(manifest.to_json())
    (folder / "record").write_text(past.record_of_it())
    return past


def replayed(past: Past, seed: int, *options: str, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.replayer", past.folder.parent, str(seed), *options],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def digests(past: Past) -> list[str]:
    return [version.root.digest.hex() for version in past.history.versions[1:]]


def scalings(past: Past) -> Iterator[tuple[float, ...]]:
    manifest = past.federal.manifest
    for before, window in zip(past.history.versions, (1, 2, 3), strict=False):
        records = past.history.updates(window)
        updates = [
            read_update(past.shelf.path(r.root), past.federal.header(r), manifest) for r in records
        ]
        tallied = past.history.tallied(window)
        assert tallied is not None
        model = read_model(past.shelf.path(before.root), manifest)
        done = aggregate(model, updates, tallied.shares_ppm, manifest, past.folder / "again")
        assert root_of(past.folder / "again") == past.history.versions[window].root
        yield done.factors


def test_the_history_has_every_encoding_and_clips(past: Past) -> None:
    used = {r.encoding for w in past.history.windows for r in past.history.updates(w)}
    assert used == set(Encoding)
    for window, factors in enumerate(scalings(past), start=1):
        assert 0 < factors[window] < 1
    assert len(set(digests(past))) == 3


@pytest.mark.parametrize("seed", [0, 1])
def test_payloads_that_come_in_another_order(past: Past, seed: int) -> None:
    found = replayed(past, seed, PYTHONHASHSEED=str(seed))
    other = replayed(past, seed, PYTHONHASHSEED="7")
    assert found["hash"] != other["hash"]
    assert found["digests"] == other["digests"] == digests(past)


@pytest.mark.parametrize("threads", ["1", "8"])
def test_other_numbers_of_threads_and_a_cpu_that_flushes_subnormals(
    past: Past, threads: str
) -> None:
    found = replayed(past, 2, "torch", **dict.fromkeys(THREADS, threads))
    assert found["threads"] == int(threads)
    assert found["flushes"] is True
    assert found["digests"] == digests(past)


def test_no_vector_instructions_beyond_what_numpy_was_built_for(past: Past) -> None:
    here = vector_instructions()
    found = replayed(past, 3, NPY_DISABLE_CPU_FEATURES=" ".join(here))
    assert found["vectors"] == []
    assert found["digests"] == digests(past)
    if not here:
        pytest.skip("numpy finds no vector instructions here that could be turned off")


@pytest.mark.parametrize("kernels", ["Prescott", "Haswell"])
def test_another_blas(past: Past, kernels: str) -> None:
    """OpenBLAS's kernels for an old machine and a newer one; there is no call of any for them."""
    assert replayed(past, 4, OPENBLAS_CORETYPE=kernels)["digests"] == digests(past)


def test_the_comparison_notices_another_past(past: Past) -> None:
    """A digest that differs is one of the answers: the others are no accident."""
    record = past.folder.parent / "record"
    kept = record.read_text()
    try:
        share, another = (repr(ppm.to_bytes(3, "big"))[2:-1] for ppm in (199_999, 199_998))
        other = kept.replace(share, another)
        assert other != kept
        record.write_text(other)
        found = replayed(past, 0)
    finally:
        record.write_text(kept)
    assert not found["ok"]
    assert all(a != b for a, b in zip(found["digests"], digests(past), strict=True))
    assert len({*found["digests"], *digests(past)}) == 6
