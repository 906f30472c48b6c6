"""Rules that Python and Solidity both read: ours are those of the frozen vectors.

`contracts/test/SharedRules.t.sol` asks the same of the contracts, and `tests/reference/vectors.py`
writes the files. Most of the contract's rules are not among them, since Python knows none of them:
when a phase ends and who may do what, it asks the lens. Tags are compared on a chain (test_chain).
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bafl import protocol, types
from bafl.chain import calls, fold
from bafl.judge import rules
from bafl.settings import ParametersTable
from tests.reference.vectors import FOLDER


def cases(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / name).read_text("utf-8"))["cases"]
    return found


def test_numbers_that_both_name_are_the_same() -> None:
    (shared,) = cases("rules.json")
    update = types.UpdateRecord(
        16 * 5 + 3, "", 0, types.Root(bytes(32), 0x55), types.Encoding(0), 1, 1
    )
    assert (update.window, update.index) == (5, 3)
    ours = {
        "ppm": types.PPM,
        "ring": protocol.RING,
        "maxUpdates": ParametersTable().window_size,
        "startReputation": types.START_REPUTATION,
        "noSeat": types.NO_SEAT,
        "raw": types.RAW,
        "dagPb": types.DAG_PB,
        "lowestScore": rules.ALONE_MIN,
        "highestScore": rules.MARGINAL_MAX,
        "unavailable": rules.UNAVAILABLE_OR_COPY,
        "malformed": rules.MALFORMED,
        "noConsensus": types.NO_CONSENSUS,
    }
    assert {name: int(value) for name, value in shared.items()} == ours
    assert (calls.UNAVAILABLE, calls.MALFORMED) == (rules.UNAVAILABLE_OR_COPY, rules.MALFORMED)


def test_lists_of_numbers_are_read_as_the_contract_packs_them() -> None:
    for case in cases("numbers.json"):
        packed = bytes.fromhex(case["packed"].removeprefix("0x"))
        assert list(fold.unpack_numbers(packed, 1)) == case["values"]


@given(numbers=st.lists(st.integers(0, 2**24 - 1), max_size=32))
def test_lists_of_numbers_unpack(numbers: list[int]) -> None:
    packed = b"".join(number.to_bytes(3, "big") for number in numbers)
    assert list(fold.unpack_numbers(packed, 1)) == numbers
