"""`bafl join`: become a participant, with stake."""

from __future__ import annotations

import hashlib
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bafl import strictjson, units
from bafl.cli import invitations
from bafl.cli.app import Verb
from bafl.cli.options import amount as amount_type
from bafl.cli.options import session_options, task_option
from bafl.errors import RefusedError
from bafl.types import NO_SEAT, Role

if TYPE_CHECKING:
    from bafl.cli.session import Session
    from bafl.types import Participant
    from bafl.units import Amount


@click.command("join", cls=Verb, example="bafl join --config node.toml")
@click.option(
    "--invitation",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The owner's invitation, where the federation is not open.",
)
@click.option(
    "--stake",
    type=amount_type,
    metavar="AMOUNT",
    help="Put at stake; the federation's minimum by default.",
)
@click.option(
    "--top-up",
    type=amount_type,
    metavar="AMOUNT",
    help="Already a participant: add this to the stake.",
)
@task_option
@session_options
def command(
    session: Session,
    invitation: Path | None,
    stake: Amount | None,
    top_up: Amount | None,
    task: dict[str, Any],
) -> None:
    """Become a participant, with a stake.

    Before anything is paid, the task is opened as `bafl run` does it: what could not run does not
    join. The stake comes back after leaving and the unbonding period, less what faults have cost.
    Joining twice does nothing the second time.
    """
    from bafl.chain import calls
    from bafl.chain.currency import rehearse

    out, federation = session.output, session.federation
    address = session.account.address
    settings = session.settings
    before = federation.participant(address)
    if top_up is not None:
        session.pay(calls.top_up(session.amount(top_up, "--top-up")), "adding to the stake")
        _tell(session, "Added to the stake", federation.participant(address))
        return
    if before.roles:
        if before.roles != settings.roles:
            raise RefusedError(
                f"{address} is a participant already, as {_words(before.roles)}; to become "
                f"{_words(settings.roles)} leave first (`bafl leave`)"
            )
        if before.exit_at_s:
            free = units.format_when(before.withdrawable_at_s, session.now())
            raise RefusedError(
                f"{address} is leaving, and its stake is free {free}: take it then with "
                f"`{session.again('leave')}`, and join again after that"
            )
        _tell(session, "A participant already", before)
        out.line(f"To add to its stake: {session.again('join --top-up AMOUNT')}")
        return
    amount = federation.parameters.min_stake_wei
    if stake is not None:
        amount = session.amount(stake, "--stake")
    elif settings.stake is not None:
        amount = session.amount(settings.stake, "stake")
    least, exact = federation.parameters.min_stake_wei, federation.currency.exact
    if amount < least:
        raise RefusedError(
            f"a stake of {exact(amount)} is below the minimum of {exact(least)}; "
            f'give --stake "{exact(least)}" or more'
        )
    profile, profile_bytes = _profile(settings.name)
    if invitation is None:
        call = calls.join(settings.roles, amount, profile)
    else:
        leave = invitations.read(invitation, federation.chain_id, federation.address, address)
        call = calls.join_by_invitation(leave, amount, profile)
    rehearse(federation, address, call)
    _require_able(session, task)
    if profile_bytes:
        _put(session, profile_bytes)
    session.pay(call, f"joining with {session.money(amount)}")
    _tell(session, "Joined", federation.participant(address))
    settings_given = "".join(f" --task {shlex.quote(f'{k}={v}')}" for k, v in task.items())
    out.line(f"Now run the node: {session.again('run')}{settings_given}")


def _require_able(session: Session, given: dict[str, Any]) -> None:
    """Raise what `bafl run` would, as far as it can be known before there is a stake."""
    from bafl.codec.update import encoding_for
    from bafl.work import model_for

    _ = session.home, session.own_store
    encoding_for(session.manifest, session.settings.run.encoding)
    model_for(session.open_task(**given), session.manifest)


def _profile(name: str) -> tuple[bytes, bytes]:
    """Digest and bytes of the public profile; nothing where there is no name."""
    if not name:
        return bytes(32), b""
    data = strictjson.dump({"format": 1, "name": name})
    return hashlib.sha256(data).digest(), data


def _put(session: Session, data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="bafl-") as folder:
        path = Path(folder) / "profile"
        path.write_bytes(data)
        session.own_store.put(path)


def _words(roles: Role) -> str:
    return " and ".join(role.name.lower() for role in roles if role.name)


def _tell(session: Session, done: str, participant: Participant) -> None:
    from bafl.cli.picture import seat_of

    out = session.output
    seat = "no seat yet" if participant.seat == NO_SEAT else f"seat {participant.seat}"
    seated = f", {seat}" if Role.VALIDATOR in participant.roles else ""
    out.line(
        f"{done}: {out.address(session.account.address)} is {_words(participant.roles)} with "
        f"{session.money(participant.stake_wei)} at stake{seated}."
    )
    out.emit(
        {
            "participant": session.account.address,
            "roles": [role.name.lower() for role in participant.roles if role.name],
            "stakeWei": str(participant.stake_wei),
            "seat": seat_of(participant.seat),
        }
    )
