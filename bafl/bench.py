"""What a validator has before it when it judges a window: payloads fetched, read and compared.

All of it comes from strangers: nothing here lasts longer than it was given, and no payload keeps
another from being judged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bafl import protocol
from bafl.aggregate import exact
from bafl.aggregate.clipped_mean import squared_norm_of
from bafl.aggregate.rules import rule_of
from bafl.chain.history import History
from bafl.codec.update import UpdateFile, partition, read_update
from bafl.errors import BaflError, ManifestError, PayloadError, StoreError
from bafl.judge import rules
from bafl.judge.copies import copies, tiny
from bafl.judge.score import Candidate, Loss, Verdicts, score_window
from bafl.replay import Federal
from bafl.store.shelf import ABSENT, Shelf
from bafl.types import Root, UpdateRecord

log = logging.getLogger("bafl.node")

Vector = NDArray[np.float32]

_COPY_BLOCK = 1 << 16  # values of every update of the ring at a time: 100 MB for a full one


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
    """Judge as docs/protocol.md says; see `bafl.judge.score.score_window`."""
    return score_window(bench.loss, bench.base, bench.genesis_loss, bench.candidates)


def candidates(
    federal: Federal,
    history: History,
    window: int,
    shelf: Shelf,
    patience_s: float,
    go_on: Callable[[], object],
    keep: Callable[[list[Root]], object] = lambda _: None,
) -> list[Candidate]:
    """Fetch a window's payloads and say of each what there is to judge.

    patience_s: how long to wait for what is missing. go_on: called often; what it raises ends it.
    keep: told which payloads are updates of this federation.
    Raises StoreError where our own store or disk is to blame: an author is not.
    """
    records = history.updates(window)
    found, codes = _fetch(federal, records, shelf, patience_s, go_on)
    keep([record.root for record in records if record.id in found])
    squared = {id_: squared_norm_of(file) for id_, file in found.items()}
    # Updates that are nothing say nothing about how large an update is.
    sized = [value for value in squared.values() if value > 0]
    median = exact.norm_of(exact.lower_median(sized)) if sized else 0.0
    copied = _copies(federal, history, window, shelf, found, go_on)
    for id_, value in squared.items():
        if tiny(exact.norm_of(value), median) or id_ in copied:
            codes[id_] = rules.UNAVAILABLE_OR_COPY
            del found[id_]
    clipped = rule_of(federal.manifest.rule).clipped(
        list(found.values()), [squared[id_] for id_ in found]
    )
    deltas = dict(zip(found, clipped, strict=True))
    return [
        Candidate(code=codes[r.id]) if r.id in codes else Candidate(delta=deltas[r.id])
        for r in records
    ]


def _fetch(
    federal: Federal,
    records: Sequence[UpdateRecord],
    shelf: Shelf,
    patience_s: float,
    go_on: Callable[[], object],
) -> tuple[dict[int, UpdateFile], dict[int, int]]:
    """Return the readable updates and the codes of the others, by id.

    An author publishes after the confirmation, so what is missing is waited for.
    """
    got = shelf.gather({record.root for record in records}, patience_s, go_on)
    found: dict[int, UpdateFile] = {}
    codes: dict[int, int] = {}
    for record in records:
        file = got[record.root]
        try:
            if isinstance(file, BaflError):
                raise file
            found[record.id] = read_update(file, federal.header(record), federal.manifest)
        except ABSENT as error:
            codes[record.id] = rules.UNAVAILABLE_OR_COPY
            log.warning("update %d is unavailable: %s", record.id, error)
        except (PayloadError, ManifestError) as error:
            if shelf.has(record.root) and not shelf.sound(record.root):
                raise StoreError(
                    f"the file of update {record.id} in {shelf.folder} lost its bytes: "
                    "it will be fetched again"
                ) from error
            codes[record.id] = rules.MALFORMED
            log.warning("update %d is malformed: %s", record.id, error)
    return found, codes


def _copies(
    federal: Federal,
    history: History,
    judged: int,
    shelf: Shelf,
    found: Mapping[int, UpdateFile],
    go_on: Callable[[], object],
) -> set[int]:
    """Return the ids of updates that are copies of another author's earlier one in the ring."""
    if federal.manifest.parameters < rules.COPY_MIN_WEIGHTS or not found:
        return set()
    files: list[tuple[int, UpdateFile]] = []
    for window in range(max(1, judged - protocol.RING + 1), judged):
        for record in history.updates(window):
            go_on()
            file = _shelved(federal, record, shelf)
            if file is not None:
                files.append((record.id, file))
    files += sorted(found.items())
    ids = [id_ for id_, _ in files]
    copied = originals([file for _, file in files], len(found), go_on)
    for copy, original in copied.items():
        log.warning("update %d is a copy of update %d", ids[copy], ids[original])
    return {ids[copy] for copy in copied}


def originals(
    files: Sequence[UpdateFile], judged: int, go_on: Callable[[], object] = lambda: None
) -> dict[int, int]:
    """Find the copies among the last `judged` updates, and of which; see `bafl.judge.copies`.

    Each file is read once; memory holds a block of each. go_on: called between blocks.
    """

    def blocks() -> Iterator[list[Vector]]:
        for spec, start, stop in partition(files[0].manifest, _COPY_BLOCK):
            go_on()
            yield [file.read(spec, start, stop) for file in files]

    return copies([file.header.participant for file in files], judged, blocks())


def _shelved(federal: Federal, record: UpdateRecord, shelf: Shelf) -> UpdateFile | None:
    if not shelf.has(record.root):
        return None
    try:
        path = shelf.path(record.root)
        return read_update(path, federal.header(record), federal.manifest)
    except (PayloadError, ManifestError, StoreError):
        return None
