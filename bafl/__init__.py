"""Blockchain-based asynchronous federated learning.

The public API, loaded when it is asked for: `import bafl` is instant and needs neither torch nor
web3 nor numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bafl.chain.connection import Connection
    from bafl.chain.federation import Federation
    from bafl.chain.history import History, HistoryFile
    from bafl.chain.keys import KeySource, load_key
    from bafl.chain.sender import Sender
    from bafl.errors import (
        AuditError,
        BaflError,
        ChainError,
        ContractRefusal,
        DataError,
        DevnetError,
        KeystoreError,
        ManifestError,
        OutsideError,
        PayloadError,
        RefusedError,
        SettingsError,
        StoreError,
        TaskError,
        TrainingError,
        UsageError,
    )
    from bafl.founding import found
    from bafl.manifest import Manifest
    from bafl.node import Node, NodeOptions
    from bafl.replay import AuditReport, audit
    from bafl.settings import FederationSettings, NodeSettings
    from bafl.store.base import Store, open_store, open_stores
    from bafl.tasks import open_task
    from bafl.tasks.base import Evaluation, Metric, Task, TrainContext
    from bafl.tasks.torch import TorchTask

__version__ = "0.1.0"

__all__ = [
    "AuditError",
    "AuditReport",
    "BaflError",
    "ChainError",
    "Connection",
    "ContractRefusal",
    "DataError",
    "DevnetError",
    "Evaluation",
    "Federation",
    "FederationSettings",
    "History",
    "HistoryFile",
    "KeySource",
    "KeystoreError",
    "Manifest",
    "ManifestError",
    "Metric",
    "Node",
    "NodeOptions",
    "NodeSettings",
    "OutsideError",
    "PayloadError",
    "RefusedError",
    "Sender",
    "SettingsError",
    "Store",
    "StoreError",
    "Task",
    "TaskError",
    "TorchTask",
    "TrainContext",
    "TrainingError",
    "UsageError",
    "__version__",
    "audit",
    "found",
    "load_key",
    "open_store",
    "open_stores",
    "open_task",
]

_ERRORS = (
    "AuditError", "BaflError", "ChainError", "ContractRefusal", "DataError", "DevnetError",
    "KeystoreError", "ManifestError", "OutsideError", "PayloadError", "RefusedError",
    "SettingsError", "StoreError", "TaskError", "TrainingError", "UsageError",
)  # fmt: skip

_HOMES = {
    **dict.fromkeys(_ERRORS, "bafl.errors"),
    "AuditReport": "bafl.replay",
    "Connection": "bafl.chain.connection",
    "Evaluation": "bafl.tasks.base",
    "Federation": "bafl.chain.federation",
    "FederationSettings": "bafl.settings",
    "History": "bafl.chain.history",
    "HistoryFile": "bafl.chain.history",
    "KeySource": "bafl.chain.keys",
    "Manifest": "bafl.manifest",
    "Metric": "bafl.tasks.base",
    "Node": "bafl.node",
    "NodeOptions": "bafl.node",
    "NodeSettings": "bafl.settings",
    "Sender": "bafl.chain.sender",
    "Store": "bafl.store.base",
    "Task": "bafl.tasks.base",
    "TorchTask": "bafl.tasks.torch",
    "TrainContext": "bafl.tasks.base",
    "audit": "bafl.replay",
    "found": "bafl.founding",
    "load_key": "bafl.chain.keys",
    "open_store": "bafl.store.base",
    "open_stores": "bafl.store.base",
    "open_task": "bafl.tasks",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bafl' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
