"""`bafl status`: what a federation is, and how a participant stands in it, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from bafl import units
from bafl.cli.app import Verb
from bafl.cli.options import session_options
from bafl.cli.output import currency_json
from bafl.types import NO_SEAT, PPM, Phase, Role

if TYPE_CHECKING:
    from bafl.chain.fold import History
    from bafl.chain.records import Slash
    from bafl.cli.picture import Judged, Picture
    from bafl.cli.session import Session
    from bafl.types import Parameters, Participant, View, Window

LATEST = 10


@click.command("status", cls=Verb, example="bafl status --config node.toml")
@click.option("--account", metavar="ADDRESS", help="Whose standing; the key's own by default.")
@click.option("--all", "everything", is_flag=True, help=f"All updates, not the latest {LATEST}.")
@session_options
def command(session: Session, account: str | None, everything: bool) -> None:
    """Show a federation and a participant's standing, and why.

    Each of the participant's updates is listed with what it got and the reason. Needs no key with
    --account, or to look at the federation alone.
    """
    from bafl.cli.picture import judged, picture

    out, federation = session.output, session.federation
    address = session.account_or(account)
    view = federation.view(address or federation.address)
    history = session.read_history()
    now = session.now()
    seen = picture(view, federation.parameters, history, session.waiting(view))
    _federation(session, seen, now)
    result: dict[str, Any] = {"federation": federation_json(session, seen)}
    if address is not None:
        records = history.updates_by(address)
        shown = records if everything else records[-LATEST:]
        items = [judged(history, record, federation, view) for record in reversed(shown)]
        _standing(session, address, view, history, now)
        _updates(session, items, len(records))
        result["participant"] = _standing_json(address, view, history, items)
    out.emit(result)


def _federation(session: Session, seen: Picture, now: float) -> None:
    out, federation = session.output, session.federation
    head, parameters = seen.view.head, federation.parameters
    roles = [person.roles for person in seen.people if not person.leaving]
    manifest = session.manifest_or_none
    metric = manifest.metric.name if manifest else "metric"
    last = next((p for p in reversed(seen.curve) if p.metric is not None), None)
    state = " (closed)" if head.closed else " (paused)" if head.paused else ""
    out.line(f"Federation {federation.address} on chain {federation.chain_id}{state}")
    version = f"{head.version}"
    if last is not None and last.metric is not None:
        version += f", {metric} {last.metric:.4g}"
    sealed = units.format_when(head.last_final_sealed_at_s, now)
    version += f", from updates sealed {sealed}" if head.version else ", the genesis model"
    seated = sum(person.seat is not None for person in seen.people if not person.leaving)
    people = f"{_counted(head.trainers, 'trainer')}, {_counted(seated, 'validator')} seated"
    money, hourly = session.money, parameters.reward_rate_wei * 3600
    # A rate was rounded down to wei a second: 1 ether an hour should read as such.
    rate = money(round(hourly, -5) if federation.currency.is_native else hourly)
    rows = [
        ("task", manifest.task if manifest else f"unknown: {session.no_manifest}"),
        ("version", version),
        *(("window", window_line(window, head.effective_size, now)) for window in seen.windows),
        ("people", f"{people} ({parameters.min_validators} needed), {len(roles)} in all"),
        ("pool", f"{money(head.pool_wei)}, paying up to {rate} an hour"),
        ("stakes", money(head.stakes_wei)),
        *([] if federation.currency.is_native else [("currency", _currency(session))]),
        ("joining", _joining(session, parameters)),
        ("owner", out.address(federation.owner)),
    ]
    _rows(session, rows)


def _rows(session: Session, rows: Sequence[tuple[str, str]]) -> None:
    for name, text in rows:
        session.output.line(f"  {name:<12}{text}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _currency(session: Session) -> str:
    currency = session.federation.currency
    return f"{currency.symbol}, the token {session.output.address(currency.address)}"


def _joining(session: Session, parameters: Parameters) -> str:
    how = "open to anyone" if parameters.open else "by invitation"
    return f"{how}, with at least {session.money(parameters.min_stake_wei)} at stake"


def window_line(window: Window, size: int, now: float) -> str:
    """Return a window in a line: "9 commit: 5 updates, 2 of 4 committed, ends in 12 s"."""
    text = f"{window.id} {window.phase.name.lower()}"
    if window.phase == Phase.OPEN:
        text += f": {window.updates} of {size} updates"
        ends = "seals"
    else:
        text += f": {window.updates} updates"
        ends = "ends"
    acted = {
        Phase.COMMIT: (window.committed, "committed"),
        Phase.REVEAL: (window.revealed, "revealed"),
        Phase.ATTEST: (window.attested, "attested"),
    }.get(window.phase)
    if acted:
        text += f", {acted[0].bit_count()} of {window.active.bit_count()} {acted[1]}"
    if window.deadline_s:
        text += f", {ends} {units.format_when(window.deadline_s, now)}"
    return text


def _standing(session: Session, address: str, view: View, history: History, now: float) -> None:
    out, participant = session.output, view.participant
    out.line()
    out.line(f"Participant {address}")
    if not participant.roles:
        former = "left the federation" if address in history.participants else "never joined"
        out.line(f"  {former}; to claim: {session.money(participant.credit_wei)}")
        return
    earned = session.money(sum(reward.wei for reward in history.rewards(address)))
    reputation = (
        f"trainer {participant.trainer_reputation / PPM:.2f}, "
        f"validator {participant.validator_reputation / PPM:.2f}"
    )
    mine = [slash for slash in history.slashes if slash.participant == address]
    lost = sum(slash.amount_wei for slash in mine)
    rows = [
        ("roles", " and ".join(_roles(participant.roles)) + _seat(participant)),
        ("stake", _stake(session, participant, lost, now)),
        ("rewards", f"{session.money(participant.credit_wei)} to claim, {earned} earned"),
        ("reputation", reputation + _jailed(participant, now)),
        ("can submit", _can_submit(view)),
    ]
    if participant.asleep:
        rows.append(("asleep", "missed two windows in a row; a running node wakes it"))
    rows += [("slashed", _slashed(session, slash)) for slash in mine]
    _rows(session, rows)


def _slashed(session: Session, slash: Slash) -> str:
    from bafl.explain import FAULTS

    amount = session.money(slash.amount_wei)
    return f"{amount} in window {slash.window}: {FAULTS[slash.fault]}"


def _roles(roles: Role) -> list[str]:
    return [role.name.lower() for role in roles if role.name]


def _seat(participant: Participant) -> str:
    if Role.VALIDATOR not in participant.roles:
        return ""
    return ", without a seat" if participant.seat == NO_SEAT else f", seat {participant.seat}"


def _stake(session: Session, participant: Participant, lost: int, now: float) -> str:
    text = session.money(participant.stake_wei)
    if lost:
        text += f" (slashed: {session.money(lost)})"
    if participant.withdrawable_at_s:
        text += f", leaving; free {units.format_when(participant.withdrawable_at_s, now)}"
    return text


def _jailed(participant: Participant, now: float) -> str:
    parts = [
        f"; jailed as {role}, free {units.format_when(until, now)}"
        for role, until in (
            ("trainer", participant.trainer_jailed_until_s),
            ("validator", participant.validator_jailed_until_s),
        )
        if until > now
    ]
    if participant.rejections:
        parts.append(f"; {participant.rejections} of its last 8 verdicts are rejections")
    return "".join(parts)


def _can_submit(view: View) -> str:
    from bafl.chain.errors import refusal_named

    if view.duties.can_submit:
        return "yes, on the latest version"
    name = refusal_named(view.duties.submit_refusal)
    if name == "NotTrainer" and view.participant.exit_at_s:
        return "no: leaving"
    return f"no: {_NOT_NOW.get(name, name or 'not on the latest version')}"


_NOT_NOW = {
    "AlreadyInWindow": "has an update in the open window: wait for the next one",
    "BaseNotNewer": "already has an update on the latest version: wait for the next one",
    "IsClosed": "the federation is closed",
    "IsPaused": "the owner has paused submissions",
    "JailedUntil": "jailed as trainer",
    "NotTrainer": "not a trainer",
    "QueueFull": "all windows are waiting to be judged: wait for one to end",
    "StakeBelowMinimum": "the stake is below the minimum: `bafl join --top-up AMOUNT`",
    "TooManyPending": "two updates wait to be judged: wait for one",
}


def _updates(session: Session, items: Sequence[Judged], total: int) -> None:
    out = session.output
    if not items:
        out.line("  no updates yet")
        return
    out.line()
    out.table(
        ("update", "base", "verdict", "consensus", "share", "reward", "why"),
        [update_row(item, session.money) for item in items],
        title=f"Updates ({len(items)} of {total}, newest first)",
        right=("consensus", "share", "reward"),
    )


def update_row(item: Judged, money: Callable[[int], str]) -> tuple[str, ...]:
    """Return an update's cells. money: writes an amount."""
    from bafl.types import NO_CONSENSUS

    scored = item.consensus_bps is not None and item.consensus_bps > NO_CONSENSUS + 1
    return (
        f"{item.record.window}/{item.record.index}",
        f"v{item.record.base_version}",
        item.explanation.verdict,
        units.signed(item.consensus_bps) if scored and item.consensus_bps is not None else "",
        units.format_ppm(item.share_ppm) if item.share_ppm else "",
        money(item.reward_wei) if item.reward_wei else "",
        item.explanation.why,
    )


