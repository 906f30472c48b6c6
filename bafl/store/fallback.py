"""Several stores as one: read from the first that gives the right bytes, write to one's own.

One's own stores (that take payloads) are asked first, always, and whatever happened before. The
others, read-only, are spared while there is no point in asking them:

- one that is down, or busy, is asked again after 5 s, twice as long after each failure, up to 5
  minutes, or when it says;
- one that has not got a payload is asked again for the same one after 5 s;
- one that was caught giving wrong bytes is set aside for an hour. One's own store, caught, is asked
  last for that time.

Caught is who gives a block with another digest than its CID's, or other bytes for a payload than
those another store gives rightly. Wrong bytes alone prove nothing: an author can publish a file
whose CID no store of ours gives.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bafl.codec.errors import PayloadTooLarge
from bafl.errors import BaflError, StoreError
from bafl.store.base import Store
from bafl.store.cid import cid
from bafl.store.errors import (
    FalseBlock,
    PayloadLost,
    PayloadUnavailable,
    ReadOnlyStore,
    StoreBusy,
    StoreUnreachable,
    UnknownStore,
    WrongBytes,
)
from bafl.types import Root

T = TypeVar("T")

log = logging.getLogger(__name__)

REST_S = 5.0
MOST_REST_S = 300.0
ABSENT_S = 5.0
ASIDE_S = 3600.0

Said = tuple["_Source", BaflError]


class Fallback:
    """Stores in the order in which they are asked, one's own before the read-only ones.

    A fetch divides its time: each store gets an equal part of what those before it left.
    """

    name = "fallback"

    def __init__(
        self, stores: Sequence[Store], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises UnknownStore without any store. clock: seconds; tests move their own."""
        if not stores:
            raise UnknownStore("no store is named: there is nothing to read from")
        self._sources = [_Source(s) for s in sorted(stores, key=lambda store: store.read_only)]
        self._own = [source.store for source in self._sources if not source.store.read_only]
        self.read_only = not self._own
        self._clock = clock
        self._lock = threading.Lock()

    def fetch(self, root: Root, into: Path, limit: int, timeout_s: float) -> None:
        """Bring a payload from the first store that gives it; see `Store.fetch`.

        Where none does, what is raised follows one's own stores, if there are any: that a gateway
        is down says nothing about a payload, that one's own is down leaves open who is to blame.
        The message says what each store said.
        """
        ends = self._clock() + timeout_s
        asked, said = self._turn(root)
        for place, source in enumerate(asked):
            share = (ends - self._clock()) / (len(asked) - place)
            if share <= 0:
                late = PayloadUnavailable(f"no time was left to ask {source.store.describe()}")
                said.append((source, late))
                continue
            try:
                source.store.fetch(root, into, limit, share)
            except (StoreError, PayloadTooLarge) as error:
                said.append((source, error))
                self._failed(source, root, error)
            else:
                self._worked(source, root, said)
                return
        raise _verdict(root, said)

    def put(self, path: Path) -> Root:
        """Add and pin a file in one's own stores; see `Store.put`. Raises ReadOnlyStore."""
        return self._to_own(f"cannot add {path.name}", lambda store: store.put(path))

    def pin(self, root: Root) -> None:
        """Keep a payload in one's own stores; see `Store.pin`. Raises ReadOnlyStore."""
        self._to_own(f"cannot pin {cid(root)}", lambda store: store.pin(root))

    def unpin(self, root: Root) -> None:
        """Let a payload go in one's own stores."""
        if self._own:
            self._to_own(f"cannot unpin {cid(root)}", lambda store: store.unpin(root))

    def has(self, root: Root) -> bool:
        """Whether each of one's own stores has the payload, so that it need not be kept here."""
        return bool(self._own) and all(store.has(root) for store in self._own)

    def describe(self) -> str:
        """One line for a person, in the order of asking."""
        return ", then ".join(source.store.describe() for source in self._sources)

    def _to_own(self, what: str, act: Callable[[Store], T]) -> T:
        """Do it in each of one's own stores, whichever of them fail; raise the first failure."""
        results: list[T] = []
        failures: list[StoreError] = []
        for store in self._own:
            try:
                results.append(act(store))
            except StoreError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        if not results:
            raise ReadOnlyStore(
                f"{what}: {self.describe()} only gives; name a store of your own "
                "(local:FOLDER or kubo:MULTIADDR) to write to"
            )
        return results[0]

    def _turn(self, root: Root) -> tuple[list[_Source], list[Said]]:
        """Whom to ask, in order; and what stands in for the answers of the others."""
        now = self._clock()
        asked: list[_Source] = []
        spared: list[Said] = []
        with self._lock:
            for source in self._sources:
                why = source.reason_to_spare(root, now) if source.store.read_only else None
                if why is None:
                    asked.append(source)
                else:
                    spared.append((source, why))
            asked.sort(key=lambda source: source.aside_until > now)
        return asked, spared

    def _failed(self, source: _Source, root: Root, error: BaflError) -> None:
        now = self._clock()
        if isinstance(error, FalseBlock):
            self._catch(source, root, str(error))
        elif isinstance(error, StoreUnreachable):
            with self._lock:
                source.failures += 1
                pause = min(REST_S * 2 ** min(source.failures - 1, 10), MOST_REST_S)
                if isinstance(error, StoreBusy):
                    pause = max(pause, min(error.seconds, ASIDE_S))
                source.rests_until = now + pause
                first = source.failures == 1
            if first:
                log.warning("%s (other stores are asked meanwhile)", error)
        elif isinstance(error, PayloadUnavailable) and source.store.read_only:
            with self._lock:
                source.absent = {r: until for r, until in source.absent.items() if until > now}
                source.absent[root] = now + ABSENT_S

    def _worked(self, source: _Source, root: Root, said: list[Said]) -> None:
        with self._lock:
            recovered = source.failures > 0
            source.failures, source.rests_until = 0, 0.0
        if recovered:
            log.warning("%s works again", source.store.describe())
        for other, error in said:
            if isinstance(error, WrongBytes | PayloadTooLarge):
                self._catch(
                    other,
                    root,
                    f"{other.store.describe()} gave other bytes than {cid(root)} has, which "
                    f"{source.store.describe()} gave rightly: it lies or is broken",
                )

    def _catch(self, source: _Source, root: Root, what: str) -> None:
        now = self._clock()
        with self._lock:
            known = source.aside_until > now
            if not known:
                source.aside_until = now + ASIDE_S
        if not known:
            from_now = "set aside" if source.store.read_only else "asked last"
            log.warning("%s; %s for %d minutes", what, from_now, ASIDE_S // 60)


@dataclass
class _Source:
    """A store and what is remembered of it. Times are of `Fallback`'s clock."""

    store: Store
    failures: int = 0
    rests_until: float = 0.0
    aside_until: float = 0.0
    absent: dict[Root, float] = field(default_factory=dict)

    def reason_to_spare(self, root: Root, now: float) -> BaflError | None:
        """Why not to ask it now, as the answer it would give."""
        if self.aside_until > now:
            left = self.aside_until - now
            return WrongBytes(f"set aside for {left / 60:.0f} more minutes: it gave wrong bytes")
        if self.rests_until > now:
            return StoreUnreachable(f"it failed; asked again in {self.rests_until - now:.0f} s")
        if self.absent.get(root, 0.0) > now:
            return PayloadUnavailable("it had not got it a moment ago")
        return None


def _verdict(root: Root, said: Sequence[Said]) -> BaflError:
    """What to raise where no store gave a payload."""
    errors = [error for _, error in said]
    lines = "".join(f"\n  {source.store.describe()}: {error}" for source, error in said)
    text = f"{cid(root)} came from none of {len(said)} stores:{lines}"
    if any(isinstance(error, PayloadTooLarge) for error in errors):
        return PayloadTooLarge(text)
    if any(not isinstance(error, _ABOUT_THE_STORE) for error in errors):
        lost = any(isinstance(error, PayloadLost) for error in errors)
        return (PayloadLost if lost else StoreError)(text)  # our own disk
    deciding = [error for source, error in said if not source.store.read_only] or errors
    of_own = any(not source.store.read_only for source, _ in said)
    absent = [error for error in deciding if isinstance(error, PayloadUnavailable | WrongBytes)]
    if not absent or (of_own and len(absent) < len(deciding)):
        return StoreUnreachable(text)
    if any(isinstance(error, PayloadUnavailable) for error in absent):
        return PayloadUnavailable(text)
    return WrongBytes(text)


_ABOUT_THE_STORE = (StoreUnreachable, PayloadUnavailable, WrongBytes)
