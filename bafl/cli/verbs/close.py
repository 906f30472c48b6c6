"""`bafl close`: end a federation (owner)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bafl.cli.app import Verb
from bafl.cli.options import session_options
from bafl.errors import UsageError

if TYPE_CHECKING:
    from bafl.cli.session import Session


@click.command("close", cls=Verb, example="bafl close --yes --config devnet/owner.toml")
@click.option("--yes", is_flag=True, help="Do not ask; it cannot be undone.")
@session_options
def command(session: Session, yes: bool) -> None:
    """End a federation for good (owner).

    It takes no more submissions; windows in flight finish and pay, and everybody can claim and
    leave. Called again when none is in flight, it sends the rest of the pool to the treasury, and
    slashed money to the sink.
    """
    from bafl.chain import calls

    out = session.output
    head = session.federation.head()
    if not head.closed:
        if not yes:
            if out.as_json:
                raise UsageError("closing cannot be undone: add --yes")
            click.confirm(f"Close {session.federation.address} for good?", abort=True, err=True)
        session.send(calls.close(), "closing")
        out.line("Closed: no more submissions, for good.")
        head = session.federation.head()
    if head.slashed_wei:
        session.send(calls.sweep_slashed(), "sending slashed money to the sink")
        out.line(f"Slashed money, {session.money(head.slashed_wei)}, went to the sink.")
    in_flight = (
        head.judging_window < head.open_window
        or session.federation.window(head.open_window).updates > 0
    )
    if in_flight:
        out.line(
            f"Windows from {head.judging_window} on are in flight; run it again when they have "
            "ended to send the rest of the pool to the treasury."
        )
    elif head.pool_wei:
        session.send(calls.sweep_pool(), "sending the pool to the treasury")
        out.line(
            f"The rest of the pool, {session.money(head.pool_wei)}, went to the treasury "
            f"{out.address(session.federation.parameters.treasury)}."
        )
    out.emit(
        {
            "closed": True,
            "inFlight": in_flight,
            "sweptPoolWei": str(0 if in_flight else head.pool_wei),
            "sweptSlashedWei": str(head.slashed_wei),
        }
    )
