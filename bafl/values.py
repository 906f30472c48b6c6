"""What one value of a settings file may be, and what is said of one that may not.

Each type here reads what TOML gives, or raises a ValueError that says what is needed instead.
Ranges of the contract's parameters have their home in the contract: here is only what it can store.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

from pydantic import BeforeValidator, PlainValidator, ValidationInfo

from bafl import units
from bafl.errors import SettingsError
from bafl.types import Encoding, Role
from bafl.urls import gateway_url, masked, rpc_url

MONEY_BITS = 96
IN_A_TOKEN = "in_a_token"  # noqa: S105
_Given = TypeVar("_Given")
_Read = TypeVar("_Read")

ENTRY_FORM = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"


def _counted(
    parse: Callable[[str], int], plain: str, example: str, bits: int = 256
) -> BeforeValidator:
    """Accept a string with a unit, or a whole number of `plain`, that fits the contract's type."""

    def read(value: object) -> int:
        number = _read(value, parse, plain, example)
        _fits(number, bits, plain)
        return number

    return BeforeValidator(read)


def _money(
    read: Callable[[str], units.Amount], plain: str, example: str, known: bool = True
) -> PlainValidator:
    """Accept an amount of the federation's currency.

    Text becomes a whole number where the currency is the chain's own, and an `Amount` where only
    the chain knows what a unit is. known: whether the file says which currency it is.
    """

    def check(value: object, info: ValidationInfo) -> int | units.Amount:
        if isinstance(value, units.Amount):
            return value
        is_native = known and not (info.context or {}).get(IN_A_TOKEN)
        amount = _read(value, read, plain, example)
        if isinstance(amount, units.Amount):
            if not is_native:
                return amount
            amount = _needed(units.ETHER.count, amount)
        _fits(amount, MONEY_BITS, plain)
        return amount

    return PlainValidator(check)


def _read(value: object, parse: Callable[[str], _Read], plain: str, example: str) -> _Read | int:
    """Return what text says, or a whole number of `plain` itself."""
    if isinstance(value, str):
        return _needed(parse, value)
    if type(value) is int:
        return value
    raise ValueError(f"needs a unit, such as {example}, or a whole number of {plain}")


def _needed(parse: Callable[[_Given], _Read], given: _Given) -> _Read:
    try:
        return parse(given)
    except ValueError as error:
        raise ValueError(f"needs {error}") from None


def _fits(number: int, bits: int, plain: str) -> None:
    if not 0 <= number < 1 << bits:
        # TOML writes integers of any length in hexadecimal, and Python prints no such ones.
        given = f"{number:,}" if number.bit_length() <= 512 else "far too many"
        raise ValueError(f"is {given} {plain}; 0 to {(1 << bits) - 1:,} can be stored")


def amounts(
    currency: units.Currency, given: Mapping[str, int | units.Amount], where: str = ""
) -> dict[str, int]:
    """Return amounts, by what they are called, in the smallest unit of the currency they are in.

    where: what to call the place in a message. Raises SettingsError listing every mistake.
    """
    found: dict[str, int] = {}
    mistakes = []
    for name, value in given.items():
        try:
            number = value if isinstance(value, int) else currency.count(value)
            if not 0 <= number < 1 << MONEY_BITS:
                raise ValueError(f"an amount from 0 to {currency.exact((1 << MONEY_BITS) - 1)}")
            found[name] = number
        except ValueError as error:
            mistakes.append(f"{name} = {shown(str(value))}: needs {error}")
    if mistakes:
        raise SettingsError((f"{where}: " if where else "") + "\n  ".join(mistakes))
    return found


def _whole(least: int, most: int) -> BeforeValidator:
    def read(value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"needs a whole number from {least:,} to {most:,}")
        return value

    return BeforeValidator(read)


def _setting(value: object) -> object:
    if not isinstance(value, str | bool | int | float):
        raise ValueError("needs text, a number, true or false")
    if isinstance(value, int | float) and not abs(value) < 10**19:
        raise ValueError("needs a number that a manifest can hold: finite, of at most 19 digits")
    return value


def _path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError("needs a path in quotes")
    return Path(value)


def _store(value: object) -> object:
    if isinstance(value, str) and "\0" in value:
        raise ValueError("needs a store's description: it holds a zero byte")
    return value


def _address(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-fA-F]{40}", value):
        raise ValueError("needs an address: 0x and 40 hex digits")
    from eth_utils.address import is_checksum_address, to_checksum_address

    checked: str = to_checksum_address(value)
    if value[2:] not in (value[2:].lower(), value[2:].upper()) and not is_checksum_address(value):
        raise ValueError("has a checksum that does not fit: a typing error? Copy it again")
    return checked


