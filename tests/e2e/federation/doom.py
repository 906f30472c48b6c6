"""A process that kills itself (SIGKILL) at the n-th boundary between two things a node does."""

from __future__ import annotations

import functools
import os
import signal
import threading
from typing import Any

from bafl.chain.sender import Sender
from bafl.journal import Journal
from bafl.store.shelf import Shelf

BOUNDARIES: tuple[tuple[type, tuple[str, ...]], ...] = (
    (Journal, ("train", "score", "recompute", "sign", "settle", "published", "resolved")),
    (Sender, ("sign", "broadcast", "wait")),
    (Shelf, ("keep", "publish")),
)


def foretell(nth: int) -> None:
    """From now on, die before or after one of the calls above: at the nth of all such moments."""
    left = threading.Semaphore(nth - 1)

    def moment() -> None:
        if not left.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(method: Any) -> Any:
        @functools.wraps(method)
        def call(*given: Any, **named: Any) -> Any:
            moment()
            result = method(*given, **named)
            moment()
            return result

        return call

    for kind, names in BOUNDARIES:
        for name in names:
            setattr(kind, name, watched(getattr(kind, name)))
