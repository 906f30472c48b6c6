"""`bafl audit`: replay the whole history."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bafl.cli.app import Verb
from bafl.cli.options import session_options
from bafl.errors import AuditError

if TYPE_CHECKING:
    from bafl.cli.session import Session
    from bafl.replay import AuditedVersion


@click.command("audit", cls=Verb, example="bafl audit --config node.toml")
@session_options
def command(session: Session) -> None:
    """Recompute every version and compare digests.

    Replays the whole history from the chain's log and the payloads. Needs no key. Ends with 0 if
    every version was recomputed to the recorded bytes, else with 1; a version whose payloads nobody
    keeps any more cannot be recomputed, and is named.
    """
    from bafl import replay
    from bafl.store.cid import cid
    from bafl.store.shelf import Shelf

    out = session.output
    history = session.read_history()
    total = len(history.versions) - 1

    def tell(version: AuditedVersion) -> None:
        shown = cid(version.recorded)
        if version.ok:
            out.line(f"version {version.version:>4} of {total}  ok  {shown}")
        else:
            word = "not replayable" if version.recomputed is None else "differs"
            out.line(f"version {version.version:>4} of {total}  {word}  {shown}: {version.note}")

    with tempfile.TemporaryDirectory(prefix="bafl-audit-") as folder:
        shelf = Shelf(Path(folder), session.store, session.manifest.size_limit)
        report = replay.audit(session.federal, history, shelf, tell)
    failed = [version for version in report.versions if not version.ok]
    differ = [version for version in failed if version.recomputed is not None]
    out.emit(
        {
            "federation": session.federation.address,
            "ok": report.ok,
            "replayableFrom": report.replayable_from,
            "versions": [
                {
                    "version": version.version,
                    "window": version.window,
                    "recorded": cid(version.recorded),
                    "recomputed": None if version.recomputed is None else cid(version.recomputed),
                    "ok": version.ok,
                    "note": version.note,
                }
                for version in report.versions
            ],
        }
    )
    if differ:
        raise AuditError(
            f"{len(differ)} of {total} versions recompute to other bytes than recorded, first "
            f"version {differ[0].version}: its validators attested a model that the updates do "
            "not make"
        )
    if failed:
        raise AuditError(
            f"{len(failed)} of {total} versions cannot be recomputed; from version "
            f"{report.replayable_from} on everything can: ask for the missing payloads where "
            "somebody keeps them"
        )
    if total:
        versions = "The only version was" if total == 1 else f"All {total} versions were"
        out.line(f"{versions} recomputed to the recorded bytes.")
    else:
        out.line("There is nothing to audit: the genesis model is the latest version.")
