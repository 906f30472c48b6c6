"""A node's own folder of payloads, each under its CID, filled from a store when asked."""

from __future__ import annotations

import os
from pathlib import Path

from bafl.store.base import Store
from bafl.store.cid import cid, root_of
from bafl.types import Root


class Shelf:
    """Payloads as files. What is on the shelf was checked against its CID when it came.

    Safe to use from several threads: a file appears whole or not at all.
    """

    def __init__(self, folder: Path, store: Store, limit: int, timeout_s: float = 30.0) -> None:
        """folder: made if missing. limit: bytes of the largest payload. timeout_s: of one fetch."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.store = store
        self.limit = limit
        self.timeout_s = timeout_s

    def path(self, root: Root) -> Path:
        """File of a payload, fetched if it is not here.

        Raises StoreError if no one has it or its bytes are wrong, PayloadTooLarge.
        """
        path = self._of(root)
        if not path.exists():
            self.store.fetch(root, path, self.limit, self.timeout_s)
        return path

    def has(self, root: Root) -> bool:
        """Whether the payload is on the shelf."""
        return self._of(root).exists()

    def keep(self, file: Path) -> Root:
        """Move a finished file onto the shelf, durably, and return its root."""
        root = root_of(file)
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
        file.replace(self._of(root))
        return root

    def publish(self, root: Root) -> None:
        """Put a payload of the shelf into the store, pinned there."""
        self.store.put(self._of(root))

    def drop(self, root: Root) -> None:
        """Take a payload off the shelf and unpin it in the store."""
        self._of(root).unlink(missing_ok=True)
        self.store.unpin(root)

    def _of(self, root: Root) -> Path:
        return self.folder / cid(root)
