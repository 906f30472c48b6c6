"""Participants' own names, from their profiles; foreign text, so shown with care."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from bafl import strictjson
from bafl.errors import BaflError
from bafl.foreign import printable
from bafl.types import RAW, Root

if TYPE_CHECKING:
    from bafl.chain.records import Member
    from bafl.store.base import Store

MAX_BYTES = 4_096
MAX_NAME = 24
TIMEOUT_S = 2.0
LOOK_S = 4.0
AT_ONCE = 16


class Names:
    """Looks profiles up once each. A profile that is missing or none leaves the address alone."""

    def __init__(self, store: Store | None, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds; tests move their own."""
        self._store = store
        self._clock = clock
        self._known: dict[bytes, str] = {bytes(32): ""}

    def of(self, members: Mapping[str, Member]) -> Mapping[str, str]:
        """Return names by address, of those who gave one, within `LOOK_S` seconds.

        Anybody may join with a profile that nobody has: what there was no time for comes later.
        """
        if self._store is not None:
            self._learn(self._store, {member.profile for member in members.values()})
        names = {address: self._known.get(m.profile, "") for address, m in members.items()}
        return {address: name for address, name in names.items() if name}

    def _learn(self, store: Store, profiles: Set[bytes]) -> None:
        last = self._clock() + LOOK_S - TIMEOUT_S

        def learn(profile: bytes) -> None:
            if self._clock() <= last:
                self._known[profile] = _name(store, profile)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(learn, p) for p in profiles - self._known.keys()]:
                done.result()


def _name(store: Store, profile: bytes) -> str:
    try:
        with tempfile.TemporaryDirectory(prefix="bafl-") as folder:
            path = Path(folder) / "profile"
            store.fetch(Root(profile, RAW), path, MAX_BYTES, TIMEOUT_S)
            value = strictjson.load(path.read_bytes(), MAX_BYTES)
    except (BaflError, strictjson.JsonRefused, OSError):
        return ""
    name = value.get("name") if isinstance(value, dict) else None
    return printable(name, None)[:MAX_NAME].strip() if isinstance(name, str) else ""
