"""`bafl new`: create a federation."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bafl import units
from bafl.cli.app import Verb
from bafl.cli.options import session_options
from bafl.cli.output import currency_json
from bafl.errors import BaflError, SettingsError

if TYPE_CHECKING:
    from bafl.chain.deploy import Support
    from bafl.cli.session import Session
    from bafl.founding import Founded


@click.command("new", cls=Verb, example="bafl new federation.toml --config devnet/owner.toml")
@click.argument("file", type=click.Path(path_type=Path), metavar="FEDERATION.TOML")
@session_options
def command(session: Session, file: Path) -> None:
    """Create a federation from a TOML file.

    The account becomes its owner. The task's seeded model becomes version 0. Model and manifest go
    into the store, then the contract is deployed; the contract's own constructor checks the
    parameters before anything is paid. The same account, name and settings always give the same
    address.
    """
    from bafl.settings import FederationSettings

    out = session.output
    settings = FederationSettings.load(file)
    sender = session.sender_to(None)
    store = session.own_store
    with out.working("loading the task"):
        from bafl import founding

        task = founding.open_founding_task(settings)
        drafted = founding.draft(settings, task)
    balance = session.connection.balance(sender.address)
    with out.working("founding"):
        try:
            founding.require_funds(settings, drafted, sender, lambda: _known_support(session))
            founded = founding.found(settings, drafted, sender, store, lambda: _support(session))
        except SettingsError as error:
            raise SettingsError(f"{file.name}: {error}") from None
    fund, currency = _fund(session, founded, settings.name), founded.currency
    spent = balance - session.connection.balance(sender.address)
    of_which = "of which " if currency.is_native else "and "
    done = "Founded before:" if founded.existed else "Founded"
    out.line(f'{done} "{settings.name}" at {founded.address} (block {founded.block}).')
    out.line(
        f"  {drafted.manifest.parameters:,} parameters, {founded.manifest.metric.name}; manifest "
        f"{founded.manifest_cid}; cost {units.format_money(spent)}"
        + (f", {of_which}{currency.format(fund)} fund the pool" if fund else "")
    )
    out.line("Those who join put into their node file:")
    out.line(f'  federation = "{founded.address}"')
    out.line(f"  chain_id = {session.connection.chain_id}")
    out.emit(
        {
            "federation": founded.address,
            "chainId": session.connection.chain_id,
            "block": founded.block,
            "owner": sender.address,
            "manifest": founded.manifest_cid,
            "genesis": founded.manifest.genesis,
            "parameters": drafted.manifest.parameters,
            "spentWei": str(spent),
            "fundWei": str(fund),
            "currency": currency_json(currency),
            "existed": founded.existed,
            "support": asdict(founded.support),
        }
    )


def _fund(session: Session, founded: Founded, name: str) -> int:
    """Put into the pool what the settings want there, unless it was funded before; the amount."""
    from bafl.chain import calls
    from bafl.chain.currency import pay
    from bafl.chain.federation import Federation
    from bafl.chain.history import HistoryFile

    if not founded.fund:
        return 0
    federation = Federation(session.connection, founded.address)
    if founded.existed:
        head = federation.head()
        history = HistoryFile(federation, start_block=founded.block)
        if head.closed or head.pool_wei or head.credits_wei or history.sync().funded_wei:
            return 0
    sender = session.sender_to(founded.address)
    try:
        pay(federation, sender, calls.fund(founded.fund), session.output.line)
    except (BaflError, KeyboardInterrupt):
        click.echo(
            f'"{name}" is at {founded.address}, and its pool has no '
            f"{founded.currency.exact(founded.fund)} yet: run `bafl new` again to add them.",
            err=True,
        )
        raise
    return founded.fund


def _known_support(session: Session) -> Support | None:
    """Return the shared contracts this account deployed on this chain before, if it did."""
    from bafl.chain.deploy import Support, is_current

    with contextlib.suppress(OSError, ValueError, TypeError):
        known = Support(**json.loads(_support_file(session).read_text("utf-8")))
        # A chain that was begun anew has nothing there, and an older BAFL deployed other code:
        # deploying again costs gas only.
        if is_current(session.connection, known):
            return known
    return None


def _support_file(session: Session) -> Path:
    return session.home / f"support-{session.connection.chain_id}.json"


def _support(session: Session) -> Support:
    """Reuse the shared contracts this account deployed on this chain before, or deploy them."""
    from bafl.chain.deploy import deploy_support

    known = _known_support(session)
    if known is not None:
        return known
    path, support = _support_file(session), deploy_support(session.sender_to(None))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(support), indent=2) + "\n", "utf-8")
    return support
