"""Participants' own names, from their profiles; foreign text, so shown with care."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
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


class Names:
    """Looks profiles up once each. A profile that is missing or none leaves the address alone."""

    def __init__(self, store: Store | None) -> None:
        self._store = store
        self._known: dict[bytes, str] = {bytes(32): ""}

    def of(self, members: Mapping[str, Member]) -> Mapping[str, str]:
        """Return names by address, of those who gave one."""
        names = {address: self._name(member.profile) for address, member in members.items()}
        return {address: name for address, name in names.items() if name}

    def _name(self, profile: bytes) -> str:
        if profile not in self._known:
            self._known[profile] = self._fetch(profile) if self._store else ""
        return self._known[profile]

    def _fetch(self, profile: bytes) -> str:
        if self._store is None:
            return ""
        try:
            with tempfile.TemporaryDirectory(prefix="bafl-") as folder:
                path = Path(folder) / "profile"
                self._store.fetch(Root(profile, RAW), path, MAX_BYTES, TIMEOUT_S)
                value = strictjson.load(path.read_bytes(), MAX_BYTES)
        except (BaflError, strictjson.JsonRefused, OSError):
            return ""
        name = value.get("name") if isinstance(value, dict) else None
        return printable(name, None)[:MAX_NAME].strip() if isinstance(name, str) else ""
