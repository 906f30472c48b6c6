"""What can go wrong with a store or a CID.

UsageError
└── UnknownStore             a store's description that names none of ours
RefusedError
└── InvalidCid               text that is no CID of a payload
StoreError
├── StoreUnreachable         a daemon that is down, or went down midway
├── StoreFull                no room for a payload
├── PayloadUnavailable       nobody gave the payload in time
└── WrongBytes               bytes, or a CID, other than asked for
"""

from __future__ import annotations

from bafl.errors import RefusedError, StoreError, UsageError


class UnknownStore(UsageError):
    """A store's description that names none of ours, or leads nowhere."""


class InvalidCid(RefusedError):
    """Text that is no CID of a payload."""


class StoreUnreachable(StoreError):
    """A daemon that is down, went down midway, or refuses."""


class StoreFull(StoreError):
    """No room for a payload."""


class PayloadUnavailable(StoreError):
    """A payload that nobody gave in time."""


class WrongBytes(StoreError):
    """Bytes, or a CID, other than asked for."""
