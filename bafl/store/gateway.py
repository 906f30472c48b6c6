"""An IPFS gateway over HTTP: anybody's, read only, and not trusted with a byte.

Blocks are fetched one by one as the trustless gateway specification has it (`?format=raw`, which
public gateways give too), and each is held against its CID before it is used.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from urllib.parse import urlsplit

from bafl.store.base import receive
from bafl.store.cid import cid
from bafl.store.errors import (
    FalseBlock,
    PayloadUnavailable,
    ReadOnlyStore,
    StoreBusy,
    StoreUnreachable,
    UnknownStore,
)
from bafl.store.http import HttpSession
from bafl.store.unixfs import MAX_BLOCK_BYTES, file_blocks
from bafl.types import Root
from bafl.urls import gateway_url, masked

_NOT_THERE = {404, 410, 451, 504}
"""What a gateway says that found no block, or may not give it."""
_BUSY = {429, 503}
_BUSY_S = 30.0


class GatewayStore:
    """Payloads from a gateway. Each fetch has its own connection, so threads never share one."""

    name = "gateway"
    read_only = True

    def __init__(self, url: str) -> None:
        """url: such as http://127.0.0.1:8080 or https://ipfs.io. Nothing is sent yet.

        Raises UnknownStore for what is no such address.
        """
        try:
            self._url = gateway_url(url)
        except ValueError as error:
            raise UnknownStore(f"gateway: {masked(url)[:120]!r} {error}") from None

    def fetch(self, root: Root, into: Path, limit: int, timeout_s: float) -> None:
        """Fetch a payload block by block; see `Store.fetch`.

        Memory holds one block (at most 2 MiB), and no block is asked for beyond what a payload of
        `limit` bytes has. PayloadTooLarge is proven by the root block: no gateway can feign it.
        Raises FalseBlock for a block that is not its CID's, StoreUnreachable or StoreBusy where the
        gateway does not work as one.
        """
        deadline = time.monotonic() + timeout_s
        with HttpSession(deadline) as http:
            parts = file_blocks(root, limit, lambda wanted: self.block(http, wanted))
            receive(parts, root, into, limit, deadline)

    def put(self, path: Path) -> Root:
        """Refused with ReadOnlyStore."""
        raise ReadOnlyStore(f"cannot add {path.name}: {self.describe()} {_ONLY_READS}")

    def pin(self, root: Root) -> None:
        """Refused with ReadOnlyStore."""
        raise ReadOnlyStore(f"cannot pin {cid(root)}: {self.describe()} {_ONLY_READS}")

    def unpin(self, root: Root) -> None:
        """Without effect: nothing is ever pinned here."""

    def has(self, root: Root) -> bool:
        """Nothing is here: a gateway is the network."""
        return False

    def describe(self) -> str:
        """One line for a person: without the path, which may hold a key."""
        parts = urlsplit(self._url)
        return f"IPFS gateway {parts.scheme}://{parts.netloc}"

    def block(self, http: HttpSession, root: Root) -> bytes:
        """Return one block, checked."""
        text = cid(root)
        try:
            answer = http.get(f"{self._url}/ipfs/{text}?format=raw", MAX_BLOCK_BYTES)
        except TimeoutError:
            raise PayloadUnavailable(
                f"{text} did not come in time from {self.describe()}; try again later"
            ) from None
        except ConnectionError as error:
            raise StoreUnreachable(
                f"cannot read {text}: {self.describe()} {error}; check its address and the network"
            ) from error
        if answer.status in _NOT_THERE:
            raise PayloadUnavailable(
                f"{self.describe()} has no {text}: it answers {answer.phrase}; try again later"
            )
        if answer.status in _BUSY:
            raise StoreBusy(
                f"cannot read {text}: {self.describe()} is busy and answers {answer.phrase}; "
                "try again later, or name another gateway",
                answer.retry_after_s or _BUSY_S,
            )
        if answer.status != 200:
            raise StoreUnreachable(
                f"cannot read {text}: {self.describe()} answers {answer.phrase}; is it an IPFS "
                "gateway that gives raw blocks?"
            )
        if hashlib.sha256(answer.body).digest() != root.digest:
            size = len(answer.body)
            shown = f"{size} bytes" if size <= MAX_BLOCK_BYTES else "more than any block has"
            raise FalseBlock(
                f"{self.describe()} gave other bytes than {text} has ({shown}): it lies or is "
                "broken; use another one"
            )
        return answer.body


_ONLY_READS = "only reads; name a store of your own (local:FOLDER or kubo:MULTIADDR) to write to"
