"""ABI values become ours only when every field is what it should be."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bafl.chain.abi import (
    Artifact,
    address_of,
    artifact,
    checksum,
    interface,
    parse_artifact,
    plain,
    struct,
)
from bafl.errors import ChainError, UsageError
from bafl.types import (
    Duties,
    Encoding,
    Head,
    Parameters,
    Participant,
    Phase,
    Role,
    View,
    Window,
)

ADDRESS = "0x5FbDB2315678afecb367f032d93F642f64180aa3"

addresses = st.binary(min_size=20, max_size=20).map(lambda raw: checksum("0x" + raw.hex()))


def numbers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


heads = st.builds(
    Head,
    version=numbers(32),
    open_window=numbers(32),
    judging_window=numbers(32),
    trainers=numbers(16),
    seats=numbers(32),
    effective_size=numbers(8),
    last_final_sealed_at_s=numbers(40),
    pool_wei=numbers(128),
    stakes_wei=numbers(128),
    credits_wei=numbers(128),
    slashed_wei=numbers(128),
)
windows = st.builds(
    Window,
    id=numbers(32),
    phase=st.sampled_from(Phase),
    updates=numbers(8),
    opened_at_s=numbers(40),
    sealed_at_s=numbers(40),
    deadline_s=numbers(40),
    tag=numbers(64),
    base_version=numbers(32),
    active=numbers(32),
    committed=numbers(32),
    revealed=numbers(32),
    attested=numbers(32),
)


def pair(bits: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(numbers(bits), numbers(bits))


participants = st.builds(
    Participant,
    roles=st.sampled_from([Role(0), Role.TRAINER, Role.VALIDATOR, Role(3)]),
    stake_wei=numbers(96),
    credit_wei=numbers(128),
    exit_at_s=numbers(40),
    withdrawable_at_s=numbers(40),
    trainer_reputation=numbers(32),
    validator_reputation=numbers(32),
    trainer_jailed_until_s=numbers(40),
    validator_jailed_until_s=numbers(40),
    rejections=numbers(8),
    missed=numbers(8),
    seat=numbers(8),
    pending_windows=pair(32),
    pending_indices=pair(8),
    pending_bases=pair(32),
    pending_samples=pair(32),
    profile=st.binary(min_size=32, max_size=32),
)
duties = st.builds(
    Duties,
    submit_refusal=st.binary(min_size=4, max_size=4),
    claimable_wei=numbers(256),
    act_by_s=numbers(40),
)
views = st.builds(
    View,
    block=numbers(64),
    block_time_s=numbers(40),
    head=heads,
    model_digest=st.binary(min_size=32, max_size=32),
    judging=windows,
    open=windows,
    participant=participants,
    duties=duties,
    commitment=st.binary(min_size=32, max_size=32),
)


def encoded(value: View) -> bytes:
    """As the chain would answer."""
    from eth_abi.abi import encode
    from eth_utils.abi import collapse_if_tuple

    overview = next(e for e in artifact("FederationLens").abi if e.get("name") == "overview")
    return encode([collapse_if_tuple(overview["outputs"][0])], [plain(value)])


@given(views)
def test_a_view_survives_the_journey(view: View) -> None:
    (values,) = interface("FederationLens").decode("overview", encoded(view))
    assert struct(View, values, "view") == view


@given(views, st.data())
def test_a_view_of_changed_bytes_is_a_view_or_our_error(view: View, data: st.DataObject) -> None:
    raw = bytearray(encoded(view))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(len(raw) - 64, len(raw)))]
    try:
        (values,) = interface("FederationLens").decode("overview", bytes(raw))
        assert isinstance(struct(View, values, "view"), View)
    except ChainError:
        return


@pytest.mark.parametrize("data", [b"", b"\x01", bytes(31), b"\xff" * 640])
def test_an_answer_that_is_none_is_named(data: bytes) -> None:
    with pytest.raises(ChainError, match="the answer to head is malformed"):
        interface("Federation").decode("head", data)


def test_fields_are_those_of_the_contract() -> None:
    """Names and order, so that no two of a kind can be exchanged."""
    of = {
        "head": Head,
        "window": Window,
        "participant": Participant,
        "parameters": Parameters,
    }
    for function, cls in of.items():
        entry = next(e for e in artifact("Federation").abi if e.get("name") == function)
        given = [c["name"] for c in entry["outputs"][0]["components"]]
        ours = [_camel(field.name) for field in fields(cls)]
        assert ours == given, function
    lens = next(e for e in artifact("FederationLens").abi if e.get("name") == "duties")
    given = [c["name"] for c in lens["outputs"][0]["components"]]
    assert [_camel(field.name) for field in fields(Duties)] == given


def _camel(name: str) -> str:
    for unit in ("_wei", "_s", "_bps"):
        name = name.removesuffix(unit)
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


@dataclass(frozen=True, slots=True)
class Sample:
    encoding: Encoding
    roles: Role
    who: str
    flag: bool


@pytest.mark.parametrize(
    "values",
    [
        (3, 1, ADDRESS, True),
        (0, 4, ADDRESS, True),
        (0, 1, 5, True),
        (0, 1, ADDRESS, 1),
        (True, 1, ADDRESS, None),
        (0, 1, ADDRESS),
        (0, 1, ADDRESS, True, True),
        "abcd",
        None,
    ],
    ids=str,
)
def test_a_field_of_another_kind_is_refused(values: Any) -> None:
    with pytest.raises(ChainError):
        struct(Sample, values, "sample")


def test_a_struct_is_built_by_field_order() -> None:
    built = struct(Sample, [2, 3, ADDRESS.lower(), False], "sample")
    assert built == Sample(Encoding.TOPK, Role(3), ADDRESS, False)
    assert plain(built) == (2, 3, ADDRESS, False)


@pytest.mark.parametrize("text", ["", "0x", "0x12", ADDRESS + "0", ADDRESS[:-1] + "g", "bafl.eth"])
def test_an_address_that_is_none_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="is not an address"):
        address_of(text)


def test_an_address_gets_its_checksum() -> None:
    assert address_of(ADDRESS.lower()) == ADDRESS


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"abi": 5, "bytecode": "", "linkReferences": {}}', '{"abi": []}']
)
def test_an_artifact_that_is_none_is_said(text: str) -> None:
    with pytest.raises(ChainError, match="artifact X"):
        parse_artifact("X", text)


def test_a_library_is_linked_where_its_address_belongs() -> None:
    code = "60" + "5f" * 20 + "61" + "5f" * 20 + "00"
    linked = Artifact("X", (), "0x" + code, {"Tally": (1, 22)})
    wanted = "60" + ADDRESS[2:].lower() + "61" + ADDRESS[2:].lower() + "00"
    assert linked.initcode({"Tally": ADDRESS}).hex() == wanted
    with pytest.raises(UsageError, match="linked with Tally"):
        linked.initcode({})


def test_a_missing_artifact_says_what_to_do() -> None:
    with pytest.raises(ChainError, match="export_artifacts"):
        artifact("Nothing")
