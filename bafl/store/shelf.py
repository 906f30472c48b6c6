"""A node's own folder of payloads, each under its CID, filled from a store when asked."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bafl.errors import BaflError, PayloadError, StoreError
from bafl.store.base import Store
from bafl.store.cid import cid, parse_cid, root_of
from bafl.store.errors import InvalidCid, PayloadUnavailable, WrongBytes
from bafl.types import Root

log = logging.getLogger(__name__)

ABSENT = (PayloadUnavailable, WrongBytes)
"""What says that nobody gives a payload; any other StoreError is about our own store or disk."""

SLOWEST = 1 << 20
"""Bytes a second at which a payload may come and is still waited for."""

_AGAIN_S = 0.5
_LOOK_S = 0.05


class Shelf:
    """Payloads as files. What is on the shelf was checked against its CID when it came.

    Safe to use from several threads: a file appears whole or not at all.
    """

    def __init__(self, folder: Path, store: Store, limit: int, timeout_s: float = 30.0) -> None:
        """folder: made if missing. limit: bytes of the largest payload.

        timeout_s: of one fetch, on top of what the largest payload takes at `SLOWEST`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.store = store
        self.limit = limit
        self.timeout_s = timeout_s + limit / SLOWEST

    def path(self, root: Root, timeout_s: float | None = None) -> Path:
        """File of a payload, fetched if it is not here.

        timeout_s: less than the shelf's own. Raises one of `ABSENT` if no one has it or its bytes
        are wrong, another StoreError where the store or the disk fails, PayloadTooLarge.
        """
        path = self._of(root)
        if not path.exists():
            seconds = self.timeout_s if timeout_s is None else min(timeout_s, self.timeout_s)
            self.store.fetch(root, path, self.limit, seconds)
        return path

    def gather(
        self, roots: Iterable[Root], seconds: float, go_on: Callable[[], object] = lambda: None
    ) -> dict[Root, Path | BaflError]:
        """Fetch many payloads at once; none waits for another.

        Each is asked for again until it is there or `seconds` have passed. go_on: called while
        waiting; what it raises ends the waiting.
        Returns a file, or why there is none: a StoreError as of `path`, or PayloadTooLarge.
        """
        wanted = set(roots)
        found: dict[Root, Path | BaflError] = {}
        ends = time.monotonic() + seconds
        over = threading.Event()

        def bring(root: Root) -> None:
            try:
                found[root] = self._patiently(root, ends, over)
            except (StoreError, PayloadError) as error:
                found[root] = error

        for root in wanted:
            # Daemons: a store that does not keep its timeout holds up nobody, not even the exit.
            threading.Thread(target=bring, args=(root,), name="fetch", daemon=True).start()
        try:
            while len(found) < len(wanted) and time.monotonic() < ends:
                go_on()
                time.sleep(_LOOK_S)
            # Answers to the last questions, asked before the end, may be on their way.
            while len(found) < len(wanted) and time.monotonic() < ends + _AGAIN_S:
                time.sleep(_LOOK_S)
        finally:
            over.set()
        late = {root: PayloadUnavailable(f"{cid(root)} did not come in time") for root in wanted}
        return {**late, **found}

    def has(self, root: Root) -> bool:
        """Whether the payload is on the shelf."""
        return self._of(root).exists()

    def roots(self) -> set[Root]:
        """What is on the shelf."""
        found = set()
        for file in self.folder.iterdir():
            with contextlib.suppress(InvalidCid):
                found.add(parse_cid(file.name))
        return found

    def sound(self, root: Root) -> bool:
        """Whether a file of the shelf still has its bytes; one that has not is taken off."""
        if root_of(self._of(root)) == root:
            return True
        self.remove(root)
        return False

    @contextlib.contextmanager
    def workspace(self) -> Iterator[Path]:
        """Make a folder beside the payloads, gone afterwards; `keep` moves files out of it.

        Raises StoreError where the disk refuses.
        """
        with _disk(self.folder), tempfile.TemporaryDirectory(dir=self.folder, prefix=".") as folder:
            yield Path(folder)

    def tidy(self) -> None:
        """Remove what was under way when a process was killed. For who has the folder alone."""
        with _disk(self.folder):
            for left in self.folder.glob(".*"):
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink(missing_ok=True)

    def keep(self, file: Path) -> Root:
        """Move a finished file onto the shelf, durably, and return its root."""
        root = root_of(file)
        with _disk(self.folder):
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
            file.replace(self._of(root))
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return root

    def publish(self, root: Root) -> None:
        """Put a payload of the shelf into the store, pinned there."""
        self.store.put(self._of(root))

    def hold(self, roots: Iterable[Root]) -> None:
        """Pin payloads of the shelf in the store, which lacks what a gateway gave; in a while.

        Only what was read and is ours to let go of later: a stranger may name any root, also of
        what somebody else pinned there.
        """

        def each() -> None:
            for root in wanted:
                with contextlib.suppress(StoreError):  # it is on the shelf, and a pin can wait
                    if self.store.has(root):
                        self.store.pin(root)
                    else:
                        self.store.put(self._of(root))

        wanted = list(roots)
        # A daemon: a store that hangs holds up nobody.
        threading.Thread(target=each, name="pin", daemon=True).start()

    def drop(self, root: Root) -> None:
        """Take a payload off the shelf and unpin it in the store."""
        self.remove(root)
        self.store.unpin(root)

    def remove(self, root: Root) -> None:
        """Take a payload off the shelf; the store keeps what it has."""
        with _disk(self.folder):
            self._of(root).unlink(missing_ok=True)

    def _patiently(self, root: Root, ends: float, over: threading.Event) -> Path:
        told = False
        while True:
            try:
                return self.path(root, max(_AGAIN_S, ends - time.monotonic()))
            except StoreError as error:
                left = ends - time.monotonic()
                if not told:
                    log.info("%s; asking again, for %.0f s at most", error, max(0.0, left))
                    told = True
                if left <= _AGAIN_S or over.wait(_AGAIN_S):
                    raise

    def _of(self, root: Root) -> Path:
        return self.folder / cid(root)


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot work in {folder}: {error.strerror}; free some space, or check its permissions"
        ) from error
