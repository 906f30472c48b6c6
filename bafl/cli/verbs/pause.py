"""`bafl pause`: take no new submissions for a while (owner)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bafl.cli.app import Verb
from bafl.cli.options import session_options

if TYPE_CHECKING:
    from bafl.cli.session import Session


@click.command("pause", cls=Verb, example="bafl pause --config devnet/owner.toml")
@click.option("--resume", is_flag=True, help="Take submissions again.")
@session_options
def command(session: Session, resume: bool) -> None:
    """Take no new submissions until resumed (owner).

    Windows in flight finish and pay."""
    from bafl.chain import calls

    paused = session.federation.head().paused
    if paused != (not resume):
        session.send(calls.unpause() if resume else calls.pause(), "sending")
    session.output.line(
        "Submissions are taken." if resume else "Paused: no new submissions; `--resume` ends it."
    )
    session.output.emit({"paused": not resume})
