"""What can go wrong with a store or a CID.

UsageError
└── UnknownStore             a store's description that names none of ours
RefusedError
└── InvalidCid               text that is no CID of a payload
StoreError
├── ReadOnlyStore            a store that takes nothing was to keep something
├── StoreUnreachable         a daemon or gateway that is down, or went down midway
│   └── StoreBusy            one that asks to be left alone for a while
├── StoreFull                no room for a payload
├── PayloadLost              a payload that our own disk did not keep
├── PayloadUnavailable       nobody gave the payload in time
└── WrongBytes               bytes, or a CID, other than asked for
    └── FalseBlock           a block that is not its CID's: whoever gave it lies or is broken
"""

from __future__ import annotations

from bafl.errors import RefusedError, StoreError, UsageError


class UnknownStore(UsageError):
    """A store's description that names none of ours, or leads nowhere."""


class InvalidCid(RefusedError):
    """Text that is no CID of a payload."""


class ReadOnlyStore(StoreError):
    """A store that only reads was asked to keep something."""


class StoreUnreachable(StoreError):
    """A daemon or gateway that is down, went down midway, or refuses."""


class StoreBusy(StoreUnreachable):
    """A gateway that asks to be left alone for `seconds`."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class StoreFull(StoreError):
    """No room for a payload."""


class PayloadLost(StoreError):
    """A payload that was here, and that our own disk did not keep: no author is to blame."""


class PayloadUnavailable(StoreError):
    """A payload that nobody gave in time."""


class WrongBytes(StoreError):
    """Bytes, or a CID, other than asked for; it may be their author's doing."""


class FalseBlock(WrongBytes):
    """A block with another digest than its CID's: whoever gave it lies, or is broken."""
