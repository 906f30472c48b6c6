from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bafl.codec import canonical, errors
from bafl.codec.blocks import BLOCK, MAX_EXPONENT, MIN_EXPONENT
from bafl.codec.int8 import Int8
from bafl.codec.update import partition, read_update, write_update
from bafl.types import Encoding, TensorSpec
from tests.unit.payloads import (
    PARAMETERS,
    make_header,
    make_manifest,
    make_update,
    random_delta,
)

MANIFEST = make_manifest(encodings=tuple(Encoding))
Vector = npt.NDArray[np.float32]

any_values = hnp.arrays(
    np.float32,
    st.integers(1, 600),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    fill=st.nothing() | st.just(np.float32(0)),
)


def slowly(values: Vector) -> tuple[list[int], list[int]]:
    """The int8 rule as DESIGN says it, one block and one exponent at a time."""
    q: list[int] = []
    exponents: list[int] = []
    for start in range(0, values.size, BLOCK):
        block = [float(x) for x in values[start : start + BLOCK]]
        for e in range(MIN_EXPONENT, MAX_EXPONENT + 1):
            rounded = [round(x / 2.0**e) for x in block]  # Python rounds half to even
            if max(map(abs, rounded)) <= 127:
                break
        else:
            rounded = [max(-127, min(127, x)) for x in rounded]
        q += rounded
        exponents.append(e)
    return q, exponents


@settings(max_examples=60, deadline=None)
@given(values=any_values)
def test_int8_encodes_as_the_slow_rule_says(values: Vector) -> None:
    values = canonical.flush(values)
    spec = TensorSpec("w", "F32", values.shape)
    encoded = Int8().encode(spec, values)
    q, exponents = slowly(values)
    assert encoded["w"].tolist() == q
    assert encoded["w:exp"].tolist() == exponents


@settings(max_examples=100, deadline=None)
@given(values=any_values)
@example(values=np.array([1.0, 127.5], np.float32))  # the largest that rounds past 127: step 2
@example(values=np.array([np.finfo(np.float32).max], np.float32))
def test_int8_loses_at_most_half_a_step_of_a_blocks_peak(values: Vector) -> None:
    values = canonical.flush(values)
    spec = TensorSpec("w", "F32", values.shape)
    codec = Int8()
    decoded = codec.decode(spec, codec.encode(spec, values), 0, values.size)
    for start in range(0, values.size, BLOCK):
        block = values[start : start + BLOCK].astype(np.float64)
        peak = np.abs(block).max()
        error = np.abs(block - decoded[start : start + BLOCK]).max()
        assert error <= max(peak / 127.5, 2.0 ** (MIN_EXPONENT - 1))


@settings(max_examples=100, deadline=None)
@given(values=any_values)
def test_encoding_what_was_decoded_gives_the_same_bytes(values: Vector) -> None:
    values = canonical.flush(values)
    spec = TensorSpec("w", "F32", values.shape)
    codec = Int8()
    once = codec.encode(spec, values)
    peak = codec.check(spec, once)
    decoded = codec.decode(spec, once, 0, values.size)
    assert peak == np.abs(decoded).max()
    assert not (decoded.view(np.uint32) == 0x80000000).any()
    np.testing.assert_array_equal(canonical.flush(decoded).view(np.uint32), decoded.view(np.uint32))
    again = codec.encode(spec, decoded)
    for name, tensor in once.items():
        np.testing.assert_array_equal(again[name], tensor)


