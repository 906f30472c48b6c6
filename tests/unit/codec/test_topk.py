"""The sparse encoding: against a slow reference, by its properties, and what a reader refuses."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bafl.codec import canonical, errors
from bafl.codec.blocks import BLOCK, MIN_EXPONENT
from bafl.codec.int8 import Int8
from bafl.codec.topk import TOP, TopK
from bafl.codec.update import read_update, update_layout, write_update
from bafl.errors import PayloadError
from bafl.types import Encoding, TensorSpec
from tests.unit.payloads import make_header, make_manifest, make_update, random_delta

MANIFEST = make_manifest(encodings=tuple(Encoding))
HEADER = make_header(Encoding.TOPK)
Vector = npt.NDArray[np.float32]

any_values = hnp.arrays(
    np.float32,
    st.integers(1, 600),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    | st.integers(-3, 3).map(float),
    fill=st.nothing() | st.just(np.float32(0)),
)


def spec_of(values: Vector) -> TensorSpec:
    return TensorSpec("w", "F32", values.shape)


def decoded(values: Vector) -> Vector:
    codec, spec = TopK(), spec_of(values)
    return codec.decode(spec, codec.encode(spec, values), 0, values.size)


def slowly(values: Vector) -> list[float]:
    """What is left: the largest values of each block, the earlier of equals, as int8 has them."""
    left: list[float] = []
    for start in range(0, values.size, BLOCK):
        block = values[start : start + BLOCK]
        by_size = sorted(range(block.size), key=lambda i: (-abs(float(block[i])), i))
        kept = np.zeros_like(block)
        kept[by_size[:TOP]] = block[by_size[:TOP]]
        codec, spec = Int8(), spec_of(kept)
        left += codec.decode(spec, codec.encode(spec, kept), 0, kept.size).tolist()
    return left


@settings(max_examples=150, deadline=None)
@given(values=any_values)
@example(values=np.ones(BLOCK, np.float32))
@example(values=np.arange(2 * BLOCK + 3, dtype=np.float32) % 7 - 3)
def test_what_is_sent_is_what_the_slow_rule_says(values: Vector) -> None:
    values = canonical.flush(values)
    assert decoded(values).tolist() == slowly(values)


@settings(max_examples=150, deadline=None)
@given(values=any_values)
def test_encoding_what_was_decoded_gives_the_same_bytes(values: Vector) -> None:
    values = canonical.flush(values)
    codec, spec = TopK(), spec_of(values)
    once = codec.encode(spec, values)
    peak = codec.check(spec, once)
    back = codec.decode(spec, once, 0, values.size)
    assert peak == np.abs(back).max()
    np.testing.assert_array_equal(canonical.flush(back).view(np.uint32), back.view(np.uint32))
    again = codec.encode(spec, back)
    for name, tensor in once.items():
        np.testing.assert_array_equal(again[name], tensor)


@settings(max_examples=100, deadline=None)
@given(values=hnp.arrays(np.float32, st.integers(1, 600), elements=st.floats(-1, 1, width=32)))
def test_an_update_carries_its_part_of_the_squared_norm(values: Vector) -> None:
    """The contraction that error feedback rests on (Stich et al. 2018), rounding included."""
    values = canonical.flush(values)
    lost = values.astype(np.float64) - decoded(values)
    whole = float(np.square(values, dtype=np.float64).sum())
    rounding = TOP / 127.5**2  # of a block's largest square, for each of its entries
    assert float(np.square(lost).sum()) <= whole * (1 - TOP / BLOCK + rounding) + 1e-70


def test_a_small_tensor_goes_whole() -> None:
    values = np.linspace(-1, 1, TOP, dtype=np.float32)
    assert np.abs(decoded(values) - values).max() <= 1 / 127.5


@pytest.mark.parametrize("start", [0, 256, 512])
@pytest.mark.parametrize("length", [1, 256, 300, 512])
def test_any_run_of_values_decodes_by_itself(start: int, length: int) -> None:
    values = random_delta(make_manifest((TensorSpec("w", "F32", (900,)),)), 1)
    codec, spec = TopK(), spec_of(values)
    encoded = codec.encode(spec, values)
    stop = min(start + length, values.size)
    whole = codec.decode(spec, encoded, 0, values.size)
    np.testing.assert_array_equal(codec.decode(spec, encoded, start, stop), whole[start:stop])


def test_a_long_tensor_is_encoded_as_its_pieces_are() -> None:
    values = np.random.default_rng(4).standard_normal(600_000).astype(np.float32)
    codec, spec = TopK(), spec_of(values)
    encoded = codec.encode(spec, values)
    back = codec.decode(spec, encoded, 0, values.size)
    assert codec.check(spec, encoded) == np.abs(back).max()
    pieces = [decoded(values[at : at + 51_200]) for at in range(0, values.size, 51_200)]
    np.testing.assert_array_equal(back, np.concatenate(pieces))


def test_what_was_not_sent_comes_later_with_error_feedback(tmp_path: Path) -> None:
    delta = random_delta(MANIFEST, 2)
    carried = np.zeros_like(delta)
    sent = np.zeros(delta.shape, np.float64)
    rounds = 100
    for _ in range(rounds):
        carried = write_update(tmp_path / "u", delta + carried, HEADER, MANIFEST)
        sent += read_update(tmp_path / "u", HEADER, MANIFEST).array()
    mean_lost = np.abs(sent / rounds - delta)
    assert mean_lost.max() < np.abs(delta).max() / 4
    assert np.linalg.norm(mean_lost) < np.linalg.norm(delta) / 4


def test_the_manifest_alone_says_how_many_bytes_an_update_has(tmp_path: Path) -> None:
    manifest = make_manifest((TensorSpec("w", "F32", (100_000,)),), encodings=tuple(Encoding))
    sizes = set()
    for scale in (0.0, 1e-30, 1.0):
        make_update(tmp_path / "u", manifest, random_delta(manifest, 1, scale), Encoding.TOPK)
        sizes.add((tmp_path / "u").stat().st_size)
    assert sizes == {update_layout(HEADER, manifest).total_bytes()}
    assert sizes.pop() < 100_000 * (2 * TOP + 1) / 256 + 700


def test_reading_takes_no_more_memory_than_a_run_of_blocks(tmp_path: Path) -> None:
    manifest = make_manifest(
        (TensorSpec("w", "F32", (4_000_000,)),), size_limit=1 << 24, encodings=tuple(Encoding)
    )
    delta = random_delta(manifest, 1)
    write_update(tmp_path / "u", delta, HEADER, manifest)
    tracemalloc.start()
    update = read_update(tmp_path / "u", HEADER, manifest)
    for _ in update.blocks(8192):
        pass
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < manifest.parameters * 4 / 8


# --- refusals: a block of "head" (512 values: two whole blocks), and "conv.bias" (4 values) ---

TAIL = 300 - BLOCK  # of conv.weight, whose last block has 44 values

Change = Callable[[dict[str, npt.NDArray]], None]


def written(path: Path, change: Change) -> None:
    """Write an update whose tensors were changed, as somebody with another writer could."""
    expected = update_layout(HEADER, MANIFEST)
    start = 0
    tensors: dict[str, npt.NDArray] = {}
    delta = random_delta(MANIFEST, 3)
    for spec in MANIFEST.weights:
        size = int(np.prod(spec.shape))
        tensors |= TopK().encode(spec, delta[start : start + size])
        start += size
    change(tensors)
    blocks = ((spec, [tensors[spec.name]]) for spec in expected.specs)
    canonical.write(path, expected, blocks, MANIFEST.size_limit)


def put(tensor: str, at: int, *values: int) -> Change:
    def change(tensors: dict[str, npt.NDArray]) -> None:
        tensors[tensor][at : at + len(values)] = values

    return change


def swap_places(tensors: dict[str, npt.NDArray]) -> None:
    tensors["head:at"][[3, 4]] = tensors["head:at"][[4, 3]]


def repeat_a_place(tensors: dict[str, npt.NDArray]) -> None:
    tensors["head:at"][4] = tensors["head:at"][3]


def empty_with_a_place(tensors: dict[str, npt.NDArray]) -> None:
    tensors["head"][TOP - 1] = 0


def empty_with_a_scale(tensors: dict[str, npt.NDArray]) -> None:
    tensors["head"][:TOP] = 0
    tensors["head:at"][:TOP] = 0


def whisper(tensors: dict[str, npt.NDArray]) -> None:
    tensors["head"][:TOP] = 63


def zero_with_no_place(tensors: dict[str, npt.NDArray]) -> None:
    tensors["head"][0] = tensors["head:at"][0] = 0


REFUSED = [
    ("places out of order", errors.NonCanonicalEntry, "ascend", swap_places),
    ("a place twice", errors.NonCanonicalEntry, "ascend", repeat_a_place),
    ("a zero first", errors.NonCanonicalEntry, "zero", zero_with_no_place),
    ("a zero among values", errors.NonCanonicalEntry, "zero", put("head", 5, 0)),
    ("an empty slot with a place", errors.NonCanonicalEntry, "empty", empty_with_a_place),
    (
        "a place past the last block's end",
        errors.NonCanonicalEntry,
        "past",
        put("conv.weight:at", 2 * TOP - 1, TAIL),
    ),
    ("a place past a small tensor's end", errors.NonCanonicalEntry, "past", put("scale:at", 0, 1)),
    ("the value -128", errors.NonCanonicalBlock, "-128", put("head", 2, -128)),
    ("an exponent too small", errors.NonCanonicalBlock, "within", put("head:exp", 0, -127)),
    ("an exponent too large", errors.NonCanonicalBlock, "within", put("head:exp", 0, 122)),
    ("a block of 6 bits", errors.NonCanonicalBlock, "7 bits", whisper),
    ("an empty block with a scale", errors.NonCanonicalBlock, "7 bits", empty_with_a_scale),
]


@pytest.mark.parametrize(
    ("kind", "says", "change"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_bad_sparse_update_is_refused_with_its_own_error(
    tmp_path: Path, kind: type[PayloadError], says: str, change: Change
) -> None:
    written(tmp_path / "u", lambda tensors: None)
    read_update(tmp_path / "u", HEADER, MANIFEST)
    written(tmp_path / "u", change)
    with pytest.raises(PayloadError, match=says) as caught:
        read_update(tmp_path / "u", HEADER, MANIFEST)
    assert caught.type is kind


def test_the_last_place_of_a_last_block_is_read(tmp_path: Path) -> None:
    written(tmp_path / "u", put("conv.weight:at", 2 * TOP - 1, TAIL - 1))
    read_update(tmp_path / "u", HEADER, MANIFEST)


def test_an_empty_update_is_zero_bytes_with_the_smallest_exponent(tmp_path: Path) -> None:
    nothing = np.zeros(MANIFEST.parameters, np.float32)
    update = make_update(tmp_path / "u", MANIFEST, nothing, Encoding.TOPK)
    assert update.peak == 0
    assert not update.array().any()
    header = len(update_layout(HEADER, MANIFEST).header())
    assert set((tmp_path / "u").read_bytes()[header:]) == {0, MIN_EXPONENT & 0xFF}
