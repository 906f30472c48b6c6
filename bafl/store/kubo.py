"""Kubo, the IPFS daemon, over its RPC API."""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from bafl.errors import StoreError
from bafl.store import cid as cids
from bafl.store.base import receive
from bafl.store.errors import PayloadUnavailable, StoreUnreachable, UnknownStore, WrongBytes
from bafl.types import Root


class KuboStore:
    """Payloads in an IPFS daemon. Each call opens its own connection, so threads never share one.

    A pin belongs to the daemon, not to a node: nodes that share a daemon share their pins.
    """

    name = "kubo"
    read_only = False

    def __init__(self, address: str, timeout_s: float = 60.0) -> None:
        """address: the RPC API's multiaddr, such as /ip4/127.0.0.1/tcp/5001.

        timeout_s: how long the daemon may stay silent while adding or pinning. Nothing is sent
        yet. Raises UnknownStore for an address that is none.
        """
        self._address = address
        self._timeout_s = timeout_s
        self._ipfs = _library()
        try:
            # Not connect(): it refuses every Kubo since 0.9. Client() asks for no version.
            self._client = self._ipfs.Client(address, timeout=timeout_s)
        except (self._ipfs.exceptions.Error, ValueError) as error:
            raise UnknownStore(
                f"kubo: {address[:120]!r} is no RPC address; use one like /ip4/127.0.0.1/tcp/5001"
            ) from error

    def put(self, path: Path) -> Root:
        """Add and pin a file; see `Store.put`."""
        root = cids.root_of(path)
        # Every parameter that shapes the CID is said, whatever the daemon's configuration.
        options = {
            "hash": "sha2-256",
            "max-file-links": str(cids.MAX_LINKS),
            "inline": "false",
            "preserve-mode": "false",
            "preserve-mtime": "false",
        }
        with self._errors(f"cannot add {path.name}"):
            added = self._client.add(
                str(path),
                cid_version=1,
                raw_leaves=True,
                chunker=f"size-{cids.CHUNK_BYTES}",
                trickle=False,
                pin=True,
                opts=options,
            )
        if added["Hash"] != cids.cid(root):
            raise WrongBytes(
                f"{self.describe()} gives {path.name} the CID {added['Hash']}, ours is "
                f"{cids.cid(root)}; use a newer Kubo (0.43 is right)"
            )
        return root

    def fetch(self, root: Root, into: Path, limit: int, timeout_s: float) -> None:
        """Stream a payload from the daemon, which looks for it in the network; see `Store`."""
        deadline = time.monotonic() + timeout_s
        with contextlib.closing(self._parts(root, limit, timeout_s)) as parts:
            receive(parts, root, into, limit, deadline)

    def pin(self, root: Root) -> None:
        """Pin a payload; the daemon fetches what it lacks."""
        with self._errors(f"cannot pin {cids.cid(root)}", root):
            self._client.pin.add(cids.cid(root), recursive=True)

    def unpin(self, root: Root) -> None:
        """Drop the daemon's pin; its garbage collection may then take the payload."""
        with self._errors(f"cannot unpin {cids.cid(root)}"):
            try:
                self._client.pin.rm(cids.cid(root), recursive=True)
            except self._ipfs.exceptions.ErrorResponse as error:
                if "not pinned" not in str(error):
                    raise

    def has(self, root: Root) -> bool:
        """Whether the daemon has every block of the payload."""
        with self._errors(f"cannot look for {cids.cid(root)}"):
            try:
                stat = self._client.files.stat(
                    f"/ipfs/{cids.cid(root)}", opts={"with-local": "true"}, offline=True
                )
            except self._ipfs.exceptions.ErrorResponse:
                return False
        return bool(stat.get("Local", False))

    def describe(self) -> str:
        """One line for a person."""
        return f"Kubo at {self._address}"

    def _parts(self, root: Root, limit: int, timeout_s: float) -> Generator[bytes, None, None]:
        with self._errors(f"cannot read {cids.cid(root)}", root):
            # One byte past the limit tells too long from just long enough. No opts here: they
            # would replace the length.
            stream = self._client.cat(
                cids.cid(root), length=limit + 1, stream=True, timeout=timeout_s
            )
            with stream:
                yield from stream

    @contextlib.contextmanager
    def _errors(self, what: str, wanted: Root | None = None) -> Iterator[None]:
        """Turn the libraries' errors into ours; `wanted` is the payload being looked for."""
        exceptions = self._ipfs.exceptions
        try:
            yield
        except exceptions.ErrorResponse as error:
            kind = StoreError if wanted is None else PayloadUnavailable
            raise kind(f"{what}: {self.describe()} says: {error}") from error
        except (exceptions.Error, *_transport_errors()) as error:
            if not _timed_out(error, exceptions):
                pass
            elif wanted is not None:
                raise PayloadUnavailable(
                    f"{what}: no peer gave it in time; try again later"
                ) from error
            else:
                raise StoreUnreachable(
                    f"{what}: {self.describe()} does not answer; restart the daemon"
                ) from error
            raise StoreUnreachable(
                f"{what}: no IPFS daemon answers at {self._address}; start it (`ipfs daemon`), or "
                "set the store to `local:DIRECTORY`"
            ) from error


def _library() -> Any:
    """Import ipfshttpclient without its patch of requests, which urllib3 warns about."""
    os.environ.setdefault("PY_IPFS_HTTP_CLIENT_PATCH_REQUESTS", "no")
    return importlib.import_module("ipfshttpclient")


def _transport_errors() -> tuple[type[Exception], ...]:
    """What the transport raises past ipfshttpclient while a body is on its way."""
    requests = importlib.import_module("requests")
    urllib3 = importlib.import_module("urllib3")
    return (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError)


def _timed_out(error: BaseException, exceptions: Any) -> bool:
    """Whether it was silence: requests hides a timeout within a body as a connection error."""
    urllib3 = importlib.import_module("urllib3")
    cause = error.args[0] if error.args else None
    return isinstance(error, exceptions.TimeoutError) or isinstance(
        cause, urllib3.exceptions.ReadTimeoutError
    )
