"""What a node works out between looking and sending: train, score, recompute, publish, tidy up.

Each method is one job, runs in a thread, and ends by writing the journal; done twice it gives the
same, so a crash in the middle costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bafl import protocol, replay
from bafl.aggregate.rules import rule_of
from bafl.bench import Bench, Judge, candidates, honest
from bafl.chain.history import History
from bafl.codec.errors import TensorError
from bafl.codec.files import whole
from bafl.codec.model import ModelFile, flat, flatten, read_model, unflat
from bafl.codec.update import encoding_for, write_update
from bafl.errors import (
    BaflError,
    ChainError,
    ManifestError,
    PayloadError,
    TaskError,
    TrainingError,
)
from bafl.journal import Journal
from bafl.manifest import Manifest
from bafl.protocol import Recomputed, Scored, Trained
from bafl.replay import Federal
from bafl.store.cid import root_of
from bafl.store.shelf import Shelf
from bafl.tasks.arrays import load_arrays, state_arrays
from bafl.tasks.base import Checked, Task, TrainContext, TrainingStopped, holdout_of
from bafl.types import Encoding, Root, UpdateHeader, View, Window, place_of

__all__ = ["Bench", "ChainClock", "JobStopped", "Judge", "Work", "honest", "model_for"]

log = logging.getLogger("bafl.node")

Vector = NDArray[np.float32]
Contents = tuple[int, int]

_MOST_SAMPLES = 2**32 - 1
_MOST_METRIC = 2**63 - 1
_CLOCK_BLOCKS = 16


class JobStopped(BaflError):
    """The node is stopping, or what a job was for is over; nothing came of it."""

    exit_code = 130


class ChainClock:
    """The chain's time between its blocks, whatever this machine's clock says.

    Goes by the latest blocks only, so that no false time is believed for ever.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds; tests move their own."""
        self._clock = clock
        self._latest_s = -math.inf
        self._ahead_s: tuple[float, ...] = ()

    def see(self, block_time_s: float) -> None:
        """Take in the time of the newest block: it is never later than now.

        From block to block it only grows: where it does not, what was seen before was false, or of
        a chain that was set back.
        """
        if block_time_s == self._latest_s:
            return
        before = self._ahead_s[1 - _CLOCK_BLOCKS :] if block_time_s > self._latest_s else ()
        self._ahead_s = (*before, block_time_s - self._clock())
        self._latest_s = block_time_s

    def now_s(self) -> float:
        """Seconds since 1970, as far as the blocks seen tell."""
        return self._clock() + max(self._ahead_s, default=-math.inf)


def _millionths(metric: float) -> int:
    """Return a metric as the contract takes it. Raises ValueError if it is not finite."""
    if not math.isfinite(metric):
        raise ValueError(f"the metric is {metric}")
    return max(-_MOST_METRIC, min(round(Fraction(float(metric)) * 10**6), _MOST_METRIC))


def model_for(task: Task, manifest: Manifest) -> Any:
    """Return a model of the task's, looked at whether the federation can train it.

    Raises ManifestError if it does not fit the manifest, or for a rule this BAFL does not know;
    TaskError for a number of samples that cannot be declared, or what a task's own check finds.
    """
    rule_of(manifest.rule)
    if not 1 <= task.samples <= _MOST_SAMPLES:
        raise TaskError(f"task {task.name} has {task.samples} samples; give it at least one")
    model = task.model()
    try:
        flatten(state_arrays(model), manifest)
    except TensorError as error:
        raise ManifestError(
            f"task {task.name} makes another model than the federation's: {error}; "
            "use the owner's module and settings"
        ) from error
    if isinstance(task, Checked):
        task.check()
    return model


class Work:
    """The jobs of one node, which shows it what it saw (`see`) before each.

    `train` and `score` raise JobStopped when the node is stopping; the others come to their end.
    """

    history: History

    def __init__(
        self,
        federal: Federal,
        journal: Journal,
        shelf: Shelf,
        task: Task,
        address: str,
        secret: bytes,
        home: Path,
        judge: Judge = honest,
        encoding: Encoding | None = None,
    ) -> None:
        """secret: seeds the hold-out of each window, so that nobody can foresee it.

        encoding: of this node's updates; None for the one the federation allows that BAFL prefers.
        Tidies up what an earlier run left in `shelf` and `home`; both are this node's alone.
        Raises ManifestError if the task's model does not fit the federation's manifest, TaskError
        for a number of samples that cannot be declared or a task that fails its own check,
        EncodingRefused.
        """
        self.federal = federal
        self.encoding = encoding_for(federal.manifest, encoding)
        self.journal = journal
        self.shelf = shelf
        self.task = task
        self.address = address
        self.judge = judge
        self.stopping = threading.Event()
        self.clock = ChainClock()
        self._to_score: Contents | None = None
        self._secret = secret
        self._spare_models = [model_for(task, federal.manifest)]
        self._residuals = home / "residuals"
        self._residuals.mkdir(parents=True, exist_ok=True)
        self._sweep_residuals()
        shelf.tidy()

    def see(self, view: View, history: History) -> None:
        """Take in how things stand. history: one that nobody folds further."""
        self.history = history
        self.clock.see(view.block_time_s)
        scores = view.duties.can_commit or view.duties.can_reveal
        self._to_score = (view.judging.id, view.judging.tag) if scores else None

    # --- training ---

    def train(self, action: protocol.Train) -> None:
        """Train on a version and journal the update. Raises TrainingError if it is not finite."""
        manifest = self.federal.manifest
        base = replay.version(self.history, action.version).root.digest
        file = self._model(action.version)
        model = self.task.model()
        load_arrays(model, file.tensors)
        context = TrainContext(
            base_version=action.version,
            # The same version may be trained again, when a window came to nothing.
            seed=self._seed("train", action.version, self.journal.trainings()),
            should_stop=self.stopping.is_set,
        )
        try:
            self.task.train(model, context)
        except TrainingStopped as stopped:
            raise JobStopped(str(stopped)) from stopped
        delta = flatten(state_arrays(model), manifest) - flat(file)
        if not np.isfinite(delta).all():
            raise TrainingError(
                f"training on version {action.version} gave weights that are not finite: lower "
                "the learning rate, clip gradients, or look for broken rows in the data"
            )
        for update in self.journal.unresolved():
            self.resolve(protocol.Resolve(update))
        owed = self.journal.owed()
        try:
            self._write(self._made_good(delta, owed.values()), action.version, base, owed)
        except PayloadError as error:
            raise TrainingError(f"the update of version {action.version}: {error}") from error

    def _write(self, delta: Vector, version: int, base: bytes, carries: Iterable[int]) -> None:
        federal = self.federal
        header = UpdateHeader(
            federal.chain_id, federal.address, self.address, version, self.encoding
        )
        with self.shelf.workspace() as folder:
            residual = write_update(folder / "update", delta, header, federal.manifest)
            root = self.shelf.keep(folder / "update")
        name = f"{root.digest.hex()}.npy"
        with whole(self._residuals / name) as out:
            np.save(out, residual, allow_pickle=False)
        trained = Trained(version, root, self.encoding, self.task.samples, base)
        self.journal.train(trained, name, carries)
        self._sweep_residuals()

    def _made_good(self, delta: Vector, names: Iterable[str]) -> Vector:
        """Add what encodings lost of used updates (error feedback), where it is (soundly) there."""
        for name in names:
            try:
                with (self._residuals / name).open("rb") as file:
                    lost: Vector = np.load(file, allow_pickle=False)
                if lost.shape != delta.shape or lost.dtype != np.float32:
                    raise ValueError("of another model")
                summed = delta + lost
                if not np.isfinite(summed).all():
                    raise ValueError("not finite")
            except (OSError, ValueError, EOFError) as error:
                log.warning("%s: training without the residual %s: %s", self.address, name, error)
            else:
                delta = summed
        return delta

    def _sweep_residuals(self) -> None:
        """Remove the residuals that nothing needs; only the one job that writes them does so."""
        needed = self.journal.residuals()
        for file in self._residuals.iterdir():
            if file.name not in needed:
                file.unlink(missing_ok=True)

    def stands(self, trained: Trained) -> bool:
        """Whether the version an update was trained on is still the same model, as far as known."""
        versions = self.history.versions
        if not trained.base_digest or trained.base_version >= len(versions):
            return True
        return versions[trained.base_version].root.digest == trained.base_digest

    def give_up(self, trained: Trained) -> None:
        """Give up an update that the contract will never take, unless it did."""
        if self.journal.drop(trained):
            if trained.root not in self.journal.pinned_after(0):
                self.shelf.remove(trained.root)
            log.warning("%s: gave up an update of version %d", self.address, trained.base_version)

    def publish(self, action: protocol.Publish) -> None:
        """Put an own update's payload into the store, now that its submission is confirmed."""
        own = self.journal.own(action.update)
        if own is None:
            return  # a reorg took it
        self.shelf.publish(own.trained.root)
        self.journal.pin(place_of(action.update)[0], own.trained.root)
        self.journal.published(action.update)

    def resolve(self, action: protocol.Resolve) -> None:
        """Note whether an own update was used: what its encoding lost counts only then.

        A final version says so before its window is settled; the next training starts from it.
        """
        window, index = place_of(action.update)
        final = self.history.version_of(window) is not None
        if not final and not self.history.ended(window):
            return
        tallied = self.history.tallied(window)
        used = final and tallied is not None and tallied.verdicts[index].used
        self.journal.resolved(action.update, used)

    # --- judging ---

    def score(self, action: protocol.Score, window: Window) -> None:
        """Fetch a window's payloads, score them on the hold-out and journal the verdict.

        Raises JobStopped when it is too late for the window, StoreError where our own store or
        disk is to blame: an author is not.
        """
        contents = (window.id, window.tag)
        history = self.history
        records = history.updates(window.id)
        if len(records) != window.updates:
            raise ChainError(
                f"the RPC's log shows {len(records)} of the {window.updates} updates of window "
                f"{window.id}: it lags behind, or drops logs"
            )
        base, genesis = self._model(window.base_version), self._model(0)

        def keep(roots: list[Root]) -> None:
            for root in roots:
                self.journal.pin(window.id, root)
            self.shelf.hold(roots)

        found = candidates(
            self.federal,
            history,
            window.id,
            self.shelf,
            self._patience_s(window),
            lambda: self._go_on(contents),
            keep,
        )
        measure = holdout_of(self.task, self._seed("holdout", window.id))
        start, first = flat(base), flat(genesis)
        with self._spare_model() as model:

            def loss(weights: Vector) -> float:
                self._go_on(contents)
                load_arrays(model, unflat(weights, base))
                try:
                    return measure(model).loss
                except Exception as error:
                    # Only weights that everybody agreed on show a fault of the task.
                    if weights is start or weights is first:
                        raise
                    log.warning("window %d: weights that break the task: %r", window.id, error)
                    return math.inf

            authors = [record.participant for record in records]
            verdicts = self.judge(Bench(loss, start, loss(first), found, authors))
        self.journal.score(window.id, window.tag, Scored(verdicts.scores, verdicts.keep))

    def _patience_s(self, window: Window) -> float:
        """Seconds to wait for missing payloads: half of what is left, to leave time to score."""
        return max(0.0, (window.deadline_s - self.clock.now_s()) / 2)

    def recompute(self, action: protocol.Recompute, window: Window) -> None:
        """Work out the next model, keep it, and measure it on the hold-out."""
        base = replay.version(self.history, window.base_version).root
        root = replay.recompute(self.federal, self.history, window.id, base, self.shelf)
        tensors = read_model(self.shelf.path(root), self.federal.manifest).tensors
        with self._spare_model() as model:
            load_arrays(model, tensors)
            try:
                millionths = _millionths(self.task.evaluate(model).metric)
            except Exception as error:  # noqa: BLE001 - a task may raise anything
                # Nothing rests on the metric: it must not keep the model from being attested.
                log.warning("window %d: attested with a metric of 0: %r", window.id, error)
                millionths = 0
        self.journal.recompute(action.window, action.tag, Recomputed(root, millionths))

    def offer(self, action: protocol.Offer) -> None:
        """Put the next model that was worked out for a window into the store."""
        root = self.journal.model(action.window, action.tag)
        if root is not None and self.shelf.has(root):
            self.shelf.publish(root)
        self.journal.offered(action.window, action.tag)

    def forget(self, action: protocol.Forget) -> None:
        """Let go of a window's payloads that are part of no version; the store keeps the others.

        Anybody may submit any root. So nothing that a version rests on is let go, and nothing is
        unpinned that was not seen to be an update, or made here.
        """
        window, history = action.window, self.history
        versions = {record.root for record in history.versions}
        used = {root for w in history.windows for root in self._used(w)}
        needed = used | versions | {root_of(self.federal.manifest.to_json())}
        held = set(self.journal.pins(window)) | self.journal.models(window)
        later = self.journal.pinned_after(window)
        for root in held - needed - later:
            self.shelf.drop(root)
        for root in {record.root for record in history.updates(window)} - held - needed - later:
            self.shelf.remove(root)
        for root in ((self._used(window) | held & needed) - versions - later) & self.shelf.roots():
            if self.shelf.store.has(root):
                self.shelf.remove(root)
        recent = {record.root for record in history.versions[-protocol.RING :]}
        for root in self.shelf.roots() & versions - recent - {history.genesis}:
            self.shelf.remove(root)
        self.journal.forget(window)

    def _used(self, window: int) -> set[Root]:
        tallied = self.history.tallied(window)
        if tallied is None or self.history.version_of(window) is None:
            return set()
        updates = self.history.updates(window)
        return {record.root for record in updates if tallied.verdicts[record.index].used}

    # --- parts ---

    def _model(self, version: int) -> ModelFile:
        path = replay.model(self.federal, self.history, version, self.shelf)
        return read_model(path, self.federal.manifest)

    @contextlib.contextmanager
    def _spare_model(self) -> Iterator[Any]:
        """A model to load weights into: a task's model() may be expensive."""
        model = self._spare_models.pop() if self._spare_models else self.task.model()
        yield model
        self._spare_models.append(model)

    def _go_on(self, contents: Contents) -> None:
        if self.stopping.is_set():
            raise JobStopped("the node is stopping")
        if contents != self._to_score:
            raise JobStopped(f"window {contents[0]} takes no more scores")

    def _seed(self, purpose: str, *numbers: int) -> int:
        message = " ".join(["bafl", purpose, *map(str, numbers)]).encode()
        return int.from_bytes(hmac.new(self._secret, message, hashlib.sha256).digest()[:4], "big")
