"""What is known of a federation at one moment, made ready for `status`, `watch` and scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bafl.explain import Explanation, case_of, explain, phase_of
from bafl.types import (
    NO_SEAT,
    PPM,
    START_REPUTATION,
    Phase,
    Role,
    UpdateRecord,
    View,
    Window,
    encoding_name,
)

if TYPE_CHECKING:
    from bafl.chain.federation import Federation
    from bafl.chain.history import History
    from bafl.types import Parameters


@dataclass(frozen=True, slots=True)
class Judged:
    """An update, and what became of it."""

    record: UpdateRecord
    explanation: Explanation
    consensus_bps: int | None
    share_ppm: int | None
    reward_wei: int | None
    version: int | None


@dataclass(frozen=True, slots=True)
class Point:
    """A version on the learning curve. metric: attested, in the manifest's unit; None if nobody
    attested it."""

    version: int
    window: int
    metric: float | None


@dataclass(frozen=True, slots=True)
class Person:
    """A participant's row. Reputations in ppm. used, refused: of its updates, so far."""

    address: str
    roles: Role
    seat: int | None
    asleep: bool
    leaving: bool
    stake_wei: int
    slashed_wei: int
    earned_wei: int
    trainer_reputation: int
    validator_reputation: int
    submitted: int
    used: int
    refused: int
    jailed_until_s: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A federation at one moment."""

    view: View
    parameters: Parameters
    curve: tuple[Point, ...]
    windows: tuple[Window, ...]
    people: tuple[Person, ...]


def picture(
    view: View, parameters: Parameters, history: History, waiting: Sequence[Window]
) -> Picture:
    """Gather what `watch` shows. waiting: the windows from the judged to the open one."""
    return Picture(
        view=view,
        parameters=parameters,
        curve=tuple(curve(history)),
        windows=tuple(waiting),
        people=tuple(person(history, address) for address in history.participants),
    )


def curve(history: History) -> list[Point]:
    """Return the learning curve: the weighted lower median of what was attested of each version."""
    points = []
    for version in history.versions[1:]:
        turn = history.turn(version.window)
        weights = dict(zip(turn.validators, turn.weights, strict=True)) if turn else {}
        values = sorted(
            (attested.metric, weights.get(attested.validator, 0))
            for attested in history.attestations(version.window)
            if attested.digest == version.root.digest
        )
        points.append(Point(version.version, version.window, _median(values)))
    return points


def _median(values: Sequence[tuple[int, int]]) -> float | None:
    whole, so_far = sum(weight for _, weight in values), 0
    for value, weight in values:
        so_far += weight
        if 2 * so_far >= whole:
            return value / 1e6
    return None


def person(history: History, address: str) -> Person:
    """Return a participant's row."""
    member = history.participants[address]
    reputation = history.reputations.get(address)
    mine = history.updates_by(address)
    verdicts = [
        tallied.verdicts[record.index]
        for record in mine
        if (tallied := history.tallied(record.window)) is not None
    ]
    used = sum(verdict.used for verdict in verdicts)
    return Person(
        address=address,
        roles=member.roles,
        seat=member.seat,
        asleep=member.asleep,
        leaving=member.left or member.exit_s is not None,
        stake_wei=member.stake_wei,
        slashed_wei=sum(s.amount_wei for s in history.slashes if s.participant == address),
        earned_wei=sum(reward.wei for reward in history.rewards(address)),
        trainer_reputation=reputation.trainer if reputation else START_REPUTATION,
        validator_reputation=reputation.validator if reputation else START_REPUTATION,
        submitted=len(mine),
        used=used,
        refused=len(verdicts) - used,
        jailed_until_s=max(
            (j.until_s for j in history.jailings if j.participant == address), default=0
        ),
    )


def judged(history: History, record: UpdateRecord, federation: Federation, view: View) -> Judged:
    """Return what became of an update. view: tells the phase of the window being judged."""
    phase = phase_of(history, record.window)
    for window in (view.judging, view.open):
        if window.id == record.window and window.phase != Phase.NONE:
            phase = window.phase
    floor_bps = federation.parameters.reject_below_bps
    case = case_of(history, record, floor_bps, phase, federation.currency)
    tallied = case.tallied
    return Judged(
        record=record,
        explanation=explain(case),
        consensus_bps=tallied.consensus_bps[record.index] if tallied else None,
        share_ppm=tallied.shares_ppm[record.index] if tallied else None,
        reward_wei=case.reward_wei,
        version=case.version,
    )


def recent(history: History, count: int) -> list[UpdateRecord]:
    """Return the latest updates that have a verdict, newest first."""
    found: list[UpdateRecord] = []
    for window in reversed(history.windows):
        if len(found) >= count:
            break
        if history.tallied(window) is not None:
            found += reversed(history.updates(window))
    return found[:count]


# --- for scripts ---


def judged_json(item: Judged, cid: str) -> Mapping[str, Any]:
    """Return an update's row for a script; amounts as decimal strings."""
    record = item.record
    return {
        "update": record.id,
        "window": record.window,
        "index": record.index,
        "participant": record.participant,
        "baseVersion": record.base_version,
        "cid": cid,
        "encoding": encoding_name(record.encoding),
        "samples": record.samples,
        "block": record.block,
        "verdict": item.explanation.verdict,
        "why": item.explanation.why,
        "consensusBps": item.consensus_bps,
        "sharePpm": item.share_ppm,
        "rewardWei": None if item.reward_wei is None else str(item.reward_wei),
        "version": item.version,
    }


def person_json(person: Person) -> Mapping[str, Any]:
    """Return a participant's row for a script."""
    from bafl.units import format_utc

    return {
        "address": person.address,
        "roles": [role.name.lower() for role in person.roles if role.name],
        "seat": person.seat,
        "asleep": person.asleep,
        "leaving": person.leaving,
        "stakeWei": str(person.stake_wei),
        "slashedWei": str(person.slashed_wei),
        "earnedWei": str(person.earned_wei),
        "trainerReputation": person.trainer_reputation / PPM,
        "validatorReputation": person.validator_reputation / PPM,
        "submitted": person.submitted,
        "used": person.used,
        "refused": person.refused,
        "jailedUntil": format_utc(person.jailed_until_s) if person.jailed_until_s else None,
    }


def window_json(window: Window) -> Mapping[str, Any]:
    """Return a window's row for a script."""
    from bafl.units import format_utc

    return {
        "window": window.id,
        "phase": window.phase.name.lower(),
        "updates": window.updates,
        "deadline": format_utc(window.deadline_s) if window.deadline_s else None,
        "baseVersion": window.base_version,
        "committed": window.committed.bit_count(),
        "revealed": window.revealed.bit_count(),
        "attested": window.attested.bit_count(),
        "active": window.active.bit_count(),
    }


def seat_of(seat: int) -> int | None:
    """Return a seat, or None for none."""
    return None if seat == NO_SEAT else seat
