"""What a node sees of a federation, made by hand."""

from __future__ import annotations

from bafl.types import NO_SEAT, Duties, Head, Participant, Phase, Role, View, Window

IDLE = Duties(
    can_submit=False,
    submit_refusal=b"",
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


def window(id_: int, phase: Phase, tag: int = 0, updates: int = 0) -> Window:
    return Window(id_, phase, updates, 0, 0, 0, tag, 0, 1, 0, 0, 0)


def view(
    duties: Duties = IDLE,
    judging: Window | None = None,
    open_: Window | None = None,
    version: int = 0,
) -> View:
    opened = open_ or window(1, Phase.NONE)
    return View(
        block=1,
        block_time_s=1,
        head=Head(version, opened.id, (judging or opened).id, 4, 15, 3, *(False, False), *[0] * 5),
        model_digest=bytes(32),
        judging=judging or opened,
        open=opened,
        participant=Participant(
            Role.TRAINER | Role.VALIDATOR, 1, 0, 0, 0, 300_000, 300_000, 0, 0, 0, 0, False,
            NO_SEAT, (0, 0), (0, 0), (0, 0), (0, 0), bytes(32),
        ),
        duties=duties,
        commitment=bytes(32),
    )  # fmt: skip
