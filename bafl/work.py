"""What a node works out between looking and sending: train, score, recompute, publish, tidy up.

Each method is one job, runs in a thread, and ends by writing the journal; done twice it gives the
same, so a crash in the middle costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bafl import protocol, replay
from bafl.aggregate import exact
from bafl.aggregate.clipped_mean import squared_norm_of
from bafl.aggregate.rules import clipped
from bafl.chain.history import History
from bafl.codec.model import flat, flatten, read_model, unflat
from bafl.codec.update import UpdateFile, read_update, write_update
from bafl.errors import ChainError, ManifestError, PayloadError, StoreError, TrainingError
from bafl.journal import Journal
from bafl.judge import rules
from bafl.judge.copies import Authored, copied, tiny
from bafl.judge.score import Candidate, Loss, Verdicts, score_window
from bafl.protocol import Recomputed, Scored, Trained
from bafl.replay import Federal
from bafl.store.shelf import Shelf
from bafl.tasks.arrays import load_arrays, state_arrays
from bafl.tasks.base import Task, TrainContext, TrainingStopped, holdout_of
from bafl.types import Encoding, UpdateHeader, UpdateRecord, Window

log = logging.getLogger("bafl.node")

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Bench:
    """What a judge is given: a window on the bench.

    loss: hold-out loss of weights (P,). base: float32 (P,). candidates, authors: one an update.
    """

    loss: Loss
    base: Vector
    genesis_loss: float
    candidates: Sequence[Candidate]
    authors: Sequence[str]


Judge = Callable[[Bench], Verdicts]


def honest(bench: Bench) -> Verdicts:
    """Judge as DESIGN says; see `bafl.judge.score.score_window`."""
    return score_window(bench.loss, bench.base, bench.genesis_loss, bench.candidates)


class Work:
    """The jobs of one node. `history` is set by the node at each look."""

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
    ) -> None:
        """secret: seeds the hold-out of each window, so that nobody can foresee it.

        Raises ManifestError if the task's model does not fit the federation's manifest.
        """
        self.federal = federal
        self.journal = journal
        self.shelf = shelf
        self.task = task
        self.address = address
        self.judge = judge
        self.stopping = threading.Event()
        self._secret = secret
        self._residuals = home / "residuals"
        self._residuals.mkdir(parents=True, exist_ok=True)
        flatten(state_arrays(task.model()), federal.manifest)

    # --- training ---

    def train(self, action: protocol.Train) -> None:
        """Train on a version and journal the update. Raises TrainingError if it is not finite."""
        manifest = self.federal.manifest
        file = read_model(
            replay.model(self.federal, self.history, action.version, self.shelf), manifest
        )
        model = self.task.model()
        load_arrays(model, file.tensors)
        context = TrainContext(
            base_version=action.version,
            seed=self._seed("train", action.version),
            should_stop=self.stopping.is_set,
        )
        try:
            self.task.train(model, context)
        except TrainingStopped:
            return
        delta = flatten(state_arrays(model), manifest) - flat(file)
        if not np.isfinite(delta).all():
            raise TrainingError(
                f"training on version {action.version} gave weights that are not finite: lower "
                "the learning rate, clip gradients, or look for broken rows in the data"
            )
        lost = self.journal.residual()
        if lost is not None and (self._residuals / lost).exists():
            delta = delta + np.load(self._residuals / lost, allow_pickle=False)
        self._write(delta, action.version)

    def _write(self, delta: Vector, version: int) -> None:
        manifest, federal = self.federal.manifest, self.federal
        encoding = Encoding.INT8 if Encoding.INT8 in manifest.encodings else manifest.encodings[0]
        header = UpdateHeader(federal.chain_id, federal.address, self.address, version, encoding)
        with tempfile.TemporaryDirectory(dir=self.shelf.folder, prefix=".update-") as folder:
            path = Path(folder) / "update"
            residual = write_update(path, delta, header, manifest)
            root = self.shelf.keep(path)
        name = f"{root.digest.hex()}.npy"
        np.save(self._residuals / name, residual, allow_pickle=False)
        self.journal.train(Trained(version, root, encoding, self.task.samples), name)

    def give_up(self, trained: Trained) -> None:
        """Give up an update that the contract will never take."""
        self.journal.drop(trained)
        (self._residuals / f"{trained.root.digest.hex()}.npy").unlink(missing_ok=True)
        log.warning("%s: gave up an update of version %d", self.address, trained.base_version)

    def publish(self, action: protocol.Publish) -> None:
        """Put an own update's payload into the store, now that its submission is confirmed."""
        root = self.journal.own(action.update).trained.root
        self.shelf.publish(root)
        self.journal.pin(action.update // 16, root)
        self.journal.published(action.update)

    def resolve(self, action: protocol.Resolve) -> None:
        """Keep what an own update's encoding lost if it was used; forget it if not."""
        window, index = divmod(action.update, 16)
        if not self.history.ended(window):
            return
        tallied = self.history.tallied(window)
        used = (
            self.history.version_of(window) is not None
            and tallied is not None
            and tallied.verdicts[index].used
        )
        own = self.journal.own(action.update)
        self.journal.resolved(action.update, used)
        if not used:
            (self._residuals / own.residual).unlink(missing_ok=True)

    # --- judging ---

    def score(self, action: protocol.Score, window: Window) -> None:
        """Fetch a window's payloads, score them on the hold-out and journal the verdict."""
        manifest = self.federal.manifest
        records = self.history.updates(window.id)
        if len(records) != window.updates:
            raise ChainError(
                f"the RPC's log shows {len(records)} of the {window.updates} updates of window "
                f"{window.id}: it lags behind, or drops logs"
            )
        base = read_model(
            replay.model(self.federal, self.history, window.base_version, self.shelf), manifest
        )
        candidates = self._candidates(records, time.time() + self._patience(window))
        measure = holdout_of(self.task, self._seed("holdout", window.id))
        model = self.task.model()

        def loss(weights: Vector) -> float:
            load_arrays(model, unflat(weights, base))
            return measure(model).loss

        genesis = read_model(replay.model(self.federal, self.history, 0, self.shelf), manifest)
        bench = Bench(
            loss, flat(base), loss(flat(genesis)), candidates, [r.participant for r in records]
        )
        verdicts = self.judge(bench)
        self.journal.score(window.id, window.tag, Scored(verdicts.scores, verdicts.keep))

    def _candidates(self, records: Sequence[UpdateRecord], until_s: float) -> list[Candidate]:
        found: dict[int, UpdateFile] = {}
        codes: dict[int, int] = {}
        for record in records:
            try:
                found[record.id] = self._fetch(record, until_s)
                self.journal.pin(record.window, record.root)
            except (PayloadError, ManifestError) as error:
                codes[record.id] = rules.MALFORMED
                log.warning("update %d is malformed: %s", record.id, error)
            except StoreError as error:
                codes[record.id] = rules.UNAVAILABLE_OR_COPY
                log.warning("update %d is unavailable: %s", record.id, error)
        norms = {id_: exact.norm_of(squared_norm_of(file)) for id_, file in found.items()}
        median = sorted(norms.values())[(len(norms) - 1) // 2] if norms else 0.0
        for record in records:
            file = found.get(record.id)
            if file is None:
                continue
            if tiny(norms[record.id], median) or self._copied(record, file):
                codes[record.id] = rules.UNAVAILABLE_OR_COPY
                del found[record.id]
        deltas = dict(zip(found, clipped(list(found.values())), strict=True))
        return [
            Candidate(code=codes[r.id]) if r.id in codes else Candidate(delta=deltas[r.id])
            for r in records
        ]

    def _fetch(self, record: UpdateRecord, until_s: float) -> UpdateFile:
        """Wait for a payload until `until_s`: its author publishes it after the confirmation."""
        while True:
            try:
                path = self.shelf.path(record.root)
                break
            except StoreError:
                if time.time() >= until_s or self.stopping.wait(0.5):
                    raise
        return read_update(path, self.federal.header(record), self.federal.manifest)

    def _copied(self, record: UpdateRecord, file: UpdateFile) -> bool:
        mine = Authored(record.participant, file.array())
        first = max(1, record.window - protocol.RING + 1)
        for window in range(first, record.window + 1):
            for other in self.history.updates(window):
                if other.id >= record.id or other.participant == record.participant:
                    continue
                if not self.shelf.has(other.root):
                    continue
                try:
                    theirs = read_update(
                        self.shelf.path(other.root),
                        self.federal.header(other),
                        self.federal.manifest,
                    )
                except (PayloadError, ManifestError):
                    continue
                if copied(mine, [Authored(other.participant, theirs.array())]):
                    log.warning("update %d is a copy of update %d", record.id, other.id)
                    return True
        return False

    def _patience(self, window: Window) -> float:
        """Seconds to wait for missing payloads: half of what is left, to leave time to score."""
        return max(0.0, (window.deadline_s - time.time()) / 2)

    def recompute(self, action: protocol.Recompute, window: Window) -> None:
        """Work out the next model, keep and publish it, and measure it on the hold-out."""
        base = self.history.versions[window.base_version].root
        root = replay.recompute(self.federal, self.history, window.id, base, self.shelf)
        self.shelf.publish(root)
        model = self.task.model()
        load_arrays(model, read_model(self.shelf.path(root), self.federal.manifest).tensors)
        metric = self.task.evaluate(model).metric
        millionths = round(metric * 1e6) if math.isfinite(metric) else 0
        self.journal.recompute(action.window, action.tag, Recomputed(root, millionths))

    def forget(self, action: protocol.Forget) -> None:
        """Unpin the payloads of a window that are part of no version; keep the others."""
        tallied = self.history.tallied(action.window)
        final = self.history.version_of(action.window) is not None
        used = {
            record.root
            for record in self.history.updates(action.window)
            if final and tallied is not None and tallied.verdicts[record.index].used
        }
        for root in self.journal.pins(action.window):
            if root not in used:
                self.shelf.drop(root)
        self.journal.forget(action.window)

    def _seed(self, purpose: str, number: int) -> int:
        message = f"bafl {purpose} {number}".encode()
        return int.from_bytes(hmac.new(self._secret, message, hashlib.sha256).digest()[:4], "big")
