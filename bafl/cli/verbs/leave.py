"""`bafl leave`: end all duties, and later take the stake back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bafl import units
from bafl.cli.app import Verb
from bafl.cli.options import session_options
from bafl.errors import RefusedError

if TYPE_CHECKING:
    from bafl.cli.session import Session


@click.command("leave", cls=Verb, example="bafl leave --config node.toml")
@session_options
def command(session: Session) -> None:
    """End all duties, and later take the stake back.

    The first call requests the exit and says when the stake is free; called again after that, it
    pays the stake out. Rewards are not touched: see `bafl claim`.
    """
    from bafl.chain import calls

    out = session.output
    participant = session.federation.participant(session.account.address)
    if not participant.roles:
        raise RefusedError(
            f"{session.account.address} is not a participant of {session.federation.address}; "
            "nothing to leave"
        )
    if not participant.exit_at_s:
        session.send(calls.request_exit(), "requesting the exit")
        participant = session.federation.participant(session.account.address)
        until = participant.withdrawable_at_s
        out.line(
            "Exit requested: no more submissions from now, no more judging from the next window on."
        )
        out.line(
            f"The stake of {session.money(participant.stake_wei)} is free "
            f"{units.format_when(until, session.now())} at the earliest: "
            "then run `bafl leave` again."
        )
        out.emit(
            {
                "left": False,
                "stakeWei": str(participant.stake_wei),
                "withdrawableAt": units.format_utc(until),
            }
        )
        return
    receipt = session.send(calls.withdraw(), "withdrawing the stake")
    out.line(
        f"Left; {session.money(participant.stake_wei)} of stake paid out "
        f"(fee {units.format_money(receipt.fee_wei)})."
    )
    out.emit({"left": True, "stakeWei": str(participant.stake_wei), "withdrawableAt": None})