def federation_json(session: Session, seen: Picture) -> Mapping[str, Any]:
    """Return a federation for a script."""
    from bafl.cli.picture import person_json, window_json

    federation, head = session.federation, seen.view.head
    manifest = session.manifest_or_none
    return {
        "address": federation.address,
        "chainId": federation.chain_id,
        "owner": federation.owner,
        "task": manifest.task if manifest else None,
        "metric": manifest.metric.name if manifest else None,
        "block": seen.view.block,
        "time": units.format_utc(seen.view.block_time_s),
        "version": head.version,
        "paused": head.paused,
        "closed": head.closed,
        "currency": currency_json(federation.currency),
        "poolWei": str(head.pool_wei),
        "stakesWei": str(head.stakes_wei),
        "windows": [window_json(window) for window in seen.windows],
        "versions": [
            {"version": point.version, "window": point.window, "metric": point.metric}
            for point in seen.curve
        ],
        "participants": [person_json(person) for person in seen.people],
    }


def _standing_json(
    address: str, view: View, history: History, items: Sequence[Judged]
) -> Mapping[str, Any]:
    from bafl.chain.errors import refusal_named
    from bafl.cli.picture import judged_json, seat_of
    from bafl.store.cid import cid

    participant = view.participant

    def when(at_s: int) -> str | None:
        return units.format_utc(at_s) if at_s else None

    return {
        "address": address,
        "roles": _roles(participant.roles),
        "seat": seat_of(participant.seat),
        "stakeWei": str(participant.stake_wei),
        "creditWei": str(participant.credit_wei),
        "earnedWei": str(sum(reward.wei for reward in history.rewards(address))),
        "trainerReputation": participant.trainer_reputation / PPM,
        "validatorReputation": participant.validator_reputation / PPM,
        "trainerJailedUntil": when(participant.trainer_jailed_until_s),
        "validatorJailedUntil": when(participant.validator_jailed_until_s),
        "withdrawableAt": when(participant.withdrawable_at_s),
        "asleep": participant.asleep,
        "canSubmit": view.duties.can_submit,
        "submitRefusal": refusal_named(view.duties.submit_refusal) or None,
        "slashes": [
            {
                "window": slash.window,
                "fault": slash.fault.name.lower(),
                "amountWei": str(slash.amount_wei),
            }
            for slash in history.slashes
            if slash.participant == address
        ],
        "updates": [judged_json(item, cid(item.record.root)) for item in items],
    }
