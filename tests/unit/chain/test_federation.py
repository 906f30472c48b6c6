"""What no federation says is refused, whatever the RPC claims."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bafl.chain.federation import check_head, check_participant, check_view, check_window
from bafl.errors import ChainError
from bafl.types import NO_SEAT, Duties, Head, Participant, Phase, Role, View, Window

HEAD = Head(
    version=3,
    open_window=6,
    judging_window=4,
    trainers=5,
    seats=0b1111,
    effective_size=3,
    paused=False,
    closed=False,
    last_final_sealed_at_s=0,
    pool_wei=0,
    stakes_wei=0,
    credits_wei=0,
    slashed_wei=0,
)
WINDOW = Window(
    id=4,
    phase=Phase.REVEAL,
    updates=3,
    opened_at_s=1,
    sealed_at_s=2,
    deadline_s=3,
    tag=5,
    base_version=3,
    active=0b1111,
    committed=0b1011,
    revealed=0b0001,
    attested=0,
)
PARTICIPANT = Participant(
    roles=Role.TRAINER,
    stake_wei=1,
    credit_wei=0,
    exit_at_s=0,
    withdrawable_at_s=0,
    trainer_reputation=300_000,
    validator_reputation=300_000,
    trainer_jailed_until_s=0,
    validator_jailed_until_s=0,
    rejections=0,
    missed=0,
    asleep=False,
    seat=NO_SEAT,
    pending_windows=(0, 4),
    pending_indices=(0, 2),
    pending_bases=(0, 3),
    pending_samples=(0, 9),
    profile=bytes(32),
)
DUTIES = Duties(
    can_submit=False,
    submit_refusal=bytes(4),
    can_seal=False,
    can_commit=False,
    commits_last=False,
    can_reveal=False,
    reveals_last=False,
    can_tally=False,
    can_attest=False,
    can_settle=False,
    can_discard=False,
    can_wake=False,
    can_take_seat=False,
    can_withdraw=False,
    claimable_wei=0,
    act_by_s=0,
)
VIEW = View(
    block=1,
    block_time_s=1,
    head=HEAD,
    model_digest=bytes(32),
    judging=WINDOW,
    open=replace(WINDOW, id=6, phase=Phase.OPEN, active=0, committed=0, revealed=0),
    participant=PARTICIPANT,
    duties=DUTIES,
    commitment=bytes(32),
)


def test_what_a_federation_says_passes() -> None:
    assert check_view(VIEW) is VIEW


@pytest.mark.parametrize(
    "change",
    [
        {"judging_window": 0},
        {"judging_window": 7},
        {"version": 5},
        {"effective_size": 17},
    ],
    ids=str,
)
def test_a_head_that_cannot_be(change: dict[str, Any]) -> None:
    with pytest.raises(ChainError):
        check_head(replace(HEAD, **change))
    with pytest.raises(ChainError):
        check_view(replace(VIEW, head=replace(HEAD, **change)))


def test_a_version_is_final_before_its_window_is_settled() -> None:
    check_head(replace(HEAD, version=4))


@pytest.mark.parametrize(
    "change",
    [
        {"updates": 17},
        {"committed": 0b10000},
        {"revealed": 1 << 31},
        {"attested": 0b10000},
    ],
    ids=str,
)
def test_a_window_that_cannot_be(change: dict[str, Any]) -> None:
    with pytest.raises(ChainError):
        check_window(replace(WINDOW, **change))
    with pytest.raises(ChainError):
        check_view(replace(VIEW, judging=replace(WINDOW, **change)))


@pytest.mark.parametrize(
    "change",
    [
        {"seat": 32},
        {"trainer_reputation": 1_000_001},
        {"validator_reputation": 2**32 - 1},
        {"pending_indices": (0, 16)},
    ],
    ids=str,
)
def test_a_participant_that_cannot_be(change: dict[str, Any]) -> None:
    with pytest.raises(ChainError):
        check_participant(replace(PARTICIPANT, **change))
    with pytest.raises(ChainError):
        check_view(replace(VIEW, participant=replace(PARTICIPANT, **change)))


@pytest.mark.parametrize("window", ["judging", "open"])
def test_windows_other_than_the_heads(window: str) -> None:
    with pytest.raises(ChainError, match="where the head names 4 and 6"):
        check_view(replace(VIEW, **{window: replace(getattr(VIEW, window), id=5)}))
