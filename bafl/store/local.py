"""The embedded store: a directory that the nodes of one machine share; no daemon.

payloads/<cid>          a payload, whole; it appears by renaming, so it is never half there
pins/<cid>/<owner>      one empty file per pin; where its payload is not there, the disk lost it
incoming/               files on their way in, each locked by the process that writes it
lock                    held while pins and payloads change
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from bafl.codec.errors import PayloadTooLarge
from bafl.errors import StoreError
from bafl.store import cid as cids
from bafl.store.base import receive
from bafl.store.errors import (
    PayloadLost,
    PayloadUnavailable,
    StoreFull,
    UnknownStore,
    WrongBytes,
)
from bafl.types import Root

log = logging.getLogger(__name__)

_OWNER = re.compile(r"[A-Za-z0-9_-]{1,80}")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LocalStore:
    """Payloads in a directory. A payload goes when its last owner unpins it.

    Safe for any number of threads and processes; a process killed at any point leaves at most a
    file in incoming/, which the next one to open the store removes.
    """

    name = "local"
    read_only = False

    def __init__(self, directory: Path, owner: str = "node") -> None:
        """owner: in whose name this one pins; nodes that share a directory use different ones.

        A directory that is not there is made when something is put into it.
        Raises UnknownStore for a directory that cannot be used or an owner that is no file name.
        """
        if not _OWNER.fullmatch(owner):
            raise UnknownStore(f"local store: the owner {owner[:80]!r} is not letters and digits")
        self._directory = directory.expanduser().resolve()
        self._owner = owner
        if self._directory.exists():
            self._make()
            self._sweep()

    def _make(self) -> None:
        try:
            for part in ("payloads", "pins", "incoming"):
                (self._directory / part).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnknownStore(
                f"local store: cannot use {self._directory}: {error.strerror}; "
                "name a directory you can write to"
            ) from error

    def put(self, path: Path) -> Root:
        """Copy a file in and pin it; see `Store.put`."""
        self._make()
        hasher = cids.UnixFsHasher()
        with self._errors(f"cannot add {path.name}"):
            incoming = self._directory / "incoming" / secrets.token_hex(8)
            with self._locked():
                file = incoming.open("xb")
                fcntl.flock(file, fcntl.LOCK_EX)
            try:
                with file:
                    for part in cids.read_parts(path):
                        hasher.update(part)
                        file.write(part)
                    file.flush()
                    os.fsync(file.fileno())
                    root = hasher.root()
                    with self._locked():
                        incoming.replace(self._payload(root))
                        self._add_pin(root)
            finally:
                incoming.unlink(missing_ok=True)
        return root

    def fetch(self, root: Root, into: Path, limit: int, timeout_s: float) -> None:
        """Copy a payload out, checked; see `Store.fetch`. It is here or it is not: no waiting.

        Raises PayloadLost for one that is pinned here, and that the disk did not keep.
        """
        deadline = time.monotonic() + timeout_s
        with self._open(root) as payload:
            try:
                receive(_parts(payload), root, into, limit, deadline)
            except (WrongBytes, PayloadTooLarge) as error:
                # It had the right bytes when it was put: only the disk can have changed them.
                if isinstance(error, PayloadTooLarge) and _root_in(payload) == root:
                    raise
                self._remove(root, payload)
                raise self._lost(root) from error

    def pin(self, root: Root) -> None:
        """Keep a payload in this owner's name."""
        if not self._directory.exists():
            raise self._missing(root)
        with self._errors(f"cannot pin {cids.cid(root)}"), self._locked():
            if not self._payload(root).exists():
                raise self._missing(root)
            self._add_pin(root)

    def unpin(self, root: Root) -> None:
        """Drop this owner's pin, and the payload with the last one."""
        pins = self._pins(root)
        if not self._directory.exists():
            return
        with self._errors(f"cannot unpin {cids.cid(root)}"), self._locked():
            if not (pins / self._owner).exists():
                return
            (pins / self._owner).unlink()
            if not any(pins.iterdir()):
                self._payload(root).unlink(missing_ok=True)
                pins.rmdir()

    def has(self, root: Root) -> bool:
        """Whether the payload is here."""
        return self._payload(root).exists()

    def describe(self) -> str:
        """One line for a person."""
        return f"local store in {self._directory}"

    def _open(self, root: Root) -> BinaryIO:
        path = self._payload(root)
        try:
            with contextlib.suppress(FileNotFoundError):
                return path.open("rb")
            with contextlib.suppress(FileNotFoundError), self._locked():
                if self._is_pinned(root):
                    if path.exists():
                        return path.open("rb")
                    raise self._lost(root)
        except OSError as error:
            raise StoreError(f"cannot read from {self.describe()}: {error.strerror}") from error
        raise self._missing(root)

    def _remove(self, root: Root, payload: BinaryIO) -> None:
        """Take a damaged file away, unless a sound one has its place by now."""
        path = self._payload(root)
        errors = self._errors(f"cannot remove {path.name}, which is damaged")
        with errors, self._locked(), contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(payload.fileno()), path.stat()):
                path.unlink()
                log.warning("%s is damaged, and was removed: check the disk", path)

    def _lost(self, root: Root) -> PayloadLost:
        return PayloadLost(
            f"{self._payload(root)} was damaged or taken away: check the disk; it is kept again "
            "as soon as a node or gateway that has it gives it"
        )

    def _payload(self, root: Root) -> Path:
        return self._directory / "payloads" / cids.cid(root)

    def _pins(self, root: Root) -> Path:
        return self._directory / "pins" / cids.cid(root)

    def _add_pin(self, root: Root) -> None:
        pins = self._pins(root)
        pins.mkdir(exist_ok=True)
        (pins / self._owner).touch()

    def _is_pinned(self, root: Root) -> bool:
        pins = self._pins(root)
        return pins.exists() and any(pins.iterdir())

    def _missing(self, root: Root) -> PayloadUnavailable:
        return PayloadUnavailable(
            f"{cids.cid(root)} is not in {self.describe()}; "
            "does its author use the same store, and still keep it?"
        )

    def _sweep(self) -> None:
        """Remove what processes left that were killed while adding."""
        with self._errors("cannot tidy up"), self._locked():
            for left in (self._directory / "incoming").iterdir():
                with contextlib.suppress(FileNotFoundError, BlockingIOError), left.open("rb") as f:
                    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    left.unlink()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._directory / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise StoreFull(
                    f"{what}: no room in {self._directory} ({error.strerror}); free some space, "
                    "or move the store to a larger disk"
                ) from error
            raise StoreError(f"{what}: {self._directory}: {error.strerror}") from error


def _parts(payload: BinaryIO) -> Iterator[bytes]:
    return iter(partial(payload.read, 1 << 20), b"")


def _root_in(payload: BinaryIO) -> Root:
    hasher = cids.UnixFsHasher()
    payload.seek(0)
    for part in _parts(payload):
        hasher.update(part)
    return hasher.root()
