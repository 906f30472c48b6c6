"""What must survive a crash: one SQLite file a node, written before the world is.

An update is journalled when it is trained, scores before they are committed, a signed transaction
before it is sent. Salts are not here: they are recomputed from the key. The file is locked while a
node runs, so that a second copy of the node says so and stops. On a full disk every method that
writes raises DiskError and changes nothing; it works again when there is room.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bafl.errors import DiskError, JournalError
from bafl.protocol import Notes, Recomputed, Scored, Trained
from bafl.types import Encoding, Root, UpdateRecord

_SCHEMA = """
CREATE TABLE IF NOT EXISTS identity (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS updates (
    id INTEGER PRIMARY KEY, base_version INTEGER NOT NULL, digest BLOB NOT NULL,
    codec INTEGER NOT NULL, encoding INTEGER NOT NULL, samples INTEGER NOT NULL,
    residual TEXT NOT NULL, update_id INTEGER, block INTEGER,
    published INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('open', 'used', 'unused', 'dropped')));
CREATE INDEX IF NOT EXISTS updates_by_digest ON updates (digest);
CREATE TABLE IF NOT EXISTS carried (id INTEGER PRIMARY KEY, carrier INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS scores (
    window INTEGER NOT NULL, tag TEXT NOT NULL, scores TEXT NOT NULL, keep INTEGER NOT NULL,
    PRIMARY KEY (window, tag));
CREATE TABLE IF NOT EXISTS models (
    window INTEGER NOT NULL, tag TEXT NOT NULL, digest BLOB NOT NULL, codec INTEGER NOT NULL,
    metric INTEGER NOT NULL, PRIMARY KEY (window, tag));
CREATE TABLE IF NOT EXISTS offers (
    window INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (window, tag));
CREATE TABLE IF NOT EXISTS transactions (
    nonce INTEGER PRIMARY KEY, name TEXT NOT NULL, raw BLOB NOT NULL, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pins (
    window INTEGER NOT NULL, digest BLOB NOT NULL, codec INTEGER NOT NULL,
    PRIMARY KEY (window, digest));
CREATE TABLE IF NOT EXISTS running (here INTEGER PRIMARY KEY CHECK (here = 1));
"""
_LATER_COLUMNS = (("updates", "base_digest", "BLOB NOT NULL DEFAULT x''"),)
"""What journals of earlier versions lack."""


@dataclass(frozen=True, slots=True)
class OwnUpdate:
    """An update of this node that is not resolved yet.

    residual: file name of what its encoding lost. id, block: None until it is on the chain.
    """

    trained: Trained
    residual: str
    id: int | None
    block: int | None
    published: bool


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A transaction that was signed and may have been sent."""

    name: str
    nonce: int
    raw: bytes
    hash: bytes


class Journal:
    """A node's memory. Safe to use from several threads; every method is one transaction.

    cut_off: whether the run before this one ended without `close`.
    """

    def __init__(self, path: Path, chain_id: int, federation: str, participant: str) -> None:
        """Open or make the journal at `path` and hold its lock until `close`.

        Raises JournalError if another process holds it, or it belongs to another federation or
        participant; DiskError if the disk refuses.
        """
        self._path = path
        self._guard = threading.RLock()
        try:
            # Unpublished updates and residuals come to lie beside it.
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=0.2, check_same_thread=False, isolation_level=None
            )
            path.chmod(0o600)
        except (OSError, sqlite3.OperationalError) as error:
            raise DiskError(
                f"cannot open the journal {path} ({error}): free some space, check its "
                "permissions, or give this node another home"
            ) from error
        given = {
            "chain id": str(chain_id),
            "federation": federation.lower(),
            "participant": participant.lower(),
        }
        try:
            self._claim(given)
        except BaseException:
            self._db.close()
            raise

    def _claim(self, given: Mapping[str, str]) -> None:
        with self._write() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            for table, column, kind in _LATER_COLUMNS:
                there = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
                if column not in there:
                    db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
            for name, value in given.items():
                db.execute("INSERT OR IGNORE INTO identity VALUES (?, ?)", (name, value))
            for name, value in db.execute("SELECT name, value FROM identity").fetchall():
                if given.get(name) != value:
                    raise JournalError(
                        f"the journal {self._path} belongs to {name} {value}, not "
                        f"{given.get(name)}: give this node a home of its own"
                    )
            self.cut_off = db.execute("SELECT COUNT(*) FROM running").fetchone() != (0,)
            db.execute("INSERT OR IGNORE INTO running VALUES (1)")

    def close(self) -> None:
        """Close the file and give its lock back."""
        with self._guard:
            # On a full disk the next run merely takes this one for cut off.
            with suppress(DiskError, JournalError, sqlite3.ProgrammingError), self._write() as db:
                db.execute("DELETE FROM running")
            self._db.close()

    # --- own updates ---

    def train(self, trained: Trained, residual: str, carries: Iterable[int] = ()) -> None:
        """Note an update that is trained and written, and the file of what its encoding lost.

        carries: which of `owed` it makes good.
        """
        root = trained.root
        with self._write() as db:
            done = db.execute(
                "INSERT INTO updates (base_version, base_digest, digest, codec, encoding, samples,"
                " residual, state) VALUES (?, ?, ?, ?, ?, ?, ?, 'open')",
                (
                    trained.base_version,
                    trained.base_digest,
                    root.digest,
                    root.codec,
                    int(trained.encoding),
                    trained.samples,
                    residual,
                ),
            )
            db.executemany(
                "INSERT INTO carried (id, carrier) VALUES (?, ?)",
                [(row, done.lastrowid) for row in carries],
            )

    def reconcile(self, mine: Iterable[UpdateRecord]) -> None:
        """Take over from the log which own updates are on the chain, and under which id.

        mine: every update of this participant in the log. One that a reorg undid is submitted
        again; one whose receipt was lost in a crash is found by its digest. A record counts for
        one update only: the same training may give the same bytes twice.
        """
        with self._write() as db:
            rows = db.execute(
                "SELECT id, digest, update_id, block FROM updates WHERE state = 'open'"
            ).fetchall()
            digests = {digest for _, digest, _, _ in rows}
            past = {
                (digest, id_)
                for digest in digests
                for (id_,) in db.execute(
                    "SELECT update_id FROM updates WHERE digest = ? AND state != 'open'", (digest,)
                )
            }
            there = {
                record.root.digest: (record.id, record.block)
                for record in mine
                if record.root.digest in digests and (record.root.digest, record.id) not in past
            }
            for row, digest, id_, block in rows:
                found = there.get(digest, (None, None))
                if found == (id_, block):
                    continue
                db.execute(
                    "UPDATE updates SET update_id = ?, block = ? WHERE id = ?", (*found, row)
                )
                if found[0] not in (None, id_):
                    # Its pin belongs to another window now.
                    db.execute("UPDATE updates SET published = 0 WHERE id = ?", (row,))

    def trainings(self) -> int:
        """How many updates were ever trained."""
        with self._reach("read"):
            (count,) = self._db.execute("SELECT COUNT(*) FROM updates").fetchone()
        return int(count)

    def drop(self, trained: Trained) -> bool:
        """Give up an update that can no longer be submitted; False if it was.

        What it made good is owed again.
        """
        with self._write() as db:
            changed = db.execute(
                "UPDATE updates SET state = 'dropped'"
                " WHERE digest = ? AND update_id IS NULL AND state = 'open'",
                (trained.root.digest,),
            )
            db.execute(
                "DELETE FROM carried WHERE carrier IN"
                " (SELECT id FROM updates WHERE state = 'dropped')"
            )
        return changed.rowcount > 0

    def published(self, update_id: int) -> None:
        """Note that the payload of an own update is in the store."""
        with self._write() as db:
            db.execute(
                "UPDATE updates SET published = 1 WHERE update_id = ? AND state = 'open'",
                (update_id,),
            )

    def resolved(self, update_id: int, used: bool) -> None:
        """Note whether the window of an own update included it."""
        state = "used" if used else "unused"
        with self._write() as db:
            db.execute(
                "UPDATE updates SET state = ? WHERE update_id = ? AND state = 'open'",
                (state, update_id),
            )

    def own(self, update_id: int) -> OwnUpdate | None:
        """Return an own update by its id; None if a reorg took it, or it is resolved."""
        with self._reach("read"):
            return next((update for update in self._open() if update.id == update_id), None)

    def unresolved(self) -> tuple[int, ...]:
        """Ids of own published updates of which it is not noted yet whether they were used."""
        with self._reach("read"):
            return tuple(u.id for u in self._open() if u.id is not None and u.published)

    def owed(self) -> dict[int, str]:
        """What encodings lost of used updates and no later one made good: files by own number."""
        with self._reach("read"):
            rows = self._db.execute(
                "SELECT id, residual FROM updates WHERE state = 'used'"
                " AND id NOT IN (SELECT id FROM carried) ORDER BY id"
            )
            return dict(rows.fetchall())

    def residuals(self) -> set[str]:
        """File names of what encodings lost and may still be needed."""
        with self._reach("read"):
            rows = self._db.execute(
                "SELECT residual FROM updates WHERE state = 'open' OR (state = 'used' AND id NOT IN"
                " (SELECT c.id FROM carried c JOIN updates u ON u.id = c.carrier"
                " WHERE u.state != 'open'))"
            )
            return {name for (name,) in rows}

    # --- verdicts and models ---

    def score(self, window: int, tag: int, scored: Scored) -> None:
        """Note scores; the first ones for the same contents stay."""
        values = ",".join(map(str, scored.scores))
        with self._write() as db:
            db.execute(
                "INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?)",
                (window, str(tag), values, scored.keep),
            )

    def recompute(self, window: int, tag: int, recomputed: Recomputed) -> None:
        """Note the next model that a window makes, to be attested and offered."""
        root = recomputed.root
        with self._write() as db:
            db.execute(
                "INSERT OR REPLACE INTO models VALUES (?, ?, ?, ?, ?)",
                (window, str(tag), root.digest, root.codec, recomputed.metric),
            )
            db.execute("INSERT OR IGNORE INTO offers VALUES (?, ?)", (window, str(tag)))

    def offered(self, window: int, tag: int) -> None:
        """Note that the next model of a window is in the store."""
        with self._write() as db:
            db.execute("DELETE FROM offers WHERE window = ? AND tag = ?", (window, str(tag)))

    def model(self, window: int, tag: int) -> Root | None:
        """Return the next model that was worked out for these contents; None if there is none."""
        with self._reach("read"):
            recomputed = self._recomputed(window).get((window, tag))
            return None if recomputed is None else recomputed.root

    def models(self, window: int) -> set[Root]:
        """Return the next models that were worked out for a window, whatever its tag."""
        with self._reach("read"):
            return {recomputed.root for recomputed in self._recomputed(window).values()}

    def pin(self, window: int, root: Root) -> None:
        """Note a payload that this node keeps for a window, before it is there."""
        with self._write() as db:
            db.execute(
                "INSERT OR IGNORE INTO pins VALUES (?, ?, ?)", (window, root.digest, root.codec)
            )

    def pins(self, window: int) -> tuple[Root, ...]:
        """Return the payloads kept for a window."""
        with self._reach("read"):
            rows = self._db.execute(
                "SELECT digest, codec FROM pins WHERE window = ?", (window,)
            ).fetchall()
        return tuple(Root(digest, codec) for digest, codec in rows)

    def pinned_after(self, window: int) -> set[Root]:
        """Return the payloads kept for later windows."""
        with self._reach("read"):
            rows = self._db.execute(
                "SELECT digest, codec FROM pins WHERE window > ?", (window,)
            ).fetchall()
        return {Root(digest, codec) for digest, codec in rows}

    def forget(self, window: int) -> None:
        """Drop the notes about a window that is long over."""
        with self._write() as db:
            db.execute("DELETE FROM pins WHERE window = ?", (window,))
            db.execute("DELETE FROM scores WHERE window = ?", (window,))
            db.execute("DELETE FROM models WHERE window = ?", (window,))
            db.execute("DELETE FROM offers WHERE window = ?", (window,))

    # --- transactions ---

    def sign(self, note: SignedNote) -> None:
        """Note a signed transaction before it is sent; one with the same nonce replaces it."""
        with self._write() as db:
            db.execute(
                "INSERT OR REPLACE INTO transactions VALUES (?, ?, ?, ?)",
                (note.nonce, note.name, note.raw, note.hash),
            )

    def settle(self, nonce: int) -> None:
        """Note that the transaction with this nonce is over, mined or impossible."""
        with self._write() as db:
            db.execute("DELETE FROM transactions WHERE nonce = ?", (nonce,))

    def unsettled(self) -> tuple[SignedNote, ...]:
        """Transactions that may still be under way, by nonce."""
        with self._reach("read"):
            rows = self._db.execute(
                "SELECT name, nonce, raw, hash FROM transactions ORDER BY nonce"
            ).fetchall()
        return tuple(SignedNote(*row) for row in rows)

    # --- reading ---

    def notes(
        self,
        judging: int,
        confirmed_block: int,
        seen_s: Mapping[tuple[str, int], float],
        busy: frozenset[tuple[str, int]],
        sending: bool = False,
    ) -> Notes:
        """Everything `decide` reads, at this moment, about the window `judging` and the rest.

        confirmed_block: what stands in later ones is not certain enough to publish for.
        sending: whether a transaction of this process is under way.
        """
        with self._reach("read"):
            mine = self._open()
            sure = [(u.id, u.published) for u in mine if u.id and (u.block or 0) <= confirmed_block]
            # One of which nothing was worth a pin has left its scores, and files on the shelf.
            pins = self._db.execute(
                "SELECT window FROM pins UNION SELECT window FROM scores ORDER BY window"
            ).fetchall()
            offers = self._db.execute("SELECT window, tag FROM offers ORDER BY window").fetchall()
            return Notes(
                trained=next((u.trained for u in mine if u.id is None), None),
                scored=self._scored(judging),
                recomputed=self._recomputed(judging),
                unpublished=tuple(id_ for id_, published in sure if not published),
                unresolved=tuple(id_ for id_, published in sure if published),
                pinned_windows=tuple(window for (window,) in pins),
                unoffered=tuple((window, int(tag)) for window, tag in offers),
                seen_s=seen_s,
                busy=busy,
                sending=sending,
                unsettled=bool(self.unsettled()),
            )

    def _scored(self, window: int) -> dict[tuple[int, int], Scored]:
        rows = self._db.execute("SELECT tag, scores, keep FROM scores WHERE window = ?", (window,))
        return {
            (window, int(tag)): Scored(tuple(int(s) for s in scores.split(",") if s), keep)
            for tag, scores, keep in rows
        }

    def _recomputed(self, window: int) -> dict[tuple[int, int], Recomputed]:
        rows = self._db.execute(
            "SELECT tag, digest, codec, metric FROM models WHERE window = ?", (window,)
        )
        return {
            (window, int(tag)): Recomputed(Root(digest, codec), metric)
            for tag, digest, codec, metric in rows
        }

    def _open(self) -> list[OwnUpdate]:
        rows = self._db.execute(
            "SELECT residual, update_id, block, published,"
            " base_version, digest, codec, encoding, samples, base_digest"
            " FROM updates WHERE state = 'open' ORDER BY id"
        ).fetchall()
        return [
            OwnUpdate(_trained(*row), residual, id_, block, bool(published))
            for residual, id_, block, published, *row in rows
        ]

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._reach("write"):
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:  # SQLite ends some that fail by itself
                    self._db.execute("ROLLBACK")

    @contextmanager
    def _reach(self, do: str) -> Iterator[None]:
        with self._guard:
            try:
                yield
            except sqlite3.OperationalError as error:
                if "locked" in str(error):
                    raise JournalError(
                        f"another node is running with the journal {self._path}: "
                        "stop it first, or give this one a home of its own"
                    ) from error
                raise DiskError(
                    f"cannot {do} the journal {self._path} ({error}): free some space, or check "
                    "its permissions; nothing was lost"
                ) from error
            except sqlite3.DatabaseError as error:
                raise JournalError(
                    f"the journal {self._path} is damaged ({error}): restore it, or move it away "
                    "and start anew (an unrevealed commitment is then lost)"
                ) from error


def _trained(
    base: int, digest: bytes, codec: int, encoding: int, samples: int, base_digest: bytes
) -> Trained:
    return Trained(base, Root(digest, codec), Encoding(encoding), samples, base_digest)