@pytest.mark.parametrize("fraction", [127.0, 127.49, 127.5, 127.51, 64.0, 63.75, 126.5])
@pytest.mark.parametrize("exponent", [MIN_EXPONENT, -30, 0, 100])
def test_int8_is_right_where_the_exponent_changes(fraction: float, exponent: int) -> None:
    values = np.array([fraction * 2.0**exponent, -1.0 * 2.0**exponent], np.float32)
    q, exponents = slowly(values)
    encoded = Int8().encode(TensorSpec("w", "F32", (2,)), values)
    assert (encoded["w"].tolist(), encoded["w:exp"].tolist()) == (q, exponents)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_decoded_plus_residual_is_the_update(tmp_path: Path, encoding: Encoding) -> None:
    delta = random_delta(MANIFEST, 1)
    header = make_header(encoding)
    residual = write_update(tmp_path / "u", delta, header, MANIFEST)
    decoded = read_update(tmp_path / "u", header, MANIFEST).array()
    assert decoded.dtype == residual.dtype == np.float32
    np.testing.assert_allclose(decoded + residual, delta, rtol=1e-6, atol=0)
    if encoding == Encoding.FLOAT32:
        assert not residual.any()
    elif encoding == Encoding.INT8:
        assert 0 < np.abs(residual).max() <= np.abs(delta).max() / 127.5


def test_what_was_lost_comes_back_with_error_feedback(tmp_path: Path) -> None:
    header = make_header()
    delta = random_delta(MANIFEST, 2)
    delta[::3] *= np.float32(1e-4)  # far below what a block's byte can say
    carried = np.zeros_like(delta)
    sent = np.zeros(delta.shape, np.float64)
    for _ in range(50):
        carried = write_update(tmp_path / "u", delta + carried, header, MANIFEST)
        sent += read_update(tmp_path / "u", header, MANIFEST).array()
    lost = np.abs(sent - 50 * delta.astype(np.float64))
    assert lost.max() <= np.abs(delta).max() / 60  # one step's error, not fifty


@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize("size", [256, 512, 1 << 17])
def test_blocks_of_any_size_make_up_the_array(
    tmp_path: Path, encoding: Encoding, size: int
) -> None:
    update = make_update(tmp_path / "u", MANIFEST, random_delta(MANIFEST, 3), encoding)
    blocks = list(update.blocks(size))
    assert max(block.size for block in blocks) <= size
    np.testing.assert_array_equal(np.concatenate(blocks), update.array())
    assert update.array().shape == (PARAMETERS,)
    assert update.peak == np.abs(update.array()).max()


def test_blocks_end_where_a_scale_ends() -> None:
    with pytest.raises(ValueError, match="256"):
        list(partition(MANIFEST, 100))


def test_a_zero_update_is_all_zero_bytes_with_the_smallest_exponent(tmp_path: Path) -> None:
    update = make_update(tmp_path / "u", MANIFEST, np.zeros(PARAMETERS, np.float32))
    assert update.peak == 0
    assert not update.array().any()
    data = (tmp_path / "u").read_bytes()[-PARAMETERS - 6 :]
    assert set(data) == {0, MIN_EXPONENT & 0xFF}


def test_the_spelling_of_an_address_changes_no_byte(tmp_path: Path) -> None:
    delta = random_delta(MANIFEST, 4)
    header = make_header()
    lower = type(header)(
        header.chain_id,
        header.federation.lower(),
        header.participant.lower(),
        header.base_version,
        header.encoding,
    )
    write_update(tmp_path / "a", delta, header, MANIFEST)
    write_update(tmp_path / "b", delta, lower, MANIFEST)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("encoding", list(Encoding))
def test_an_update_that_is_not_finite_is_not_written(
    tmp_path: Path, value: float, encoding: Encoding
) -> None:
    delta = random_delta(MANIFEST, 5)
    delta[100] = value
    with pytest.raises(errors.NonFiniteValue, match="learning rate"):
        write_update(tmp_path / "u", delta, make_header(encoding), MANIFEST)
    assert not list(tmp_path.iterdir())


def test_an_update_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.WrongShape):
        write_update(tmp_path / "u", np.zeros(3, np.float32), make_header(), MANIFEST)


def test_int8_takes_about_a_byte_a_value(tmp_path: Path) -> None:
    manifest = make_manifest((TensorSpec("w", "F32", (100_000,)),))
    make_update(tmp_path / "u", manifest, random_delta(manifest, 6))
    assert (tmp_path / "u").stat().st_size < 100_000 * (1 + 1 / 256) + 600
