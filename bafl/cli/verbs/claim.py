"""`bafl claim`: take the rewards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bafl import units
from bafl.cli.app import Verb
from bafl.cli.options import session_options

if TYPE_CHECKING:
    from bafl.cli.session import Session


@click.command("claim", cls=Verb, example="bafl claim --config node.toml")
@session_options
def command(session: Session) -> None:
    """Take the rewards earned by training and judging."""
    from bafl.chain import calls

    credit = session.federation.participant(session.account.address).credit_wei
    receipt = session.send(calls.claim(), "claiming")
    session.output.line(
        f"Claimed {session.money(credit)} (fee {units.format_money(receipt.fee_wei)})."
    )
    session.output.emit(
        {
            "claimedWei": str(credit),
            "feeWei": str(receipt.fee_wei),
            "transaction": "0x" + receipt.hash.hex(),
        }
    )
