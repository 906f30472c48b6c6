"""What a store is, which ones there are, and the one way bytes come out of any of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bafl.codec.errors import PayloadTooLarge
from bafl.codec.files import whole
from bafl.store.cid import UnixFsHasher, cid
from bafl.store.errors import PayloadUnavailable, UnknownStore, WrongBytes
from bafl.types import Root
from bafl.urls import masked


class Store(Protocol):
    """Keeps payloads by CID. Every method may be called from several threads.

    Any method may raise StoreError: StoreUnreachable, StoreFull, or as said below. An unpinned
    payload may vanish at any time.
    """

    name: str

    @property
    def read_only(self) -> bool:
        """Whether `put` and `pin` are refused with ReadOnlyStore."""

    def put(self, path: Path) -> Root:
        """Add and pin a file; return the root we computed. Raises WrongBytes if the store's
        CID is another."""

    def fetch(self, root: Root, into: Path, limit: int, timeout_s: float) -> None:
        """Bring a payload to the file `into`, which is there only when its CID was checked.

        Raises PayloadTooLarge past limit bytes, PayloadUnavailable if it does not come within
        timeout_s, WrongBytes if other bytes come, PayloadLost if our own disk did not keep it.
        """

    def pin(self, root: Root) -> None:
        """Keep a payload until `unpin`. Raises PayloadUnavailable."""

    def unpin(self, root: Root) -> None:
        """Let a payload go; without effect if it is not pinned."""

    def has(self, root: Root) -> bool:
        """Whether the whole payload is here, without asking the network."""

    def describe(self) -> str:
        """One line for a person: what and where."""


def open_store(spec: str, owner: str = "node") -> Store:
    """Open a store by its description: `local:DIRECTORY`, `kubo:MULTIADDR` or `gateway:URL`.

    owner: in whose name payloads are pinned, where one store serves several nodes.
    Raises UnknownStore, listing the right ones.
    """
    kind, _, where = spec.partition(":")
    opener = _OPENERS.get(kind)
    if opener is None or not where:
        raise UnknownStore(
            f"no store is called {masked(spec)[:120]!r}; use one of: {', '.join(_FORMS.values())}"
        )
    return opener(where, owner)


def open_stores(specs: Sequence[str], owner: str = "node") -> Store:
    """Open one store by its description, or several as one that falls back; see `Fallback`.

    Raises UnknownStore for a description that is none, or without any.
    """
    from bafl.store.fallback import Fallback

    stores = [open_store(spec, owner) for spec in specs]
    return stores[0] if len(stores) == 1 else Fallback(stores)


def receive(parts: Iterable[bytes], root: Root, into: Path, limit: int, deadline: float) -> None:
    """Write a payload as it comes, and keep it only if its CID is right.

    deadline: of time.monotonic(). Raises as `Store.fetch`; nothing is left at `into` then.
    """
    hasher = UnixFsHasher()
    with whole(into) as file:
        for part in parts:
            hasher.update(part)
            if hasher.size > limit:
                raise PayloadTooLarge(f"{cid(root)} has more than the {limit} bytes allowed")
            file.write(part)
            if time.monotonic() > deadline:
                raise PayloadUnavailable(
                    f"{cid(root)} did not come in time ({hasher.size} bytes did); try again later"
                )
        if hasher.root() != root:
            raise WrongBytes(
                f"{cid(root)} was asked for, {cid(hasher.root())} came ({hasher.size} bytes); "
                "ask another store"
            )


def _open_local(where: str, owner: str) -> Store:
    from bafl.store.local import LocalStore

    return LocalStore(Path(where), owner)


def _open_kubo(where: str, _owner: str) -> Store:
    from bafl.store.kubo import KuboStore

    return KuboStore(where)


def _open_gateway(where: str, _owner: str) -> Store:
    from bafl.store.gateway import GatewayStore

    return GatewayStore(where)


_OPENERS: Mapping[str, Callable[[str, str], Store]] = {
    "local": _open_local,
    "kubo": _open_kubo,
    "gateway": _open_gateway,
}
_FORMS = {
    "local": "local:/a/directory",
    "kubo": "kubo:/ip4/127.0.0.1/tcp/5001",
    "gateway": "gateway:http://127.0.0.1:8080",
}
