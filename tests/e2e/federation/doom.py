"""A process that kills itself (SIGKILL) between two things a node does, where it is told to."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from bafl.chain.sender import Sender
from bafl.journal import Journal
from bafl.store.shelf import Shelf

BOUNDARIES: tuple[tuple[type, tuple[str, ...]], ...] = (
    (Journal, ("train", "score", "recompute", "sign", "settle", "published", "resolved")),
    (Sender, ("sign", "broadcast", "wait")),
    (Shelf, ("keep", "publish")),
)


TRANSACTIONS = ("submitUpdate", "commitScores", "revealScores", "multicall", "attestModel")
"""What every node sends sooner or later; a multicall is commit and reveal, or reveal and tally."""

MOMENTS: tuple[str, ...] = tuple(
    f"{when} {what}"
    for what in (
        *(f"Sender.broadcast {name}" for name in TRANSACTIONS),
        *(f"{kind.__name__}.{name}" for kind, names in BOUNDARIES for name in names),
    )
    for when in ("before", "after")
)


def foretell(nth: int) -> None:
    """From now on, die before or after one of the calls above: at the nth of all such moments."""
    left = threading.Semaphore(nth - 1)

    def moment(*_: object) -> None:
        if not left.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGKILL)

    for kind, names in BOUNDARIES:
        for name in names:
            _watch(kind, name, moment)


def foretell_at(moment: str) -> None:
    """From now on, die at the first such moment: one of `MOMENTS`."""
    when, what, *of = moment.split()
    wanted_kind, wanted_name = what.split(".")
    (kind,) = (kind for kind, _ in BOUNDARIES if kind.__name__ == wanted_kind)

    def die(at: str, given: tuple[Any, ...]) -> None:
        if at == when and (not of or given[1].name == of[0]):
            os.kill(os.getpid(), signal.SIGKILL)

    _watch(kind, wanted_name, die)


def _watch(kind: type, name: str, moment: Callable[[str, tuple[Any, ...]], None]) -> None:
    method = getattr(kind, name)

    @functools.wraps(method)
    def call(*given: Any, **named: Any) -> Any:
        moment("before", given)
        result = method(*given, **named)
        moment("after", given)
        return result

    setattr(kind, name, call)
