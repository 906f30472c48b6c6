from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bafl.aggregate import exact
from bafl.aggregate.base import AggregationError
from bafl.aggregate.clipped_mean import ClippedMean, squared_norm_of
from bafl.aggregate.rules import RULES, aggregate, rule_of
from bafl.codec.model import ModelFile, flat, read_model, write_model
from bafl.codec.update import UpdateFile
from bafl.errors import ManifestError
from bafl.manifest import RuleSpec
from bafl.types import Encoding, TensorSpec
from tests.unit.payloads import (
    PARAMETERS,
    make_manifest,
    make_model,
    make_update,
    random_delta,
)

MANIFEST = make_manifest(encodings=tuple(Encoding))
LARGEST = float(np.finfo(np.float32).max)
Vector = npt.NDArray[np.float32]


@pytest.fixture
def model(tmp_path: Path) -> ModelFile:
    return make_model(tmp_path / "model", MANIFEST)


def window(
    folder: Path, scales: Sequence[float], encoding: Encoding = Encoding.INT8
) -> list[UpdateFile]:
    return [
        make_update(
            folder / f"update-{i}", MANIFEST, random_delta(MANIFEST, i, scale), encoding, i + 1
        )
        for i, scale in enumerate(scales)
    ]


def slow_clipped_mean(
    model: Vector, updates: Sequence[Vector], shares: Sequence[int], rate_ppm: int
) -> list[Fraction]:
    """The rule in rationals, but for the norms' and factors' own rounding."""
    squared = [exact.squared_norm(update) for update in updates]
    limit = 4 * sorted(squared)[(len(squared) - 1) // 2]
    factors = [exact.clip_factor(value, limit) for value in squared]
    return [
        Fraction(float(model[p]))
        + sum(
            Fraction(float(u[p])) * Fraction(f * s * rate_ppm, exact.ONE * 10**12)
            for u, f, s in zip(updates, factors, shares, strict=True)
        )
        for p in range(model.size)
    ]


@pytest.mark.parametrize("encoding", list(Encoding))
def test_the_next_model_is_the_clipped_weighted_mean(
    tmp_path: Path, model: ModelFile, encoding: Encoding
) -> None:
    updates = window(tmp_path, [0.01, 0.02, 0.01, 3.0], encoding)
    shares = [400_000, 300_000, 99_999, 200_000]
    done = aggregate(model, updates, shares, MANIFEST, tmp_path / "next")
    after = read_model(tmp_path / "next", MANIFEST)
    slow = slow_clipped_mean(flat(model), [u.array() for u in updates], shares, 1_000_000)
    np.testing.assert_array_equal(flat(after), np.array([float(x) for x in slow], np.float32))
    assert done.factors[:3] == (1.0, 1.0, 1.0)
    assert done.factors[3] == pytest.approx(2 * done.median_norm / done.norms[3], rel=1e-3)


def test_integer_buffers_stay_as_they_were(tmp_path: Path, model: ModelFile) -> None:
    aggregate(model, window(tmp_path, [1, 1]), [500_000] * 2, MANIFEST, tmp_path / "next")
    after = read_model(tmp_path / "next", MANIFEST)
    for spec in MANIFEST.tensors:
        if spec.dtype != "F32":
            np.testing.assert_array_equal(after.tensors[spec.name], model.tensors[spec.name])


def test_no_share_moves_nothing(tmp_path: Path, model: ModelFile) -> None:
    aggregate(model, window(tmp_path, [1, 1]), [0, 0], MANIFEST, tmp_path / "next")
    assert (tmp_path / "next").read_bytes() == model.path.read_bytes()


def test_no_update_moves_the_model_further_than_its_share_of_twice_the_median(
    tmp_path: Path, model: ModelFile
) -> None:
    updates = window(tmp_path, [0.01, 0.01, 1e6])
    done = aggregate(model, updates, [0, 0, 1_000_000], MANIFEST, tmp_path / "next")
    moved = flat(read_model(tmp_path / "next", MANIFEST)).astype(np.float64) - flat(model)
    assert np.linalg.norm(moved) <= 2 * done.median_norm * (1 + 1e-5)


def test_the_server_rate_scales_the_step(tmp_path: Path) -> None:
    manifest = make_manifest(
        rule=RuleSpec("clipped-mean", {"clip_medians": 2, "server_rate_ppm": 500_000})
    )
    model = make_model(tmp_path / "model", manifest)
    delta = random_delta(manifest, 1)
    update = make_update(tmp_path / "u", manifest, delta, Encoding.FLOAT32)
    aggregate(model, [update], [1_000_000], manifest, tmp_path / "next")
    after = flat(read_model(tmp_path / "next", manifest))
    expected = (flat(model).astype(np.float64) + delta.astype(np.float64) / 2).astype(np.float32)
    np.testing.assert_array_equal(after, expected)


@settings(max_examples=15, deadline=None)
@given(
    seeds=st.lists(st.integers(0, 1000), min_size=1, max_size=6, unique=True),
    block=st.sampled_from([256, 512, 1024, 1 << 17]),
    data=st.data(),
)
def test_block_size_and_order_of_arrival_change_no_byte(
    tmp_path_factory: pytest.TempPathFactory, seeds: list[int], block: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("window")
    model = make_model(folder / "model", MANIFEST)
    shares = [1_000_000 // len(seeds)] * len(seeds)
    ordered = []
    for arrival in (range(len(seeds)), data.draw(st.permutations(range(len(seeds))))):
        files = {
            i: make_update(folder / f"u{i}", MANIFEST, random_delta(MANIFEST, seeds[i]))
            for i in arrival
        }
        ordered.append([files[i] for i in range(len(seeds))])
    ClippedMean(2, 1_000_000).aggregate(model, ordered[0], shares, folder / "a")
    ClippedMean(2, 1_000_000, block).aggregate(model, ordered[1], shares, folder / "b")
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


# Not a result to be updated when it changes: a change forks every federation there is.
PINNED = {
    Encoding.INT8: "f8953af32fb98e7884746475c8d883a3e54bcb60e61a9e67e2c630a2732d5dcd",
    Encoding.TOPK: "0c881a891143970ad0bedfa3896f19a7609524b9b2e3b88c5b221d999ee34c14",
}


def floats(count: int, salt: int, lowest: int, highest: int) -> Vector:
    """Fixed float32 values with exponents in a range, made without libm or a generator."""
    mixed = np.arange(count, dtype=np.uint64) + np.uint64(salt * 7919)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    bits = (mixed >> np.uint64(32)).astype(np.uint32) & np.uint32(0x807FFFFF)
    exponents = 127 + lowest + (mixed & np.uint64(0xFFFF)) % np.uint64(highest - lowest + 1)
    return (bits | (exponents.astype(np.uint32) << np.uint32(23))).view(np.float32)


def digest_of_a_window(folder: Path, lossy: Encoding) -> str:
    """Encode, write, read and aggregate a fixed window that has values of every magnitude."""
    specs = (TensorSpec("a", "F32", (40_001,)), TensorSpec("b", "F32", (77,)))
    manifest = make_manifest(specs, encodings=tuple(Encoding))
    weights = floats(manifest.parameters, 99, -127, 0)
    write_model(folder / "model", manifest, {"a": weights[:40_001], "b": weights[40_001:]})
    model = read_model(folder / "model", manifest)
    updates = []
    for i in range(7):
        delta = floats(manifest.parameters, i, -127, 100 if i == 3 else 1)
        encoding = lossy if i % 2 else Encoding.FLOAT32
        updates.append(make_update(folder / f"u{i}", manifest, delta, encoding, i))
    aggregate(model, updates, [142_857] * 7, manifest, folder / "next")
    return hashlib.sha256((folder / "next").read_bytes()).hexdigest()


@pytest.mark.parametrize("lossy", PINNED)
def test_the_bytes_are_those_of_every_machine_so_far(tmp_path: Path, lossy: Encoding) -> None:
    assert digest_of_a_window(tmp_path, lossy) == PINNED[lossy]


def test_updates_as_large_as_floats_go_still_make_a_version(tmp_path: Path) -> None:
    manifest = make_manifest((TensorSpec("w", "F32", (4,)),))
    model = make_model(tmp_path / "model", manifest)
    delta = np.array([LARGEST, -LARGEST, LARGEST, 0], np.float32)
    updates = [make_update(tmp_path / f"u{i}", manifest, delta, Encoding.FLOAT32) for i in range(3)]
    rule = ClippedMean(2, 10_000_000)
    rule.aggregate(model, updates, [333_333] * 3, tmp_path / "next")
    after = flat(read_model(tmp_path / "next", manifest))
    assert after[:3].tolist() == [LARGEST, -LARGEST, LARGEST]


def test_a_window_of_zeros_keeps_the_model(tmp_path: Path, model: ModelFile) -> None:
    zero = np.zeros(PARAMETERS, np.float32)
    updates = [make_update(tmp_path / f"u{i}", MANIFEST, zero) for i in range(3)]
    done = aggregate(model, updates, [333_333] * 3, MANIFEST, tmp_path / "next")
    assert (tmp_path / "next").read_bytes() == model.path.read_bytes()
    assert done.median_norm == 0


@pytest.mark.parametrize("encoding", list(Encoding))
def test_memory_does_not_grow_with_the_number_of_updates(
    tmp_path: Path, encoding: Encoding
) -> None:
    manifest = make_manifest(
        (TensorSpec("w", "F32", (300_000,)),), size_limit=1 << 22, encodings=tuple(Encoding)
    )
    model = make_model(tmp_path / "model", manifest)
    updates = [
        make_update(tmp_path / f"u{i}", manifest, random_delta(manifest, i), encoding)
        for i in range(12)
    ]
    rule = ClippedMean(2, 1_000_000, block=8192)

    def peak(count: int) -> int:
        tracemalloc.start()
        rule.aggregate(model, updates[:count], [10_000] * count, tmp_path / "next")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)  # warm
    assert peak(12) < peak(2) + 8192 * 4
    assert peak(12) < 300_000 * 4


@pytest.mark.parametrize(
    ("shares", "count"),
    [([], 0), ([1], 2), ([500_001, 500_000], 2), ([-1, 5], 2), ([0.5, 1], 2), ([True, 1], 2)],
)
def test_shares_that_are_not_the_chains_are_refused(
    tmp_path: Path, model: ModelFile, shares: list[int], count: int
) -> None:
    with pytest.raises(AggregationError):
        aggregate(model, window(tmp_path, [1] * count), shares, MANIFEST, tmp_path / "next")
    assert not (tmp_path / "next").exists()


def test_an_update_for_another_model_is_refused(tmp_path: Path, model: ModelFile) -> None:
    other = make_manifest((TensorSpec("w", "F32", (PARAMETERS,)),))
    update = make_update(tmp_path / "u", other, random_delta(other, 1))
    with pytest.raises(AggregationError, match="another manifest"):
        aggregate(model, [update], [1_000_000], MANIFEST, tmp_path / "next")


@pytest.mark.parametrize("medians", [1, 2, 10])
def test_a_scorer_sees_what_the_rule_will_clip_to(tmp_path: Path, medians: int) -> None:
    updates = window(tmp_path, [0.01, 0.01, 0.02, 5.0])
    rule = rule_of(RuleSpec(parameters={"clip_medians": medians, "server_rate_ppm": 1_000_000}))
    seen = [read() for read in rule.clipped(updates, [squared_norm_of(u) for u in updates])]
    limit = (
        medians * sorted(float(np.linalg.norm(u.array().astype(np.float64))) for u in updates)[1]
    )
    for update, vector in zip(updates, seen, strict=True):
        assert vector.dtype == np.float32
        norm = float(np.linalg.norm(update.array().astype(np.float64)))
        scale = min(1.0, limit / norm)
        np.testing.assert_allclose(vector, update.array() * np.float32(scale), rtol=1e-3)
    assert rule.clipped([], []) == []


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        (RuleSpec("median", {}), "clipped-mean"),
        (RuleSpec("clipped-mean", {}), "clip_medians"),
        (RuleSpec("clipped-mean", {"clip_medians": 0, "server_rate_ppm": 1}), "clip_medians"),
        (RuleSpec("clipped-mean", {"clip_medians": 2, "server_rate_ppm": 0}), "server_rate_ppm"),
    ],
)
def test_a_rule_nobody_knows_is_refused_with_those_there_are(spec: RuleSpec, named: str) -> None:
    with pytest.raises(ManifestError, match=named):
        rule_of(spec)


def test_every_rule_says_where_it_comes_from_what_it_stands_and_costs() -> None:
    for entry in RULES.values():
        text = entry.make.__doc__ or ""
        for word in ("Source:", "Breakdown point:", "Cost:"):
            assert word in text
