"""`bafl fund`: add to the reward pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bafl.cli.app import Verb
from bafl.cli.options import amount as amount_type
from bafl.cli.options import session_options

if TYPE_CHECKING:
    from bafl.cli.session import Session
    from bafl.units import Amount


@click.command("fund", cls=Verb, example='bafl fund "2 ether" --config devnet/owner.toml')
@click.argument("amount", type=amount_type, metavar="AMOUNT")
@session_options
def command(session: Session, amount: Amount) -> None:
    """Add an amount to the reward pool; anyone may."""
    from bafl.chain import calls

    added = session.amount(amount, "AMOUNT")
    session.pay(calls.fund(added), "funding the pool")
    pool = session.federation.head().pool_wei
    session.output.line(f"Added {session.money(added)}; the pool now has {session.money(pool)}.")
    session.output.emit({"addedWei": str(added), "poolWei": str(pool)})
