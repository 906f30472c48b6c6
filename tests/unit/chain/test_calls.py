"""Calls, commitments, salts and invitations: what is signed is what the contract checks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from bafl.chain import calls
from bafl.chain.abi import interface
from bafl.chain.connection import Connection
from bafl.chain.errors import InsufficientFunds
from bafl.chain.sender import Sender
from bafl.errors import UsageError
from bafl.types import RAW, Encoding, Role, Root
from tests.unit.chain.conftest import Probe

_FROZEN = Path(__file__).parents[2] / "vectors" / "commitment.json"
VECTORS = json.loads(_FROZEN.read_text("utf-8"))["cases"]
CONTRACT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
KEY = bytes(range(1, 33))
ROOT = Root(bytes(range(32)), RAW)
DOMAIN = calls.SigningDomain("BAFL Federation", "1", 31337, CONTRACT)

scores = st.lists(st.integers(-(2**15), 2**15 - 1), max_size=16)


def arguments(vector: dict[str, Any]) -> tuple[int, str, int, int, str]:
    return (
        int(vector["chainId"]),
        vector["federation"],
        int(vector["window"]),
        int(vector["tag"]),
        vector["validator"],
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_commitments_are_as_recorded(vector: dict[str, Any]) -> None:
    salt = bytes.fromhex(vector["salt"][2:])
    assert calls.pack_scores(vector["scores"]).hex() == vector["packedScores"][2:]
    made = calls.commitment(*arguments(vector), vector["scores"], vector["keep"], salt)
    assert "0x" + made.hex() == vector["commitment"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_salts_are_as_recorded(vector: dict[str, Any]) -> None:
    key = bytes.fromhex(vector["key"][2:])
    assert "0x" + calls.salt(key, *arguments(vector)).hex() == vector["salt"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_solidity_hashes_the_same(
    connection: Connection, probe: Probe, vector: dict[str, Any]
) -> None:
    data = probe.interface.encode(
        "commitment",
        (
            *arguments(vector),
            bytes.fromhex(vector["packedScores"][2:]),
            vector["keep"],
            bytes.fromhex(vector["salt"][2:]),
        ),
    )
    assert "0x" + connection.call(probe.address, data).hex() == vector["commitment"]


@given(scores)
def test_packed_scores_unpack(values: list[int]) -> None:
    packed = calls.pack_scores(values)
    assert len(packed) == 2 * len(values)
    assert list(calls.unpack_scores(packed + bytes(32), len(values))) == values


@pytest.mark.parametrize("score", [2**15, -(2**15) - 1, 10**9])
def test_a_score_that_is_no_int16_is_wrong_usage(score: int) -> None:
    with pytest.raises(UsageError, match="int16"):
        calls.pack_scores([0, score])


def test_any_other_identifier_gives_another_salt() -> None:
    first = (31337, CONTRACT, 1, 2, CONTRACT)
    others = [
        (1, CONTRACT, 1, 2, CONTRACT),
        (31337, "0x" + "11" * 20, 1, 2, CONTRACT),
        (31337, CONTRACT, 2, 2, CONTRACT),
        (31337, CONTRACT, 1, 3, CONTRACT),
        (31337, CONTRACT, 1, 2, "0x" + "11" * 20),
    ]
    salts = {calls.salt(KEY, *each) for each in (first, *others)}
    salts.add(calls.salt(KEY[::-1], *first))
    assert len(salts) == 7
    assert calls.salt(KEY, *first) in salts


CALLS: list[tuple[str, calls.Call]] = [
    ("submitUpdate", calls.submit_update(3, ROOT, Encoding.INT8, 100)),
    ("seal", calls.seal()),
    ("commitScores", calls.commit_scores(1, 2**64 - 1, bytes(32))),
    ("revealScores", calls.reveal_scores(1, 2, [-32768, 9990], 1, bytes(32))),
    ("tally", calls.tally(1, [CONTRACT, CONTRACT.lower()], [CONTRACT])),
    ("attestModel", calls.attest_model(1, 2, bytes(32), -5)),
    ("settle", calls.settle(1)),
    ("discard", calls.discard(1)),
    ("join", calls.join(Role.TRAINER | Role.VALIDATOR, 10**17)),
    ("setProfile", calls.set_profile(bytes(32))),
    ("topUp", calls.top_up(5)),
    ("takeSeat", calls.take_seat()),
    ("wake", calls.wake()),
    ("requestExit", calls.request_exit()),
    ("withdraw", calls.withdraw()),
    ("claim", calls.claim()),
    ("fund", calls.fund(5)),
    ("pause", calls.pause()),
    ("unpause", calls.unpause()),
    ("close", calls.close()),
    ("bumpInvitationEpoch", calls.bump_invitation_epoch()),
    ("sweepPool", calls.sweep_pool()),
    ("sweepSlashed", calls.sweep_slashed()),
]


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
def test_every_call_fits_the_abi(name: str, call: calls.Call) -> None:
    assert call.name == name
    assert len(call.data()) % 32 == 4


def test_every_function_that_changes_state_has_a_call() -> None:
    abi = interface("Federation").state_changing
    assert abi - {name for name, _ in CALLS} <= {"joinByInvitation", "multicall"}


def test_money_comes_along_where_it_is_asked_for() -> None:
    assert calls.join(Role.TRAINER, 7).value_wei == 7
    assert calls.top_up(7).value_wei == 7
    assert calls.fund(7).value_wei == 7
    assert calls.claim().value_wei == 0


def test_arguments_that_do_not_fit_are_wrong_usage() -> None:
    with pytest.raises(UsageError, match="submitUpdate does not take"):
        calls.submit_update(-1, ROOT, Encoding.INT8, 1).data()
    with pytest.raises(UsageError, match="commitScores does not take"):
        calls.commit_scores(1, 2, bytes(33)).data()
    with pytest.raises(UsageError, match="tally does not take"):
        calls.tally(1, ["0x12"], []).data()


def test_an_invitation_shows_its_signer() -> None:
    owner, guest = Account.create(), Account.create()
    given = calls.invitation(
        owner, DOMAIN, guest.address, Role.TRAINER, nonce=5, deadline_s=2**40, epoch=1
    )
    assert calls.invitation_signer(DOMAIN, given) == owner.address
    assert calls.join_by_invitation(given, 10**17).data()


@pytest.mark.parametrize(
    "change",
    [
        {"participant": CONTRACT},
        {"roles": Role.VALIDATOR},
        {"nonce": 6},
        {"deadline_s": 1},
        {"epoch": 2},
    ],
    ids=str,
)
def test_an_invitation_for_other_terms_shows_another_signer(change: dict[str, Any]) -> None:
    from dataclasses import replace

    owner = Account.create()
    terms = {"nonce": 5, "deadline_s": 2**40, "epoch": 1}
    given = calls.invitation(owner, DOMAIN, Account.create().address, Role.TRAINER, **terms)
    assert calls.invitation_signer(DOMAIN, replace(given, **change)) != owner.address


def test_a_broken_signature_is_wrong_usage() -> None:
    given = calls.Invitation(CONTRACT, Role.TRAINER, 1, 2, 3, b"\x01\x02")
    with pytest.raises(UsageError, match="signature"):
        calls.invitation_signer(DOMAIN, given)


def test_the_invitation_is_hashed_by_eip_712s_own_rules() -> None:
    """By hand, beside the library."""
    from eth_abi.abi import encode

    owner, guest = Account.create(), Account.create().address
    given = calls.invitation(
        owner, DOMAIN, guest, Role.TRAINER | Role.VALIDATOR, nonce=9, deadline_s=77, epoch=3
    )
    domain_type = (
        b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    )
    terms_type = (
        b"Invitation(address participant,uint8 roles,uint256 nonce,uint256 deadline,uint64 epoch)"
    )
    domain = keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address"],
            [keccak(domain_type), keccak(b"BAFL Federation"), keccak(b"1"), 31337, CONTRACT],
        )
    )
    terms = keccak(
        encode(
            ["bytes32", "address", "uint8", "uint256", "uint256", "uint64"],
            [keccak(terms_type), guest, 3, 9, 77, 3],
        )
    )
    digest = keccak(b"\x19\x01" + domain + terms)
    assert Account._recover_hash(digest, signature=given.signature) == owner.address


def test_a_stake_that_is_not_there_is_told_before_signing(
    connection: Connection, new_account: Callable[..., Any]
) -> None:
    with pytest.raises(InsufficientFunds, match="join may cost"):
        Sender(connection, new_account(0), CONTRACT).sign(calls.join(Role.TRAINER, 10**17))
