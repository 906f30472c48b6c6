"""Amounts, times and sizes as people write and read them; exact integers on the inside."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from bafl.types import NATIVE

WEI_PER_ETHER: Final = 10**18

_MONEY: Final[Mapping[str, int]] = {
    "wei": 1,
    "kwei": 10**3,
    "mwei": 10**6,
    "gwei": 10**9,
    "ether": WEI_PER_ETHER,
    "eth": WEI_PER_ETHER,
}
_TIME: Final[Mapping[str, int]] = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
}
_SIZE: Final[Mapping[str, int]] = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}
_LAST_S: Final = 253_402_300_799
"""The last second that RFC 3339 can write; a contract's types hold later ones."""
_QUANTITY = re.compile(r"([+-]?[0-9][0-9_]{0,99}(?:\.[0-9]{1,99})?)\s*([A-Za-z]+)")
_AMOUNT = re.compile(r"([+-]?[0-9][0-9_]{0,99}(?:\.[0-9]{1,99})?)\s*([^\s\d.,/][^\s/]*)")
_SYMBOL = re.compile(r"[^\s\d.,/][^\s/]{0,19}")


@dataclass(frozen=True, slots=True)
class Currency:
    """What money is in: the one place where amounts get their unit, and lose it.

    address: of the token, or `NATIVE`. symbol: what people write behind an amount.
    """

    address: str
    symbol: str
    decimals: int

    @property
    def is_native(self) -> bool:
        """Whether it is the chain's own."""
        return self.address == NATIVE

    def format(self, amount: int) -> str:
        """Write an amount: "1.25 ether", "20 gwei", "1,250.5 USDC"; six digits, toward zero."""
        if self.is_native:
            return format_money(amount)
        return f"{_decimal(amount, 10**self.decimals)} {self.symbol}"

    def exact(self, amount: int) -> str:
        """Write an amount with all its digits."""
        whole, rest = divmod(abs(amount), 10**self.decimals)
        digits = f"{rest:0{self.decimals}d}".rstrip("0") if rest else ""
        sign = "-" if amount < 0 else ""
        return f"{sign}{whole:,}{'.' + digits if digits else ''} {self.symbol}"

    def count(self, amount: Amount) -> int:
        """Return an amount in the smallest unit; a rate is rounded down. Raises ValueError."""
        names = _MONEY if self.is_native else {"units": 1, self.symbol.lower(): 10**self.decimals}
        size = names.get(amount.unit.lower())
        if size is None:
            raise ValueError(self._wanted(amount))
        exact = amount.value * size
        if amount.per_s == 1 and exact.denominator != 1:
            raise ValueError(self._wanted(amount))
        return int(exact // amount.per_s)

    def _wanted(self, amount: Amount) -> str:
        if self.is_native:
            return _WANTED_RATE if amount.per_s != 1 else _WANTED_MONEY
        per = "/hour" if amount.per_s != 1 else ""
        return (
            f"an amount in {self.symbol} (token {self.address}) with at most {self.decimals} "
            f"decimals, such as '10 {self.symbol}{per}', or in its smallest 'units'"
        )


ETHER: Final = Currency(NATIVE, "ether", 18)


def currency_named(address: str, symbol: str, decimals: int) -> Currency:
    """Return a token's currency; one whose symbol could be mistaken is called "token"."""
    fit = symbol.isprintable() and _SYMBOL.fullmatch(symbol) and symbol.lower() not in _MONEY
    return Currency(address, symbol if fit else "token", decimals)


@dataclass(frozen=True, slots=True)
class Amount:
    """Money as somebody wrote it, before it is known what currency it is in.

    per_s: of a rate, the seconds that it is for; else 1.
    """

    text: str
    value: Fraction
    unit: str
    per_s: int = 1

    def __str__(self) -> str:
        return self.text


_WANTED_MONEY = "an amount with a unit, such as '0.1 ether', '20 gwei' or '5 wei'"
_WANTED_RATE = "an amount for a time, such as '0.01 ether/hour' or '5 gwei/s'"


def read_amount(text: str) -> Amount:
    """Read "0.1 ether" or "25 USDC". Raises ValueError saying what is allowed."""
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(_WANTED_MONEY)
    return Amount(text.strip(), Fraction(match[1].replace("_", "")), match[2])


def read_rate(text: str) -> Amount:
    """Read "0.36 ether/hour" or "25 USDC/day". Raises ValueError saying what is allowed."""
    amount, slash, period = text.partition("/")
    per = _TIME.get(period.strip().lower())
    if not slash or per is None:
        raise ValueError(_WANTED_RATE)
    read = read_amount(amount)
    return Amount(text.strip(), read.value, read.unit, per)


def parse_money(text: str) -> int:
    """Read "0.1 ether", "20 gwei" or "5 wei" as wei. Raises ValueError saying what is allowed."""
    return ETHER.count(read_amount(text))


def parse_rate(text: str) -> int:
    """Read "0.36 ether/hour" as wei a second, rounded down. Raises ValueError."""
    return ETHER.count(read_rate(text))


def parse_duration(text: str) -> int:
    """Read "90s", "15min", "1.5h" or "7 days" as seconds. Raises ValueError."""
    return _parse(text, _TIME, "a time in whole seconds, such as '90s', '15min', '2h' or '7 days'")


def parse_size(text: str) -> int:
    """Read "200 kB" or "1 MiB" as bytes. Raises ValueError."""
    return _parse(text, _SIZE, "a size, such as '200 kB' or '1 MiB'")


def _parse(text: str, units: Mapping[str, int], wanted: str) -> int:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2].lower() not in units:
        raise ValueError(wanted)
    value = Fraction(match[1].replace("_", "")) * units[match[2].lower()]
    if value.denominator != 1:
        raise ValueError(wanted)
    return int(value)


