"""Amounts and times go in and come out as people write them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bafl import units


@pytest.mark.parametrize(
    ("text", "wei"),
    [
        ("0.1 ether", 10**17),
        ("1ETH", 10**18),
        ("20 gwei", 2 * 10**10),
        ("5 wei", 5),
        ("1_000 wei", 1000),
        ("0.000000000000000001 ether", 1),
    ],
)
def test_money_is_read_exactly(text: str, wei: int) -> None:
    assert units.parse_money(text) == wei


@pytest.mark.parametrize("text", ["", "1", "ether", "0.5 wei", "1 euro", "1e3 wei", "1,5 ether"])
def test_money_without_a_known_unit_or_of_half_a_wei_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as '0\.1 ether'"):
        units.parse_money(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15min", 900), ("1.5h", 5400), ("7 days", 604800), ("1 d", 86400), ("2m", 120)],
)
def test_durations_are_read_as_seconds(text: str, seconds: int) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "0.5s", "1 fortnight", "1h30"])
def test_a_duration_that_is_not_whole_seconds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole seconds"):
        units.parse_duration(text)


def test_a_rate_is_an_amount_for_a_time() -> None:
    assert units.parse_rate("0.36 ether/hour") == 10**14
    assert units.parse_rate("5 gwei / s") == 5 * 10**9
    with pytest.raises(ValueError, match="ether/hour"):
        units.parse_rate("5 gwei")


@given(st.integers(0, 10**30))
def test_written_money_is_below_and_within_a_hundred_thousandth(wei: int) -> None:
    text = units.format_money(wei).replace(",", "")
    amount, unit = text.split()
    size = {"ether": 10**18, "gwei": 10**9, "wei": 1}[unit]
    lost = wei - Fraction(amount) * size
    assert 0 <= lost <= Fraction(wei, 10**5)


@pytest.mark.parametrize(
    ("wei", "text"),
    [
        (0, "0 ether"),
        (10**17, "0.1 ether"),
        (1_234_567 * 10**18 + 10**17, "1,234,567 ether"),
        (-(10**17), "-0.1 ether"),
        (286_700_123_456_789, "0.0002867 ether"),
        (9_960_328_000_000_000_000, "9.96032 ether"),
        (10**11, "100 gwei"),
        (12, "12 wei"),
    ],
)
def test_money_is_written_in_the_unit_that_reads_best(wei: int, text: str) -> None:
    assert units.format_money(wei) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (250, "4 min 10 s"),
        (3600, "1 h"),
        (86400, "1 day"),
        (183600, "2 days 3 h"),
        (86401, "1 day"),
    ],
)
def test_durations_are_written_in_their_two_largest_units(seconds: int, text: str) -> None:
    assert units.format_duration(seconds) == text


@given(st.integers(0, 10**9))
def test_a_written_duration_is_close_to_the_true_one(seconds: int) -> None:
    words = units.format_duration(seconds).split()
    total = sum(
        units.parse_duration(f"{count}{unit}")
        for count, unit in zip(words[::2], words[1::2], strict=True)
    )
    assert seconds - total in range(max(1, seconds // 24))


def test_times_are_relative_to_now() -> None:
    assert units.format_when(110, 100) == "in 10 s"
    assert units.format_when(100, 160) == "1 min ago"
    assert units.format_when(100, 100.5) == "now"
    assert units.format_utc(0) == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize("at_s", [253_402_300_799, 253_402_300_800, 2**40 - 1, 2**256 - 1])
def test_a_time_that_no_calendar_has_is_the_last_one_that_it_has(at_s: int) -> None:
    assert units.format_utc(at_s) == "9999-12-31T23:59:59Z"
    assert units.format_when(at_s, 1.5e9).startswith("in ")


def test_sizes_scores_and_addresses_read_well() -> None:
    assert units.format_size(812) == "812 B"
    assert units.format_size(1_400_000) == "1.4 MB"
    assert units.format_size(999_999) == "1.0 MB"
    assert units.parse_size("1 MiB") == 1 << 20
    assert units.format_bps(-7210) == "\N{MINUS SIGN}7,210 bps"
    assert units.format_ppm(125_000) == "12.5 %"
    assert units.shorten("0x" + "12" * 20) == "0x1212…1212"


# --- other currencies ---

TOKEN = "0x" + "12" * 20


@pytest.mark.parametrize(
    ("decimals", "text", "amount", "written"),
    [
        (6, "1_250.5 USDC", 1_250_500_000, "1,250.5 USDC"),
        (6, "0.000001 usdc", 1, "0.000001 USDC"),
        (6, "7 units", 7, "0.000007 USDC"),
        (0, "12 USDC", 12, "12 USDC"),
        (18, "0.1 USDC", 10**17, "0.1 USDC"),
        (24, "79228162514.264337593543950335 USDC", 79228162514264337593543950335 * 10**6, None),
    ],
)
def test_a_tokens_amounts_are_read_and_written_with_its_decimals(
    decimals: int, text: str, amount: int, written: str | None
) -> None:
    currency = units.Currency(TOKEN, "USDC", decimals)
    counted = currency.count(units.read_amount(text))
    assert counted == amount
    assert written is None or currency.format(amount) == written


@given(st.integers(0, 2**96), st.integers(0, 40))
def test_a_tokens_amount_survives_writing_and_reading(amount: int, decimals: int) -> None:
    currency = units.Currency(TOKEN, "USDC", decimals)
    written = currency.exact(amount).replace(",", "")
    assert currency.count(units.read_amount(written)) == amount


def test_native_units_mean_nothing_in_a_token_and_the_other_way_round() -> None:
    dollar = units.Currency(TOKEN, "USDC", 6)
    for text in ("1 ether", "1 gwei", "1 wei", "0.0000001 USDC", "1 USDT"):
        with pytest.raises(ValueError, match=r"in USDC \(token 0x.*at most 6 decimals"):
            dollar.count(units.read_amount(text))
    for text in ("1 USDC", "1 units"):
        with pytest.raises(ValueError, match=r"such as '0\.1 ether'"):
            units.ETHER.count(units.read_amount(text))


@pytest.mark.parametrize(
    "symbol", ["ether", "ETH", "wei", "", "A B", "x" * 21, "\x1b[31m", "1", "a/b"]
)
def test_a_symbol_that_could_be_mistaken_is_not_used(symbol: str) -> None:
    assert units.currency_named(TOKEN, symbol, 6).symbol == "token"


@pytest.mark.parametrize("symbol", ["USDC", "USDC.e", "USD₮0", "stETH", "€"])
def test_other_symbols_are(symbol: str) -> None:
    currency = units.currency_named(TOKEN, symbol, 6)
    assert currency.count(units.read_amount(currency.exact(1_500_000))) == 1_500_000
