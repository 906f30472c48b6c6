"""A federation's past on disk: what is confirmed is kept, what is not is read anew each time."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from bisect import bisect_left
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bafl.chain.abi import interface
from bafl.chain.deploy import find_creation_block
from bafl.chain.errors import Inconsistent
from bafl.chain.fold import History
from bafl.chain.logs import LogReader, RawLog, decode
from bafl.errors import ChainError, DiskError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bafl.chain.connection import Block
    from bafl.chain.federation import Federation

log = logging.getLogger(__name__)

FORMAT = 1
ATTEMPTS = 5
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logs (
    block INTEGER, position INTEGER, block_hash BLOB, transaction_hash BLOB, topics BLOB, data BLOB,
    PRIMARY KEY (block, position)
) WITHOUT ROWID;
"""


class HistoryFile:
    """Follows a federation's log; thread-safe.

    path: an SQLite file that spares reading it all again (None: in memory). It is a cache: one that
    is damaged is begun anew. confirmations: blocks on top of an event before it is kept; younger
    events are part of the history too, and read again at each sync.
    start_block: where the contract was created; looked up if not given.
    Raises UsageError for a file of another federation.
    """

    def __init__(
        self,
        federation: Federation,
        path: Path | None = None,
        *,
        confirmations: int = 0,
        start_block: int | None = None,
    ) -> None:
        self.federation = federation
        self.confirmations = confirmations
        self._reader = LogReader(federation.connection, federation.address)
        self._interface = interface("Federation")
        self._lock = threading.Lock()
        self._path = path
        self._database, self._confirmed = self._open()
        self._history = self._confirmed
        self._seen: bytes | None = None
        self._unsure = False
        try:
            with self._telling():
                if self._meta("start_block") is None:
                    self._begin_at(self._creation() if start_block is None else start_block)
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file; the last history stays readable."""
        with self._lock:
            self._database.close()

    def sync(self) -> History:
        """The history up to the newest block; one request where there is no newer one.

        Raises Inconsistent when the RPC's answers do not fit together even after a few tries,
        DiskError when the file cannot be written.
        """
        with self._lock, self._telling():
            return self._synced()

    def reread(self) -> None:
        """Believe nothing that was kept: the next `sync` reads the whole log again."""
        with self._lock, self._telling():
            self._reset()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DiskError(
                f"cannot write {self._path} ({error}): free some space, or check its permissions; "
                "nothing was lost"
            ) from error

    def _synced(self) -> History:
        for attempt in range(ATTEMPTS):
            try:
                return self._sync()
            except Inconsistent as error:
                # A gap may have been kept before it showed: nothing kept is to be believed.
                if attempt:
                    self._reset()
                if attempt == ATTEMPTS - 1:
                    raise
                log.info("%s; reading again", error)
                time.sleep(0.05 * 2**attempt)
        raise AssertionError

    # --- reading ---

    def _sync(self) -> History:
        if self._unsure:
            self._refold()
        connection = self.federation.connection
        head = connection.latest()
        if head.hash == self._seen:
            return self._history
        if not self._settle_cursor(head):
            return self._history
        keep_to = head.number - self.confirmations
        tail: list[RawLog] = []
        # Until all is folded and kept: what fails in between leaves a half-folded history.
        self._unsure = True
        for chunk in self._reader.read(self._next(), head.number):
            old = [entry for entry in chunk.logs if entry.block <= keep_to]
            tail += chunk.logs[len(old) :]
            self._fold(self._confirmed, old)
            end = chunk.end
            if end.number > keep_to:
                kept = connection.block(keep_to) if keep_to >= self._next() else None
                again = connection.block(end.number)
                if again is None or again.hash != end.hash:
                    raise Inconsistent(f"a reorg replaced block {end.number}")
                if kept is not None:
                    self._keep(old, kept)
            else:
                self._keep(old, end)
        history = self._confirmed
        if tail:
            history = self._confirmed.copy()
            self._fold(history, tail)
        history.block = head.number
        self._history, self._seen, self._unsure = history, head.hash, False
        return history

    def _settle_cursor(self, head: Block) -> bool:
        """Go back behind a reorg; False when the RPC is merely behind what it said before."""
        cursor = self._meta("cursor_block")
        if cursor is None:
            return True
        if cursor <= head.number and self._stands(cursor, self._meta("cursor_hash")):
            return True
        # Of the blocks with logs, those before the fork stand and those after it do not; few
        # questions find the last one that does, however deep the fork is.
        kept = [(number, hash_) for number, hash_ in self._checkpoints() if number <= head.number]
        if kept and not self._stands(*kept[-1]):
            kept.pop()
            del kept[bisect_left(kept, True, key=lambda block: not self._stands(*block)) :]
        if not kept:
            self._reset()
        elif cursor > head.number:
            return False
        else:
            self._back_to(*kept[-1])
        return True

    def _stands(self, number: int, hash_: bytes) -> bool:
        block = self.federation.connection.block(number)
        return block is not None and block.hash == hash_

    def _fold(self, history: History, logs: Sequence[RawLog]) -> None:
        for entry in logs:
            event = decode(self._interface, entry)
            if event is not None:
                history.apply(event)

    # --- the file ---

    def _open(self) -> tuple[sqlite3.Connection, History]:
        try:
            return self._opened()
        except sqlite3.OperationalError as error:
            raise DiskError(
                f"cannot open {self._path} ({error}): free some space, or check its permissions"
            ) from error
        except (sqlite3.DatabaseError, ChainError) as error:
            if self._path is None:
                raise
            log.warning("%s is damaged (%s); reading the log anew", self._path, error)
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            return self._opened()

    def _opened(self) -> tuple[sqlite3.Connection, History]:
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(f"{self._path}: cannot be written ({error.strerror})") from error
        database = sqlite3.connect(self._path or ":memory:", check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.executescript(_SCHEMA)
            mine = {
                "format": FORMAT,
                "chain_id": self.federation.chain_id,
                "federation": self.federation.address,
            }
            found = dict(database.execute("SELECT key, value FROM meta"))
            for key, value in mine.items():
                if found.setdefault(key, value) != value:
                    raise UsageError(
                        f"{self._path} holds the history of {key} {found[key]}, not {value}: give "
                        "another file, or delete it"
                    )
            database.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", mine.items())
            database.commit()
            # A file whose logs do not fold is as damaged as one that does not open.
            folded = History(self.federation.genesis.model)
            self._fold(folded, _stored(database))
        except BaseException:
            database.close()
            raise
        return database, folded

    def _meta(self, key: str) -> Any:
        row = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _set(self, key: str, value: object) -> None:
        self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def _next(self) -> int:
        cursor = self._meta("cursor_block")
        if cursor is not None:
            return int(cursor) + 1
        if self._meta("start_block") is None:
            self._begin_at(self._creation())
        return int(self._meta("start_block"))

    def _creation(self) -> int:
        return find_creation_block(self.federation.connection, self.federation.address)

    def _begin_at(self, block: int) -> None:
        with self._database:
            self._set("start_block", block)

    def _keep(self, logs: Sequence[RawLog], cursor: Block) -> None:
        with self._database:
            self._database.executemany(
                "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (e.block, e.index, e.block_hash, e.transaction, b"".join(e.topics), e.data)
                    for e in logs
                ],
            )
            self._set("cursor_block", cursor.number)
            self._set("cursor_hash", cursor.hash)

    def _checkpoints(self) -> list[tuple[int, bytes]]:
        return self._database.execute(
            "SELECT DISTINCT block, block_hash FROM logs ORDER BY block"
        ).fetchall()

    def _back_to(self, number: int, hash_: bytes) -> None:
        log.warning("a reorg: going back to block %d, and reading on from there", number)
        with self._database:
            self._database.execute("DELETE FROM logs WHERE block > ?", (number,))
            self._set("cursor_block", number)
            self._set("cursor_hash", hash_)
        self._refold()

    def _reset(self) -> None:
        with self._database:
            self._database.execute("DELETE FROM logs")
            # Nor the beginning: on another branch the contract may have been created earlier.
            self._database.execute(
                "DELETE FROM meta WHERE key LIKE 'cursor%' OR key = 'start_block'"
            )
        self._refold()

    def _refold(self) -> None:
        self._unsure = True  # until it is whole
        self._confirmed = History(self.federation.genesis.model)
        self._fold(self._confirmed, _stored(self._database))
        self._history, self._seen, self._unsure = self._confirmed, None, False


def _stored(database: sqlite3.Connection) -> list[RawLog]:
    rows = database.execute("SELECT * FROM logs ORDER BY block, position")
    return [
        RawLog(
            block=block,
            index=position,
            block_hash=block_hash,
            transaction=transaction,
            topics=tuple(topics[i : i + 32] for i in range(0, len(topics), 32)),
            data=data,
        )
        for block, position, block_hash, transaction, topics, data in rows
    ]


__all__ = ["History", "HistoryFile"]