def _url(value: object) -> str:
    return rpc_url(value if isinstance(value, str) else "")


def _gateways(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("needs a list of addresses, such as ['http://127.0.0.1:8080']")
    found: list[str] = []
    for item in value:
        if not isinstance(item, str):
            raise ValueError(f"has {shown(item)}, which is no address in quotes")
        try:
            found.append(gateway_url(item))
        except ValueError as error:
            raise ValueError(f"has {shown(masked(item))}, which {error}") from None
    return tuple(dict.fromkeys(found))


def _entry(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(ENTRY_FORM, value):
        raise ValueError("needs 'package.module:function'")
    return value


def _encoding(value: object) -> Encoding:
    known = {encoding.name.lower(): encoding for encoding in Encoding}
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"needs one of: {', '.join(known)}{nearest(value, known)}")
    return known[value]


def _encodings(value: object) -> tuple[Encoding, ...]:
    known = {encoding.name.lower(): encoding for encoding in Encoding}
    if not isinstance(value, list) or not value:
        raise ValueError(f"needs a list of some of: {', '.join(known)}")
    for item in value:
        if not isinstance(item, str) or item not in known:
            raise ValueError(
                f"has {shown(item)}; known are: {', '.join(known)}{nearest(item, known)}"
            )
    return tuple(sorted({known[item] for item in value}))


def _roles(value: object) -> Role:
    known = {"trainer": Role.TRAINER, "validator": Role.VALIDATOR}
    if not isinstance(value, list) or not value or not all(item in list(known) for item in value):
        raise ValueError("needs a list of 'trainer', 'validator' or both")
    roles = Role(0)
    for item in value:
        roles |= known[item]
    return roles


Seconds = Annotated[int, _counted(units.parse_duration, "seconds", "'15min' or '2h'", 32)]
Money = Annotated[int | units.Amount, _money(units.read_amount, "wei", "'0.1 ether'")]
MoneyPerSecond = Annotated[
    int | units.Amount, _money(units.read_rate, "wei a second", "'0.01 ether/h'")
]
AnyMoney = Annotated[
    int | units.Amount, _money(units.read_amount, "wei", "'0.1 ether'", known=False)
]
MoneyPerGas = Annotated[int, _counted(units.parse_money, "wei per gas", "'300 gwei'", MONEY_BITS)]
Bytes = Annotated[int, _counted(units.parse_size, "bytes", "'1 MiB'", 40)]
Setting: TypeAlias = Annotated[str | int | float | bool, BeforeValidator(_setting)]
PathLike = Annotated[Path, BeforeValidator(_path)]
Address = Annotated[str, BeforeValidator(_address)]
Url = Annotated[str, BeforeValidator(_url)]
Gateways = Annotated[tuple[str, ...], BeforeValidator(_gateways)]
StoreText = Annotated[str, BeforeValidator(_store)]
Entry = Annotated[str, BeforeValidator(_entry)]
OneEncoding = Annotated[Encoding, BeforeValidator(_encoding)]
Encodings = Annotated[tuple[Encoding, ...], BeforeValidator(_encodings)]
Roles = Annotated[Role, BeforeValidator(_roles)]
ChainId = Annotated[int, _whole(1, 2**63 - 1)]
Uint8 = Annotated[int, _whole(0, 2**8 - 1)]
Uint16 = Annotated[int, _whole(0, 2**16 - 1)]
Int16 = Annotated[int, _whole(-(2**15), 2**15 - 1)]
Uint32 = Annotated[int, _whole(0, 2**32 - 1)]
RuleParameter: TypeAlias = Annotated[int, _whole(-(10**18), 10**18)]


def read_address(text: str, what: str) -> str:
    """Return an address given by itself, with its checksum. Raises SettingsError naming `what`."""
    try:
        return _address(text)
    except ValueError as error:
        raise SettingsError(f"{what} = {shown(text)}: {error}") from None


def nearest(word: object, known: Mapping[str, object] | list[str]) -> str:
    """Return what to say of a word that was meant to be a known one; "" if none is near."""
    near = difflib.get_close_matches(str(word).lower(), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def shown(value: object) -> str:
    """Return a value as a settings file writes it, cut short."""
    if isinstance(value, dict):
        return "a table"
    try:
        text = str(value) if isinstance(value, Path) else repr(value)
    except ValueError:
        return "a number too long to show"
    text = {"True": "true", "False": "false"}.get(text, text)
    return text if len(text) <= 80 else f"{text[:77]}…"
