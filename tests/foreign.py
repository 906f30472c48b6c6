"""Calls of contracts that no artifact of ours knows: a probe, a token."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ForeignCall:
    """A call as `Sender` takes it; name: for its messages."""

    name: str
    encoded: bytes
    to: str
    value_wei: int = 0

    def data(self) -> bytes:
        return self.encoded
