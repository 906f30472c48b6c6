"""Every error BAFL raises on purpose.

    BaflError
    ├── UsageError               wrong arguments or settings                (exit 2)
    │   ├── SettingsError        a TOML or an environment that is wrong; lists every mistake
    │   ├── TaskError            a task that is unknown or breaks what it promises (tasks/)
    │   └── KeystoreError        a keystore that is missing, unreadable or locked
    ├── RefusedError             what was asked for is not allowed          (exit 1)
    │   ├── PayloadError         a payload that breaks the format (codec/)
    │   ├── ManifestError        a manifest or model that does not fit
    │   ├── JournalError         a journal that is held, foreign or damaged
    │   ├── TrainingError        training gave a loss or weights that are not finite
    │   ├── ContractRefusal      the contract said no, decoded (chain/)
    │   └── AuditError           a history that does not replay
    └── OutsideError             the outside world is not as it should be   (exit 3)
        ├── DataError            a data set that is missing, or other than expected (data/)
        ├── ChainError           RPC unreachable, wrong chain, no contract, no funds (chain/)
        ├── StoreError           a store that does not answer or lies (store/)
        ├── DiskError            our own disk takes nothing: it is full, or refuses
        └── DevnetError          Anvil or Kubo could not be started (devnet/)

Messages say what happened, to which thing, and what to do now.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class BaflError(Exception):
    """Root of the tree; `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(BaflError):
    """Wrong arguments or settings."""

    exit_code = 2


class SettingsError(UsageError):
    """Settings that are wrong; the message lists every mistake."""


class TaskError(UsageError):
    """A task that is unknown, wrongly set up, or that breaks what it promises (tasks/)."""


class KeystoreError(UsageError):
    """A key that is missing, unreadable or locked."""


class RefusedError(BaflError):
    """What was asked for is not allowed."""

    exit_code = 1


class ManifestError(RefusedError):
    """A manifest that is malformed, or a model that does not fit it."""


class JournalError(RefusedError):
    """A journal that another node holds, that belongs to another node, or that is damaged."""


class TrainingError(RefusedError):
    """Training gave a loss or weights that are not finite."""


class AuditError(RefusedError):
    """A history that does not replay to the digests on the chain."""


class PayloadError(RefusedError):
    """A payload that breaks the format; subclasses say how (codec/)."""


class ContractRefusal(RefusedError):
    """The contract said no; subclasses, `name` and `arguments` say why (chain/).

    name: of the custom error. arguments: its values by name.
    """

    name: str = ""
    arguments: Mapping[str, object] = MappingProxyType({})


class OutsideError(BaflError):
    """The outside world is not as it should be."""

    exit_code = 3


class DataError(OutsideError):
    """A data set that is missing, cannot be fetched, or is other than expected (data/)."""


class ChainError(OutsideError):
    """RPC unreachable, another chain, no contract there, or no funds (chain/)."""


class StoreError(OutsideError):
    """A store that does not answer, or lies (store/)."""


class DiskError(OutsideError):
    """Our own disk takes nothing: it is full, or refuses; what was on it is still there."""


class DevnetError(OutsideError):
    """Anvil or Kubo could not be started or found (devnet/)."""
