from __future__ import annotations

from fractions import Fraction
from math import frexp

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bafl.aggregate import exact
from bafl.codec import canonical

Vector = npt.NDArray[np.float32]

vectors = hnp.arrays(
    np.float32,
    st.integers(1, 40),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False),
).map(canonical.flush)
SMALLEST = float(np.finfo(np.float32).tiny)
LARGEST = float(np.finfo(np.float32).max)


def slow_squared_norm(values: Vector) -> Fraction:
    """The definition: scale by a power of two, round to 20 bits, sum the squares."""
    peak = max(abs(float(x)) for x in values)
    if peak == 0:
        return Fraction(0)
    unit = Fraction(2) ** (frexp(peak)[1] - exact.NORM_BITS)
    return sum((Fraction(round(Fraction(float(x)) / unit)) ** 2 for x in values), Fraction(0)) * (
        unit * unit
    )


@settings(deadline=None)
@given(values=vectors)
def test_the_norm_is_the_one_of_its_definition(values: Vector) -> None:
    assert Fraction(exact.squared_norm(values), 4**146) == slow_squared_norm(values)


@settings(deadline=None)
@given(values=vectors)
def test_the_norm_is_near_the_true_one(values: Vector) -> None:
    true = sum(Fraction(float(x)) ** 2 for x in values)
    norm = exact.norm_of(exact.squared_norm(values))
    assert norm == pytest.approx(float(true) ** 0.5, rel=values.size**0.5 * 2.0**-20)


@settings(deadline=None)
@given(values=vectors, data=st.data())
def test_the_norm_does_not_depend_on_order_or_blocks(values: Vector, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(values.size)))
    cut = data.draw(st.integers(0, values.size))
    norm = exact.SquaredNorm(float(np.abs(values).max()))
    norm.add(values[order][cut:])
    norm.add(values[order][:cut])
    assert norm.value == exact.squared_norm(values)


def test_the_norm_of_a_full_block_of_the_largest_squares_does_not_overflow() -> None:
    values = np.full(1 << 22, np.nextafter(np.float32(1), np.float32(0)))
    assert Fraction(exact.squared_norm(values), 4**146) == 1 << 22
    with pytest.raises(ValueError, match="at most"):
        exact.SquaredNorm(1.0).add(np.ones((1 << 22) + 1, np.float32))


@pytest.mark.parametrize("value", [SMALLEST, LARGEST, 1.0, 0.0])
def test_norms_of_any_magnitude_compare(value: float) -> None:
    norm = exact.squared_norm(np.array([value], np.float32))
    assert exact.norm_of(norm) == pytest.approx(value, rel=2**-19)


@given(values=st.lists(st.integers(0, 5), min_size=1, max_size=9))
def test_the_median_is_the_least_value_that_half_do_not_exceed(values: list[int]) -> None:
    median = exact.lower_median(values)
    assert median in values
    assert 2 * sum(v <= median for v in values) >= len(values)
    assert 2 * sum(v < median for v in values) < len(values)


def test_nothing_has_no_median() -> None:
    with pytest.raises(ValueError, match="median"):
        exact.lower_median([])


@given(squared=st.integers(0, 1 << 600), limit=st.integers(0, 1 << 600))
def test_a_clip_factor_is_the_ratio_rounded_down(squared: int, limit: int) -> None:
    factor = exact.clip_factor(squared, limit)
    assert 0 <= factor <= exact.ONE
    # factor / 2^20 ≤ limit / norm < (factor + 1) / 2^20, all squared; or the norm is within.
    if squared <= limit:
        assert factor == exact.ONE
    else:
        assert factor**2 * squared <= limit << 40 < (factor + 1) ** 2 * squared


def test_a_clipped_update_has_at_most_twice_the_median_norm() -> None:
    norms = [exact.squared_norm(np.array([x], np.float32)) for x in (1, 2, 3, 100, 1e30)]
    factors = exact.clip_factors(norms, 2)
    assert factors[:3] == [exact.ONE] * 3
    assert factors[3] == int(0.06 * exact.ONE)
    assert factors[4] == 0


@settings(deadline=None)
@given(
    rows=st.integers(1, 5).flatmap(
        lambda k: hnp.arrays(
            np.float32, (k, 6), elements=st.floats(width=32, min_value=-(2**120), max_value=2**120)
        )
    ),
    data=st.data(),
)
def test_the_step_is_the_weighted_sum(rows: Vector, data: st.DataObject) -> None:
    count = rows.shape[0]
    rows = canonical.flush(rows)
    factors = data.draw(st.lists(st.integers(0, exact.ONE), min_size=count, max_size=count))
    shares = data.draw(st.lists(st.integers(0, 1_000_000), min_size=count, max_size=count))
    rate = data.draw(st.integers(1, 2_000_000))
    step = exact.weighted_step(list(rows), factors, shares, rate)
    for column in range(rows.shape[1]):
        terms = [
            Fraction(float(rows[i, column])) * Fraction(factors[i] * shares[i] * rate)
            / (exact.ONE * 10**12)
            for i in range(count)
        ]  # fmt: skip
        bound = sum(abs(term) for term in terms) * Fraction(2 * count + 4, 2**53)
        assert abs(Fraction(float(step[column])) - sum(terms)) <= bound


def test_an_equal_step_of_equal_updates_is_that_update() -> None:
    update = np.array([0.5, -0.25, 3.0], np.float32)
    step = exact.weighted_step([update] * 4, [exact.ONE] * 4, [250_000] * 4, 1_000_000)
    assert step.tolist() == update.tolist()


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (1e300, LARGEST),
        (-1e300, -LARGEST),
        (float(np.float64(LARGEST) * (1 + 2**-30)), LARGEST),
        (SMALLEST, SMALLEST),
        (SMALLEST * (1 - 2**-50), 0.0),  # would round up to the smallest normal
        (-SMALLEST / 2, 0.0),
        (-0.0, 0.0),
        (1 + 2**-24, 1.0),
        (1 + 3 * 2**-24, 1 + 2**-22),
    ],
)
def test_rounding_gives_what_every_reader_accepts(value: float, result: float) -> None:
    rounded = exact.rounded(np.array([value]))
    assert rounded.dtype == np.float32
    assert rounded.view(np.uint32)[0] == np.float32(result).view(np.uint32)


def test_a_step_past_the_largest_float_ends_there() -> None:
    model = np.array([LARGEST, -LARGEST], np.float32)
    stepped = exact.stepped(model, np.array([LARGEST, -LARGEST], np.float64))
    assert stepped.tolist() == model.tolist()
