"""Every refusal of the contract has a class, its arguments and a sentence."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from bafl.chain import errors
from bafl.chain.abi import artifact, signature
from bafl.chain.errors import KNOWN_ARTIFACTS, decode_revert, refusal_named
from bafl.errors import BaflError, ContractRefusal, RefusedError

ALL = {
    entry["name"]: entry
    for name in KNOWN_ARTIFACTS
    for entry in artifact(name).abi
    if entry["type"] == "error"
}
SAMPLES: dict[str, Any] = {
    "address": "0x5fbdb2315678afecb367f032d93f642f64180aa3",
    "string": "windowSize",
    "bytes32": bytes(32),
    "bytes4": bytes(4),
    "bytes": b"\x01",
    "bool": True,
}


def raised(name: str, values: list[Any] | None = None) -> bytes:
    entry = ALL[name]
    types = [parameter["type"] for parameter in entry["inputs"]]
    if values is None:
        values = [SAMPLES.get(kind, 5) for kind in types]
    return keccak(text=signature(entry))[:4] + encode(types, values)


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_error_of_the_contracts_is_decoded(name: str) -> None:
    refusal = decode_revert(raised(name), "doing it")
    assert type(refusal) is getattr(errors, name)
    assert refusal.name == name
    assert list(refusal.arguments) == [p["name"] for p in ALL[name]["inputs"]]
    assert str(refusal).startswith("doing it: ")
    assert name in str(refusal)
    assert refusal.exit_code == 1
    assert isinstance(refusal, ContractRefusal)
    assert refusal_named(raised(name)[:4]) == name


@pytest.mark.parametrize("name", sorted(errors._SENTENCES))
def test_every_sentence_is_of_an_error_there_is_and_fits_it(name: str) -> None:
    assert not str(decode_revert(raised(name))).startswith("the contract refused: ")


def test_amounts_times_and_phases_are_for_people() -> None:
    stake = str(decode_revert(raised("StakeBelowMinimum", [5 * 10**17, 10**18])))
    assert stake.startswith("a stake of 0.5 ether is below the minimum of 1 ether; add to it")
    full = str(decode_revert(raised("QueueFull", [1_800_000_000])))
    assert "try again after 2027-01-15 08:00:00 UTC" in full
    unjudged = str(decode_revert(raised("StillUnjudged", [4])))
    assert unjudged.startswith(
        "window 4, in which this account has a part, is not judged yet; wait"
    )
    phase = str(decode_revert(raised("WrongPhase", [3, 1, 6])))
    assert phase.startswith("window 3 is in phase open, and this needs attest")


def test_what_a_contract_says_cannot_steer_a_terminal_or_fill_it() -> None:
    reason = "\x1b[2J\r\n\u202e" + "no" * 500_000
    data = keccak(text="Error(string)")[:4] + encode(["string"], [reason])
    for said in (
        str(decode_revert(data)),
        str(decode_revert(raised("ParameterOutOfRange", [reason, 1, 2, 3]))),
    ):
        assert said.isprintable()
        assert "nono" in said
        assert len(said) < 1_000
    assert decode_revert(data).arguments["reason"] == reason


def test_a_refusal_can_be_caught_at_each_level() -> None:
    for level in (errors.BaseTooStale, ContractRefusal, RefusedError, BaflError):
        with pytest.raises(level):
            raise decode_revert(raised("BaseTooStale", [3, 7]))


def test_a_refusal_crosses_processes() -> None:
    refusal = decode_revert(raised("BaseTooStale", [3, 7]))
    again = pickle.loads(pickle.dumps(refusal))
    assert type(again) is type(refusal)
    assert dict(again.arguments) == {"base": 3, "oldest": 7}
    assert str(again) == str(refusal)


def test_arguments_cannot_be_changed() -> None:
    refusal = decode_revert(raised("BaseTooStale", [3, 7]))
    with pytest.raises(TypeError):
        refusal.arguments["base"] = 4  # type: ignore[index]


def test_an_error_nobody_has_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="NoSuchThing"):
        errors.NoSuchThing  # noqa: B018


@given(st.binary(max_size=200))
def test_any_bytes_are_a_refusal(data: bytes) -> None:
    assert isinstance(decode_revert(data), ContractRefusal)


@given(st.sampled_from(sorted(ALL)), st.binary(max_size=100))
def test_any_arguments_are_a_refusal(name: str, data: bytes) -> None:
    refusal = decode_revert(keccak(text=signature(ALL[name]))[:4] + data)
    assert isinstance(refusal, ContractRefusal)
    assert str(refusal)


def test_nothing_and_none_are_said_to_be_without_a_reason() -> None:
    for data in (None, b""):
        assert "without a reason" in str(decode_revert(data))
