"""A participant's node: looks at the chain, asks `decide` what to do, does it, and looks again.

All rules are elsewhere (the contract, `protocol`); this shell only carries things between the
chain, the store, the task and the journal. Whatever may take long runs in threads beside the loop;
what fails because the outside world does not answer is tried again at a later look.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bafl import protocol, replay
from bafl.chain import calls
from bafl.chain.federation import Federation
from bafl.chain.history import History, HistoryFile
from bafl.chain.sender import Sender
from bafl.errors import (
    BaflError,
    ContractRefusal,
    JournalError,
    ManifestError,
    OutsideError,
    RefusedError,
    TrainingError,
)
from bafl.journal import Journal
from bafl.manifest import Manifest
from bafl.outbox import Outbox
from bafl.protocol import Action, Options
from bafl.store.base import Store
from bafl.store.shelf import Shelf
from bafl.tasks.base import Task
from bafl.threads import in_thread
from bafl.types import Encoding, View
from bafl.work import JobStopped, Judge, Work, honest

log = logging.getLogger("bafl.node")

_HOPELESS = (TrainingError, JournalError, ManifestError)
"""Refusals that end a node; any other is about what strangers sent, and may pass."""

_CLOCK_TOLD_S = 300.0
"""A change of so much between the chain's clock and this machine's is worth a line."""

_LAST_LOOK_S = 1.0
"""So long a node that stops waits to see what it leaves undone."""

_BEHIND_LOOKS = 5
"""So often in a row an older view than one seen before is passed over."""


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """How a node runs. Times in seconds; confirmations: blocks before a submission counts.

    encoding: of its updates; None for the federation's usual one (`bafl.codec.update`).
    stop_grace_s: how long a node that stops waits for what is under way, before it leaves it to
    its next start.
    """

    protocol: Options = field(default_factory=Options)
    poll_s: float = 2.0
    confirmations: int = 1
    encoding: Encoding | None = None
    fetch_timeout_s: float = 30.0
    retry_s: float = 5.0
    transaction_timeout_s: float = 600.0
    stop_grace_s: float = 4.0


class Node:
    """One participant of one federation, until told to stop."""

    def __init__(
        self,
        *,
        federation: Federation,
        sender: Sender,
        store: Store,
        task: Task,
        manifest: Manifest,
        home: Path,
        options: NodeOptions | None = None,
        judge: Judge = honest,
    ) -> None:
        """home: folder of the journal, payloads and residuals; one a node.

        Raises JournalError if another node uses `home`, ManifestError if the task's model does
        not fit the federation's, TaskError if the task fails its own check, EncodingRefused if the
        federation does not allow that encoding.
        """
        self.options = options or NodeOptions()
        self.federation = federation
        self.address = sender.address
        self.journal = Journal(
            home / "journal.sqlite", federation.chain_id, federation.address, self.address
        )
        self.outbox = Outbox(
            federation,
            sender,
            self.journal,
            self.options.transaction_timeout_s,
            self.options.confirmations,
        )
        with contextlib.ExitStack() as undo:
            undo.callback(self.journal.close)
            self.history_file = HistoryFile(federation, home / "history.sqlite")
            undo.callback(self.history_file.close)
            limit, timeout_s = manifest.size_limit, self.options.fetch_timeout_s
            shelf = Shelf(home / "payloads", store, limit, timeout_s)
            federal = replay.Federal(federation.chain_id, federation.address, manifest)
            secret = hmac.new(sender.account.key, b"BAFL hold-out", hashlib.sha256).digest()
            self.work = Work(
                federal,
                self.journal,
                shelf,
                task,
                self.address,
                secret,
                home,
                judge,
                self.options.encoding,
            )
            undo.pop_all()
        self._busy: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._failure: BaseException | None = None
        self._rest_until: dict[tuple[str, int], float] = {}
        self._seen: dict[tuple[str, int], float] = {}
        self._sending = False
        self._view: View | None = None
        self._newest_block = 0
        self._behind = 0
        self._gaps = 0
        self._told_ahead_s = 0.0
        self._reading = threading.Lock()
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Take part until `stop` is set. Raises what cannot be mended by trying again.

        On return the journal is closed, so nothing goes on; what was begun is in it.
        """
        log.info("%s: node started", self.address)
        if self.journal.cut_off:
            log.warning(
                "%s: the last run was cut off; going on with %s", self.address, self._left()
            )
        stopped = asyncio.create_task(stop.wait())
        looking: asyncio.Task[float] | None = None
        try:
            while not stop.is_set():
                self._wake.clear()  # what ends from here on is not in this look's view
                looking = asyncio.create_task(self._look())
                await asyncio.wait({looking, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if self._failure is not None:
                    raise self._failure
                if looking.done():
                    await self._pause(stopped, looking.result())
        finally:
            self.work.stopping.set()
            stopped.cancel()
            await self._wind_up(looking)
            log.info("%s: node stopped", self.address)

    def _left(self) -> str:
        """What the journal holds that is not done yet, for a person."""
        notes = self.journal.notes(0, 0, {}, frozenset())
        sent = ", ".join(f"{note.name} (nonce {note.nonce})" for note in self.journal.unsettled())
        left = [
            f"the transaction {sent}" if sent else "",
            f"an update of version {notes.trained.base_version}" if notes.trained else "",
        ]
        return " and ".join(part for part in left if part) or "what the chain asks for next"

    async def _wind_up(self, looking: asyncio.Task[float] | None) -> None:
        """Wait a little for what is under way, and leave the rest: it is done again."""
        tasks = {*self._busy.values(), *([looking] if looking is not None else [])}
        try:
            if tasks:
                _, late = await asyncio.wait(tasks, timeout=self.options.stop_grace_s)
                for task in late:
                    task.cancel()
                if late:
                    left = ", ".join(" ".join(map(str, key)) for key in self._busy) or "looking"
                    log.warning("%s: stopping in the middle of: %s", self.address, left)
                await asyncio.gather(*tasks, return_exceptions=True)
            await self._tell_owed()
        finally:
            self.journal.close()
            with contextlib.suppress(TimeoutError):  # held while the chain does not answer
                await asyncio.wait_for(in_thread(self.history_file.close), 1.0)

    async def _tell_owed(self) -> None:
        """Warn of scores that are committed to and not revealed: staying away costs stake."""
        view = self._view
        with contextlib.suppress(TimeoutError, OutsideError, ContractRefusal):
            look = in_thread(lambda: self.federation.view(self.address))
            view = await asyncio.wait_for(look, _LAST_LOOK_S)
        if view is None:
            return
        parameters = self.federation.parameters
        deadline_s = protocol.reveal_by(view, parameters.reveal_period_s)
        slash = parameters.min_stake_wei * parameters.slash_ppm // 1_000_000
        self.work.clock.see(view.block_time_s)
        left_s = None if deadline_s is None else deadline_s - self.work.clock.now_s()
        if left_s is None or left_s <= 0 or slash == 0:
            return
        # A stranger's contract may give a deadline that no calendar has.
        left = timedelta(seconds=min(int(left_s), 2**32))
        log.warning(
            "%s: window %d: scores committed, not revealed: start again before %s (in %s), or %s "
            "is slashed",
            self.address,
            view.judging.id,
            (datetime.now(UTC) + left).astimezone().strftime("%H:%M:%S"),
            left,
            self.federation.currency.format(slash),
        )

    # --- looking ---

    async def _look(self) -> float:
        """Look, start what is to be done, and return the seconds until the next look."""
        under_way = set(self._busy)
        try:
            view = await in_thread(self._read)
        except (OutsideError, ContractRefusal) as error:
            self._tell_wait("looking at the chain", error)
            return self.options.retry_s
        if view is None or not under_way <= self._busy.keys():
            return (
                self.options.poll_s
            )  # something was done meanwhile that this view may not show: look again
        now = time.monotonic()
        turns = protocol.open_turns(view)
        self._seen = {key: self._seen.get(key, now) for key in turns}
        self._rest_until = {key: until for key, until in self._rest_until.items() if until > now}
        busy = frozenset(self._busy) | frozenset(self._rest_until)
        confirmed = view.block + 1 - self.options.confirmations
        notes = self.journal.notes(view.judging.id, confirmed, self._seen, busy, self._sending)
        for action in protocol.decide(view, notes, self.options.protocol, self.address, now):
            self._start(action, view)
        return self.options.poll_s

    def _read(self) -> View | None:
        """See how things stand; None if that is older than what was seen before."""
        # The view first: what it speaks of is then in the history for certain.
        view = self.federation.view(self.address)
        history = self._log()
        # An RPC of many machines goes back only for a moment, a reorg for good.
        self._behind = self._behind + 1 if view.block < self._newest_block else 0
        if 0 < self._behind < _BEHIND_LOOKS or history.block < view.block:
            log.info("%s: the RPC is behind what it said before; looking again", self.address)
            return None
        mine = history.updates_by(self.address)
        if any(record.block > view.block for record in mine):
            return None  # a view from before our last submission would ask for it again
        if not self._agree(view, history):
            return None
        self._tell_time(view)
        self._view = view
        self._newest_block = view.block
        self.journal.reconcile(mine)
        self.work.see(view, history)
        return view

    def _log(self) -> History:
        """The newest history, which nobody goes on folding into."""
        with self._reading:
            return self.history_file.sync().copy()

    def _agree(self, view: View, history: History) -> bool:
        """Whether the log holds what the contract says; one that again does not is read anew."""
        lacks = _lacking(view, history, self.federation, self.address)
        if lacks is None:
            self._gaps = 0
            return True
        self._gaps += 1
        # Ever more rarely: an RPC that never has it all is not asked for all of it at each look.
        anew = self._gaps > 1 and self._gaps & (self._gaps - 1) == 0
        what = "reading it all anew" if anew else "looking again"
        log.warning(
            "%s: the RPC's log lacks %s: it lags, or drops logs; %s", self.address, lacks, what
        )
        if anew:
            self.history_file.reread()
        return False

    def _tell_time(self, view: View) -> None:
        """Say how far the chain's clock is from this machine's, when that is new."""
        ahead_s = view.block_time_s - time.time()
        if abs(ahead_s - self._told_ahead_s) > _CLOCK_TOLD_S:
            self._told_ahead_s = ahead_s
            log.warning(
                "%s: the chain's clock is %s %s this machine's (which may be wrong, or have "
                "jumped); deadlines go by the chain's",
                self.address,
                timedelta(seconds=round(abs(ahead_s))),
                "ahead of" if ahead_s > 0 else "behind",
            )

    def _start(self, action: Action, view: View) -> None:
        self._sending = self._sending or isinstance(action, protocol.Transaction)
        task = asyncio.create_task(self._do(action, view))
        self._busy[action.key] = task
        task.add_done_callback(lambda done: self._done(action, done))

    def _done(self, action: Action, task: asyncio.Task[None]) -> None:
        del self._busy[action.key]
        if isinstance(action, protocol.Transaction):
            self._sending = False
        self._failure = self._failure or (None if task.cancelled() else task.exception())
        self._wake.set()

    # --- doing ---

    async def _do(self, action: Action, view: View) -> None:
        started = time.monotonic()
        try:
            await self._perform(action, view)
        except JobStopped as stopped:
            self._rest(action, self.options.poll_s)
            level = logging.INFO if self.work.stopping.is_set() else logging.WARNING
            log.log(level, "%s: left %s: %s", self.address, _name(action), stopped)
        except ContractRefusal as refusal:
            self._rest(action, self.options.poll_s)
            log.info("%s: %s was refused: %s", self.address, _name(action), refusal)
        except OutsideError as error:
            self._rest(action, self.options.retry_s)
            self._tell_wait(_name(action), error)
        except _HOPELESS:
            raise
        except RefusedError as error:
            self._rest(action, self.options.retry_s)
            log.error("%s: cannot %s: %s", self.address, _name(action), error)
        else:
            # At the next look this may not show yet; asking again at once would go in circles.
            self._rest(action, self.options.poll_s)
            log.info("%s: %s (%.1f s)", self.address, _name(action), time.monotonic() - started)

    async def _perform(self, action: Action, view: View) -> None:
        if isinstance(action, protocol.Submit) and not self.work.stands(action.trained):
            await in_thread(lambda: self._give_up(action))
            raise JobStopped("a reorg put another model in the place of the one it was trained on")
        do, call = self.work, self.outbox.call(action, self.work.history)
        if call is not None:
            try:
                await in_thread(lambda: self._mined(self.outbox.send(_name(action), call)))
            except ContractRefusal as refusal:
                if isinstance(action, protocol.Submit) and _for_good(refusal, view):
                    await in_thread(lambda: self._give_up(action))
                if isinstance(action, protocol.Commit | protocol.Reveal) and action.last:
                    # It is owed; that what comes next cannot come along must not keep it back.
                    await self._perform(replace(action, last=False), view)
                else:
                    raise
            return
        jobs: dict[type[Action], Callable[[Any], None]] = {
            protocol.Resume: lambda _: self._mined(self.outbox.resume()),
            protocol.Train: do.train,
            protocol.Publish: do.publish,
            protocol.Resolve: do.resolve,
            protocol.Score: lambda a: do.score(a, view.judging),
            protocol.Recompute: lambda a: do.recompute(a, view.judging),
            protocol.Offer: do.offer,
            protocol.Forget: do.forget,
        }
        await in_thread(lambda: jobs[type(action)](action))

    def _give_up(self, action: protocol.Submit) -> None:
        # Not before the newest log was asked: perhaps it is refused because it was taken.
        self.journal.reconcile(self._log().updates_by(self.address))
        self.work.give_up(action.trained)

    def _mined(self, block: int) -> None:
        self._newest_block = max(self._newest_block, block)

    # --- waiting ---

    def _tell_wait(self, what: str, error: BaflError) -> None:
        again = self.options.retry_s
        log.warning("%s: %s has to wait (again in %g s): %s", self.address, what, again, error)

    async def _pause(self, stopped: asyncio.Task[Any], seconds: float) -> None:
        woken = asyncio.create_task(self._wake.wait())
        waits = {woken, stopped}
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()

    def _rest(self, action: Action, seconds: float) -> None:
        self._rest_until[action.key] = time.monotonic() + seconds


def _name(action: Action) -> str:
    """Return an action as a person reads it: "score window 7"."""
    match action:
        case protocol.Train(version):
            return f"train on version {version}"
        case protocol.Submit(trained):
            return f"submit an update of version {trained.base_version}"
    kind, number = action.key
    if isinstance(action, protocol.Publish | protocol.Resolve):
        return f"{kind} update {number}"
    return f"{kind} window {number}" if number else kind


def _lacking(view: View, history: History, federation: Federation, address: str) -> str | None:
    """What of an older view is not in a history, for a person; None if nothing is."""
    for window in (view.judging, view.open):
        there = len(history.updates(window.id))
        if there < window.updates:
            return f"{window.updates - there} of the {window.updates} updates of window {window.id}"
    judged = view.judging
    if judged.tag and judged.base_version < len(history.versions):
        base, updates = history.versions[judged.base_version].root, history.updates(judged.id)
        place = (federation.chain_id, federation.address, judged.id)
        # Scores and models are bound to the tag: they must be of what it stands for.
        if calls.window_tag(*place, updates, base) != judged.tag:
            return f"the updates of window {judged.id} as the contract has them"
    mine = {(record.window, record.index) for record in history.updates_by(address)}
    me = view.participant
    for number, index in zip(me.pending_windows, me.pending_indices, strict=True):
        if number and (number, index) not in mine:
            return f"an update of our own in window {number}"
    return None


def _for_good(refusal: ContractRefusal, view: View) -> bool:
    """Whether an update that was refused like this will never be taken."""
    if refusal.name == "BaseNotNewer":
        # The base of the last update counts again while it is the latest version.
        return refusal.arguments["base"] != view.head.version
    if refusal.name == "BaseNotFinal":
        # Either the RPC lags, or its version is gone: after a deep reorg, on a chain made anew.
        base = refusal.arguments["base"]
        return isinstance(base, int) and base > view.head.version
    return refusal.name == "BaseTooStale"
