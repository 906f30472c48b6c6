"""JSON with one spelling per value, read from strangers: the manifest's and every header's form."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

_MAX_DEPTH = 16
_MAX_DIGITS = 20


class JsonRefused(ValueError):
    """Why bytes are not acceptable JSON; callers turn it into their own typed error."""


def dump(value: object) -> bytes:
    """Write a JSON value in its only accepted spelling: sorted keys, no spaces, UTF-8.

    Raises JsonRefused for a value JSON has no spelling for (NaN, a lone surrogate, an object).
    """
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return text.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise JsonRefused(f"cannot be written as JSON: {error}") from None


def load(data: bytes, max_bytes: int) -> Any:
    """Parse bytes written by anybody into plain dict, list, str, int, float, bool or None.

    Raises JsonRefused for more than max_bytes, broken UTF-8 or JSON, a key given twice, NaN,
    integers past 20 digits, or nesting deeper than 16.
    """
    if len(data) > max_bytes:
        raise JsonRefused(f"{len(data)} bytes, but at most {max_bytes} are read")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_short(int),
            parse_float=_short(float),
        )
    except JsonRefused:
        raise
    except RecursionError:
        raise JsonRefused(f"nested deeper than {_MAX_DEPTH}") from None
    except ValueError as error:
        raise JsonRefused(f"not JSON in UTF-8: {error}") from None
    _check(value, _MAX_DEPTH)
    return value


class DuplicateKey(JsonRefused):
    """An object that gives one key twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise DuplicateKey(f"the key {key[:80]!r} is given twice")
        result[key] = value
    return result


def _no_constant(name: str) -> NoReturn:
    raise JsonRefused(f"{name} is not JSON")


def _short(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        if convert is int and len(text) > _MAX_DIGITS:
            raise JsonRefused(f"an integer of {len(text)} digits")
        value = convert(text[:400])
        if not math.isfinite(value):
            raise JsonRefused(f"the number {text[:40]} is not finite")
        return value

    return parse


def _check(value: object, depth: int) -> None:
    """Refuse deep nesting, and text that UTF-8 cannot carry (escaped lone surrogates)."""
    if depth == 0:
        raise JsonRefused(f"nested deeper than {_MAX_DEPTH}")
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise JsonRefused("text with a lone surrogate") from None
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(key, depth)
            _check(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth - 1)
