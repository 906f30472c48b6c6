"""The one way to recompute a version: for a node that attests, for an audit, for a latecomer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bafl.aggregate.rules import aggregate
from bafl.chain.history import History
from bafl.codec.model import read_model
from bafl.codec.update import UpdateFile, read_update
from bafl.errors import AuditError, ChainError, RefusedError
from bafl.manifest import Manifest
from bafl.store.cid import cid
from bafl.store.errors import PayloadLost
from bafl.store.shelf import ABSENT, Shelf
from bafl.types import Root, UpdateHeader, UpdateRecord, VersionRecord

_GONE = (*ABSENT, PayloadLost)


@dataclass(frozen=True, slots=True)
class Federal:
    """Which federation a history belongs to: what payload headers are bound to."""

    chain_id: int
    address: str
    manifest: Manifest

    def header(self, record: UpdateRecord) -> UpdateHeader:
        """Return what the header of a payload must say, by the chain."""
        return UpdateHeader(
            self.chain_id, self.address, record.participant, record.base_version, record.encoding
        )


@dataclass(frozen=True, slots=True)
class AuditedVersion:
    """One version of a history. recomputed: None where that was not possible; `note` says why."""

    version: int
    window: int
    recorded: Root
    recomputed: Root | None
    note: str

    @property
    def ok(self) -> bool:
        """Whether the recomputed model has the recorded bytes."""
        return self.recomputed == self.recorded


@dataclass(frozen=True, slots=True)
class AuditReport:
    """A whole history, recomputed."""

    versions: tuple[AuditedVersion, ...]

    @property
    def ok(self) -> bool:
        """Whether every version was recomputed to the recorded bytes."""
        return all(version.ok for version in self.versions)

    @property
    def replayable_from(self) -> int:
        """The version whose model, once had, gives every later one."""
        failed = [version.version for version in self.versions if not version.ok]
        return max(failed, default=0)


def recompute(federal: Federal, history: History, window: int, base: Root, shelf: Shelf) -> Root:
    """Work out the model that a tallied window makes of the model `base`, onto the shelf.

    A pure function of the model, the log and the payloads (DESIGN: promise P1).
    Raises AuditError if the window has no tally or used nothing, StoreError for a payload that
    cannot be had, PayloadError for one that breaks the format.
    """
    tallied = history.tallied(window)
    if tallied is None:
        raise AuditError(f"window {window} has no tally in the log: sync again, or ask another RPC")
    used = [
        (record, share)
        for record, verdict, share in zip(
            history.updates(window), tallied.verdicts, tallied.shares_ppm, strict=True
        )
        if verdict.used
    ]
    if not used:
        raise AuditError(f"window {window} used no update, so it makes no version")
    files = [_read(federal, record, shelf) for record, _ in used]
    start = read_model(shelf.path(base), federal.manifest)
    with shelf.workspace() as folder:
        out = folder / "model"
        aggregate(start, files, [share for _, share in used], federal.manifest, out)
        return shelf.keep(out)


def version(history: History, number: int) -> VersionRecord:
    """Return a version's record. Raises ChainError if the log does not have it (yet)."""
    if not 0 <= number < len(history.versions):
        raise ChainError(
            f"the RPC's log ends with version {len(history.versions) - 1}, not {number}: it lags "
            "behind, or drops logs"
        )
    return history.versions[number]


def model(federal: Federal, history: History, number: int, shelf: Shelf) -> Path:
    """Return the file of a version's model: from the shelf, the store, or by recomputing it.

    Where nobody has it, the newest version before it that somebody has is the start.
    Raises as `recompute` does, ChainError for a version that the log does not have, and
    AuditError if what was recomputed is not what was recorded.
    """
    start = version(history, number)
    while True:
        try:
            path = shelf.path(start.root)
            break
        except _GONE:
            if start.version == 0:
                raise
            start = history.versions[start.version - 1]
    for before, record in pairwise(history.versions[start.version : number + 1]):
        root = recompute(federal, history, record.window, before.root, shelf)
        if root != record.root:
            raise AuditError(
                f"version {record.version} recomputes to {cid(root)}, but the chain says "
                f"{cid(record.root)}: validators attested another model; run `bafl audit`"
            )
        path = shelf.path(root)
    return path


def audit(
    federal: Federal,
    history: History,
    shelf: Shelf,
    progress: Callable[[AuditedVersion], None] = lambda _: None,
) -> AuditReport:
    """Recompute every version of a history from the log and the payloads.

    A version whose payloads are gone is noted, and the audit goes on from its recorded model if
    that can be had. shelf: best an empty one, so that every byte is fetched and checked anew; it
    never holds more than one version's payloads beside what was on it.
    Raises StoreError where the store or the disk fails: that says nothing about the history.
    """
    there = shelf.roots()

    def each() -> Iterator[AuditedVersion]:
        for before, record in pairwise(history.versions):
            audited = _audit_one(federal, history, before, record, shelf)
            for root in shelf.roots() - there - {record.root}:
                shelf.remove(root)
            progress(audited)
            yield audited

    return AuditReport(tuple(each()))


def _audit_one(
    federal: Federal, history: History, before: VersionRecord, record: VersionRecord, shelf: Shelf
) -> AuditedVersion:
    try:
        root = recompute(federal, history, record.window, before.root, shelf)
    except (*_GONE, RefusedError) as error:
        return AuditedVersion(record.version, record.window, record.root, None, str(error))
    note = "" if root == record.root else f"recomputed to {cid(root)}, recorded {cid(record.root)}"
    return AuditedVersion(record.version, record.window, record.root, root, note)


def _read(federal: Federal, record: UpdateRecord, shelf: Shelf) -> UpdateFile:
    return read_update(shelf.path(record.root), federal.header(record), federal.manifest)