def format_money(wei: int) -> str:
    """Write an amount of the chain's currency: "1.25 ether", "0.000286 ether", "20 gwei".

    Six significant digits (the whole part always in full), rounded toward zero.
    """
    # Below a millionth of an ether, zeros would be all that is read.
    for name in ("ether", "gwei"):
        if abs(wei) >= _MONEY[name] // 10**6 or (wei == 0 and name == "ether"):
            return f"{_decimal(wei, _MONEY[name])} {name}"
    return f"{wei:,} wei"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(abs(value), unit)
    places = len(str(unit)) - 1
    digits = f"{rest:0{places}d}"
    zeros = len(digits) - len(digits.lstrip("0")) if whole == 0 else -len(str(whole))
    digits = digits[: max(0, zeros + 6)].rstrip("0")
    return ("-" if value < 0 else "") + f"{whole:,}" + (f".{digits}" if digits else "")


def format_duration(seconds: float) -> str:
    """Write a length of time in its two largest units: "2 days 3 h", "4 min 10 s", "0 s"."""
    rest = round(abs(seconds))
    parts = []
    for name, size in (("days", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {'day' if (name, count) == ('days', 1) else name}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def format_when(at_s: float, now_s: float) -> str:
    """Write a time relative to now: "in 4 min 10 s", "2 days 3 h ago", "now"."""
    distance = at_s - now_s
    if abs(distance) < 1:
        return "now"
    text = format_duration(distance)
    return f"in {text}" if distance > 0 else f"{text} ago"


def format_utc(at_s: float) -> str:
    """Write a time as RFC 3339 in UTC, to the second; one after the year 9999 as its end."""
    moment = dt.datetime.fromtimestamp(min(at_s, _LAST_S), tz=dt.UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def format_size(count: int) -> str:
    """Write a number of bytes: "812 B", "1.4 MB"."""
    value, name = float(count), "B"
    for larger in ("kB", "MB", "GB"):
        if round(value, 1) < 1000:
            break
        value, name = value / 1000, larger
    return f"{count} B" if name == "B" else f"{value:.1f} {name}"


def format_bps(bps: int) -> str:
    """Write basis points with a proper minus sign and grouped digits: "7,210 bps"."""
    return f"{signed(bps)} bps"


def signed(value: int) -> str:
    """Write an integer with grouped digits and a proper minus sign."""
    return f"{value:,}".replace("-", "\N{MINUS SIGN}")


def format_ppm(ppm: int, digits: int = 1) -> str:
    """Write parts per million as percent: "12.5 %"."""
    return f"{ppm / 10_000:.{digits}f} %"


def shorten(address: str) -> str:
    """Write an address as its first six and last four characters: "0x12ab…89ef"."""
    return address if len(address) <= 12 else f"{address[:6]}…{address[-4:]}"
