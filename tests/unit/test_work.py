"""What a node works out, from hostile payloads too; nothing is lost, done twice or left behind."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bafl import protocol
from bafl.codec.errors import EncodingRefused
from bafl.codec.model import flat, flatten, read_model
from bafl.codec.update import read_update
from bafl.devnet import wait_until
from bafl.errors import ChainError, ManifestError, StoreError, TaskError, TrainingError
from bafl.journal import Journal
from bafl.judge import rules
from bafl.manifest import Manifest, RuleSpec
from bafl.protocol import Recomputed, Scored, Trained
from bafl.store.cid import cid
from bafl.store.errors import PayloadLost, StoreFull, StoreUnreachable
from bafl.store.local import LocalStore
from bafl.store.shelf import Shelf
from bafl.tasks.base import Evaluation, TrainContext, TrainingStopped
from bafl.types import Encoding, Phase, Root, TensorSpec, UpdateHeader, UpdateRecord, Window
from bafl.work import ChainClock, JobStopped, Work, model_for
from tests.e2e.federation.softmax import Model, Softmax
from tests.unit.past import CHAIN_ID, FEDERATION, LIMIT, Past, author
from tests.unit.payloads import make_manifest
from tests.unit.views import IDLE, view, window

Vector = npt.NDArray[np.float32]

ME = author(99)
SPECS = (TensorSpec("b", "F32", (10,)), TensorSpec("w", "F32", (64, 10)))
NOW_S = 1_000  # of the chain, whose clock is not this machine's


class Wayward(Softmax):
    """A task that can be made to misbehave."""

    def __init__(self) -> None:
        super().__init__(0, 4)
        self.models = 0
        self.trains: Callable[[Model, TrainContext], None] = super().train
        self.measure: Callable[[Model], Evaluation] = super().evaluate

    def model(self) -> Model:
        self.models += 1
        return super().model()

    def train(self, model: Model, context: TrainContext) -> None:
        self.trains(model, context)

    def evaluate(self, model: Model) -> Evaluation:
        return self.measure(model)

    def holdout(self, seed: int) -> Callable[[Model], Evaluation]:
        return self.evaluate


class Larger(Softmax):
    """Another model than the federation's."""

    def model(self) -> Model:
        return {"b": np.zeros(12, np.float32), "w": np.zeros((64, 10), np.float32)}


def test_a_model_that_does_not_fit_names_the_task_and_the_remedy(manifest: Manifest) -> None:
    said = (
        r"task softmax makes another model than the federation's: tensor 'b' has shape \[12\], "
        r"the manifest says \[10\]; use the owner's module"
    )
    with pytest.raises(ManifestError, match=said):
        model_for(Larger(0, 4), manifest)


def test_a_rule_that_nobody_here_knows_is_refused_before_anything_is_staked(
    manifest: Manifest,
) -> None:
    with pytest.raises(ManifestError, match=r"'median'; this BAFL knows clipped-mean"):
        model_for(Softmax(0, 4), replace(manifest, rule=RuleSpec("median", {})))


class Stubborn(LocalStore):
    """A store that can be down, and that tells when it is asked."""

    down = False
    full = False
    asked: Callable[[Root], object] = staticmethod(lambda root: None)

    def fetch(self, root: Root, into: Path, limit: int, timeout_s: float) -> None:
        self.asked(root)
        if self.down:
            raise StoreUnreachable("no daemon")
        super().fetch(root, into, limit, timeout_s)

    def put(self, path: Path) -> Root:
        if self.full:
            raise StoreFull("no room")
        return super().put(path)


@pytest.fixture
def manifest() -> Manifest:
    return make_manifest(SPECS)


@pytest.fixture
def task() -> Wayward:
    return Wayward()


@pytest.fixture
def past(tmp_path: Path, manifest: Manifest, task: Wayward) -> Past:
    store = LocalStore(tmp_path / "store", "others")
    return Past(tmp_path / "past", store, manifest, task.model())


@pytest.fixture
def store(tmp_path: Path) -> Stubborn:
    return Stubborn(tmp_path / "store", "me")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "home" / "journal.sqlite", CHAIN_ID, FEDERATION, ME)
    yield journal
    journal.close()


def worker(
    tmp_path: Path,
    past: Past,
    journal: Journal,
    store: LocalStore,
    task: Softmax,
    encoding: Encoding | None = None,
) -> Work:
    shelf = Shelf(tmp_path / "home" / "payloads", store, LIMIT)
    home = tmp_path / "home"
    work = Work(past.federal, journal, shelf, task, ME, b"secret", home, encoding=encoding)
    work.see(view(), past.history)
    return work


@pytest.fixture
def work(tmp_path: Path, past: Past, journal: Journal, store: Stubborn, task: Wayward) -> Work:
    return worker(tmp_path, past, journal, store, task)


def trained(journal: Journal) -> Trained:
    update = journal.notes(0, 99, {}, frozenset()).trained
    assert update is not None
    return update


def read(work: Work, update: Trained) -> Vector:
    header = UpdateHeader(CHAIN_ID, FEDERATION, ME, update.base_version, update.encoding)
    return read_update(work.shelf.path(update.root), header, work.federal.manifest).array()


def on_chain(update: Trained, window_: int) -> UpdateRecord:
    return UpdateRecord(16 * window_, ME, 0, update.root, update.encoding, update.samples, 1)


def submitted(journal: Journal, window_: int) -> int:
    record = on_chain(trained(journal), window_)
    journal.reconcile([record])
    return record.id


def used(work: Work, window_: int) -> None:
    """Train an update and let it be submitted, published and used."""
    work.train(protocol.Train(0))
    id_ = submitted(work.journal, window_)
    work.publish(protocol.Publish(id_))
    work.journal.resolved(id_, used=True)


def residuals(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "home" / "residuals").iterdir())


def honest_deltas(past: Past, count: int) -> list[Vector]:
    """What participants learn, each on its own data."""
    deltas = []
    for index in range(count):
        task = Softmax(index, 4)
        model = task.model()
        task.train(model, TrainContext(base_version=0, seed=index))
        deltas.append(flatten(model, past.federal.manifest) - past.genesis)
    return deltas


def judged(past: Past, work: Work, seconds: float = 60) -> Window:
    """Window 1 as it stands, in its turn, with so much time to score it."""
    past.seal(1)
    past.begin(1)
    count = len(past.history.updates(1))
    seen = replace(window(1, Phase.COMMIT, tag=7, updates=count), deadline_s=NOW_S + int(seconds))
    now = replace(view(replace(IDLE, can_commit=True), seen), block_time_s=NOW_S)
    work.see(now, past.history)
    return seen


def scores(work: Work, seen: Window) -> Scored:
    work.score(protocol.Score(seen.id, seen.tag), seen)
    return work.journal.notes(seen.id, 9, {}, frozenset()).scored[seen.id, seen.tag]


# --- training ---


def test_a_trained_update_is_journalled_and_not_yet_published(work: Work, store: Stubborn) -> None:
    work.train(protocol.Train(0))
    update = trained(work.journal)
    assert (update.base_version, update.samples) == (0, work.task.samples)
    assert np.abs(read(work, update)).max() > 0
    assert not store.has(update.root)


@pytest.mark.parametrize(
    ("allowed", "wanted", "chosen"),
    [
        (tuple(Encoding), None, Encoding.INT8),
        ((Encoding.FLOAT32, Encoding.TOPK), None, Encoding.TOPK),
        ((Encoding.FLOAT32,), None, Encoding.FLOAT32),
        (tuple(Encoding), Encoding.TOPK, Encoding.TOPK),
        (tuple(Encoding), Encoding.FLOAT32, Encoding.FLOAT32),
    ],
)
def test_updates_have_the_operators_encoding_or_the_usual_one(
    tmp_path: Path,
    past: Past,
    journal: Journal,
    store: Stubborn,
    task: Wayward,
    allowed: tuple[Encoding, ...],
    wanted: Encoding | None,
    chosen: Encoding,
) -> None:
    past.federal = replace(past.federal, manifest=make_manifest(SPECS, encodings=allowed))
    work = worker(tmp_path, past, journal, store, task, wanted)
    work.train(protocol.Train(0))
    assert trained(journal).encoding == chosen
    assert np.abs(read(work, trained(journal))).max() > 0


def test_an_encoding_that_the_federation_does_not_allow_is_refused_at_once(
    tmp_path: Path, past: Past, journal: Journal, store: Stubborn, task: Wayward
) -> None:
    with pytest.raises(EncodingRefused, match="topk is not allowed here; use one of"):
        worker(tmp_path, past, journal, store, task, Encoding.TOPK)


def test_an_update_is_published_and_pinned_once_it_is_on_the_chain(
    work: Work, store: Stubborn
) -> None:
    work.train(protocol.Train(0))
    root = trained(work.journal).root
    id_ = submitted(work.journal, 1)
    work.publish(protocol.Publish(id_))
    assert store.has(root)
    assert work.journal.pins(1) == (root,)
    assert work.journal.notes(1, 9, {}, frozenset()).unpublished == ()


def test_publishing_what_a_reorg_took_does_nothing(work: Work, store: Stubborn) -> None:
    work.train(protocol.Train(0))
    id_ = submitted(work.journal, 1)
    work.journal.reconcile([])
    work.publish(protocol.Publish(id_))
    assert not store.has(trained(work.journal).root)


def test_the_same_version_trained_again_gives_another_update(work: Work, past: Past) -> None:
    """After a window that came to nothing; else the first one's record would be taken for it."""
    work.train(protocol.Train(0))
    first = trained(work.journal)
    past.record(1, first.root, by=99)
    past.void(1)
    work.journal.reconcile(past.history.updates_by(ME))
    work.resolve(protocol.Resolve(16))
    work.train(protocol.Train(0))
    work.journal.reconcile(past.history.updates_by(ME))
    assert trained(work.journal).root != first.root


def test_a_crash_before_the_journal_gives_the_same_update_again(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = []

    def crash(update: Trained, residual: str, carries: object) -> None:
        roots.append(update.root)
        raise KeyboardInterrupt

    monkeypatch.setattr(work.journal, "train", crash)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            work.train(protocol.Train(0))
    assert roots[0] == roots[1]
    assert work.shelf.roots() - {work.history.genesis} == {roots[0]}


def test_training_that_is_stopped_leaves_nothing(work: Work, task: Wayward) -> None:
    def stop(model: Model, context: TrainContext) -> None:
        raise TrainingStopped("stopped")

    task.trains = stop
    with pytest.raises(JobStopped):
        work.train(protocol.Train(0))
    assert work.journal.trainings() == 0


def test_weights_that_are_not_finite_are_an_error_and_no_update(work: Work, task: Wayward) -> None:
    def explode(model: Model, context: TrainContext) -> None:
        model["b"][0] = np.nan

    task.trains = explode
    with pytest.raises(TrainingError, match="not finite"):
        work.train(protocol.Train(0))
    assert work.journal.trainings() == 0


def test_a_model_too_large_for_a_payload_is_an_error(
    tmp_path: Path, past: Past, journal: Journal, store: Stubborn, task: Wayward
) -> None:
    size = read_model(past.shelf.path(past.history.genesis), past.federal.manifest)
    small = make_manifest(SPECS, size_limit=size.path.stat().st_size, encodings=(Encoding.FLOAT32,))
    past.federal = replace(past.federal, manifest=small)
    with pytest.raises(TrainingError, match="size limit"):
        worker(tmp_path, past, journal, store, task).train(protocol.Train(0))


@pytest.mark.parametrize("samples", [0, 2**32])
def test_a_size_of_data_that_no_contract_takes_is_refused_at_once(
    tmp_path: Path, past: Past, journal: Journal, store: Stubborn, task: Wayward, samples: int
) -> None:
    task.samples = samples
    with pytest.raises(TaskError, match="samples"):
        worker(tmp_path, past, journal, store, task)


def test_what_an_encoding_lost_goes_into_the_next_update(
    work: Work, task: Wayward, tmp_path: Path
) -> None:
    def same(model: Model, context: TrainContext) -> None:
        model["w"] += np.float32(0.01) * np.arange(640, dtype=np.float32).reshape(64, 10)

    task.trains = same
    used(work, 1)
    (residual,) = residuals(tmp_path)
    assert np.abs(np.load(residual)).max() > 0
    (root,) = work.shelf.roots() - {work.history.genesis}
    before = read(work, Trained(0, root, Encoding.INT8, 1))
    work.train(protocol.Train(0))
    assert not np.array_equal(read(work, trained(work.journal)), before)


def saved(values: npt.NDArray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY half a file",
        saved(np.zeros(3, np.float32)),
        saved(np.zeros(650)),
        saved(np.full(650, np.nan, np.float32)),
        None,
    ],
    ids=["empty", "half", "another model's", "of float64", "not finite", "gone"],
)
def test_a_residual_that_is_damaged_or_gone_costs_nothing_but_itself(
    work: Work, tmp_path: Path, content: bytes | None
) -> None:
    used(work, 1)
    (residual,) = residuals(tmp_path)
    if content is None:
        residual.unlink()
    else:
        residual.write_bytes(content)
    work.train(protocol.Train(0))
    assert trained(work.journal).base_version == 0


def test_what_was_lost_is_made_good_before_the_window_is_settled(work: Work, past: Past) -> None:
    """The next training starts from the final version; settlement may take its time."""
    work.train(protocol.Train(0))
    past.record(1, trained(work.journal).root, by=99)
    work.publish(protocol.Publish(submitted(work.journal, 1)))
    past.seal(1)
    past.begin(1)
    past.tally(1, [1_000_000])
    past.finalize(1)
    work.train(protocol.Train(1))
    assert work.journal.unresolved() == ()
    assert work.journal.owed() == {}
    assert len(work.journal.residuals()) == 2


def test_residuals_do_not_pile_up(
    tmp_path: Path, past: Past, work: Work, store: Stubborn, task: Wayward
) -> None:
    for number in range(1, 4):
        used(work, number)
        assert len(residuals(tmp_path)) <= 2  # its own, and the one it makes good
    (tmp_path / "home" / "residuals" / ".0123.npy.part").write_bytes(b"half")
    worker(tmp_path, past, work.journal, store, task)
    assert len(residuals(tmp_path)) == 1  # the last one's


def test_an_update_of_a_model_that_a_reorg_took_does_not_stand(work: Work, past: Past) -> None:
    work.see(view(IDLE), past.history)
    work.train(protocol.Train(0))
    made = work.journal.notes(0, 0, {}, frozenset()).trained
    assert made is not None
    assert made.base_digest == past.history.genesis.digest
    assert work.stands(made)
    assert work.stands(replace(made, base_digest=b""))
    assert work.stands(replace(made, base_version=1)), "a version that is not known may still come"
    assert not work.stands(replace(made, base_digest=bytes(32)))


def test_an_update_given_up_leaves_no_payload(work: Work) -> None:
    work.train(protocol.Train(0))
    update = trained(work.journal)
    work.give_up(update)
    assert not work.shelf.has(update.root)
    assert work.journal.notes(0, 9, {}, frozenset()).trained is None


def test_an_update_that_is_on_the_chain_is_not_given_up(work: Work) -> None:
    work.train(protocol.Train(0))
    update = trained(work.journal)
    id_ = submitted(work.journal, 1)
    work.give_up(update)
    assert work.shelf.has(update.root)
    assert work.journal.notes(0, 9, {}, frozenset()).unpublished == (id_,)


def test_starts_by_removing_what_a_killed_node_left(
    tmp_path: Path, past: Past, journal: Journal, store: Stubborn, task: Wayward
) -> None:
    left = tmp_path / "home" / "payloads" / ".update-1" / "update"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    worker(tmp_path, past, journal, store, task)
    assert not left.parent.exists()


# --- judging ---


def test_scores_every_update_and_pins_it(work: Work, past: Past, store: Stubborn) -> None:
    for by, delta in enumerate(honest_deltas(past, 3), start=1):
        past.submit(1, delta, by)
    scored = scores(work, judged(past, work))
    assert all(score >= rules.ALONE_MIN for score in scored.scores)
    assert scored.keep == 3
    records = past.history.updates(1)
    assert set(work.journal.pins(1)) == {record.root for record in records}
    wait_until(lambda: all(pinned(store, record.root) for record in records), what="our pins")
    for record in records:
        past.store.unpin(record.root)
    assert all(store.has(record.root) for record in records)


def test_one_who_withholds_costs_nobody_else_the_score(work: Work, past: Past) -> None:
    past.submit(1, np.ones(650, np.float32), by=1, publish=False)
    for by, delta in enumerate(honest_deltas(past, 2), start=2):
        past.submit(1, delta, by)
    first, *others = scores(work, judged(past, work, seconds=1)).scores
    assert first == rules.UNAVAILABLE_OR_COPY
    assert all(score >= rules.ALONE_MIN for score in others)


def test_waits_by_the_chains_clock_for_what_is_published_late(
    work: Work, past: Past, store: Stubborn
) -> None:
    (delta,) = honest_deltas(past, 1)
    past.submit(1, delta, by=1, publish=False)
    asked = []

    def publish_on_the_third_question(root: Root) -> None:
        asked.append(root)
        if len(asked) == 3:
            past.store.put(past.folder / "update")

    seen = judged(past, work)
    store.asked = publish_on_the_third_question
    assert scores(work, seen).scores[0] >= rules.ALONE_MIN


def test_blames_no_author_for_a_store_that_is_down(work: Work, past: Past, store: Stubborn) -> None:
    (delta,) = honest_deltas(past, 1)
    past.submit(1, delta, by=1)
    seen = judged(past, work, seconds=1)
    work.shelf.path(past.history.genesis)
    store.down = True
    with pytest.raises(StoreUnreachable):
        scores(work, seen)
    assert not work.journal.notes(1, 9, {}, frozenset()).scored
    store.down = False
    assert scores(work, seen).scores[0] >= rules.ALONE_MIN


def test_blames_no_author_for_what_its_own_disk_lost(
    work: Work, past: Past, store: Stubborn, tmp_path: Path
) -> None:
    (delta,) = honest_deltas(past, 1)
    root = past.submit(1, delta, by=1)
    seen = judged(past, work, seconds=1)
    work.shelf.path(past.history.genesis)
    stored = tmp_path / "store" / "payloads" / cid(root)
    content = stored.read_bytes()
    stored.write_bytes(content[:-1] + b"!")
    with pytest.raises(PayloadLost, match="check the disk"):
        scores(work, seen)
    assert not work.journal.notes(1, 9, {}, frozenset()).scored
    (tmp_path / "again").write_bytes(content)
    past.store.put(tmp_path / "again")
    assert scores(work, seen).scores[0] >= rules.ALONE_MIN


def test_blames_no_author_when_it_is_told_to_stop(work: Work, past: Past, store: Stubborn) -> None:
    past.submit(1, np.ones(650, np.float32), by=1, publish=False)
    seen = judged(past, work)
    store.asked = lambda root: work.stopping.set()
    with pytest.raises(JobStopped):
        scores(work, seen)
    assert not work.journal.notes(1, 9, {}, frozenset()).scored


def test_stops_scoring_a_window_that_takes_no_more_scores(
    work: Work, past: Past, task: Wayward
) -> None:
    for by, delta in enumerate(honest_deltas(past, 2), start=1):
        past.submit(1, delta, by)
    seen, measured = judged(past, work), task.measure
    losses = 0

    def overtaken(model: Model) -> Evaluation:
        nonlocal losses
        losses += 1
        work.see(view(judging=window(1, Phase.ATTEST, tag=7)), past.history)
        return measured(model)

    task.measure = overtaken
    with pytest.raises(JobStopped):
        scores(work, seen)
    assert losses == 1


@pytest.mark.parametrize("reason", [ValueError("Input contains NaN"), TaskError("a negative loss")])
def test_weights_that_break_the_task_are_judged_the_worst(
    work: Work, past: Past, task: Wayward, reason: Exception
) -> None:
    good, _ = honest_deltas(past, 2)
    past.submit(1, good, by=1)
    past.submit(1, np.ones(650, np.float32), by=2)
    past.submit(1, good * np.float32(0.5), by=3)
    measured = task.measure

    def strict(model: Model) -> Evaluation:
        if (model["w"] > 0).all():
            raise reason
        return measured(model)

    task.measure = strict
    first, broken, third = scores(work, judged(past, work)).scores
    assert broken < rules.DISQUALIFIED_BELOW < min(first, third)


def test_a_task_that_fails_on_the_model_itself_says_so(
    work: Work, past: Past, task: Wayward
) -> None:
    def broken(model: Model) -> Evaluation:
        raise ValueError("a bug of the task")

    task.measure = broken
    past.submit(1, honest_deltas(past, 1)[0], by=1)
    with pytest.raises(ValueError, match="a bug of the task"):
        scores(work, judged(past, work))


def test_updates_that_are_nothing_do_not_shrink_the_others(work: Work, past: Past) -> None:
    for by in range(1, 5):
        past.submit(1, np.zeros(650, np.float32), by)
    past.submit(1, np.full(650, 1e-12, np.float32), by=5)
    for by, delta in enumerate(honest_deltas(past, 4), start=6):
        past.submit(1, delta, by)
    seen = scores(work, judged(past, work)).scores
    assert set(seen[:5]) == {rules.UNAVAILABLE_OR_COPY}
    assert all(score > 0 for score in seen[5:])


def test_a_payload_that_breaks_the_format_is_malformed(work: Work, past: Past) -> None:
    past.submit(1, honest_deltas(past, 1)[0], by=1)
    past.record(1, past.put_bytes(b"no tensors at all"), by=2)
    past.record(1, past.history.updates(1)[0].root, by=3)  # a copied file names its author
    past.record(1, past.put_bytes(bytes(LIMIT + 1)), by=4)
    past.record(1, past.history.updates(1)[0].root, by=5, encoding=255)  # nobody knows it
    first, *others = scores(work, judged(past, work)).scores
    assert first >= rules.ALONE_MIN
    assert others == [rules.MALFORMED] * 4


def test_blames_no_author_for_bytes_lost_on_our_own_disk(work: Work, past: Past) -> None:
    past.submit(1, honest_deltas(past, 1)[0], by=1)
    root = past.history.updates(1)[0].root
    path = work.shelf.path(root)
    path.write_bytes(path.read_bytes()[:-1])
    seen = judged(past, work)
    with pytest.raises(StoreError, match="lost its bytes"):
        scores(work, seen)
    assert scores(work, seen).scores[0] >= rules.ALONE_MIN


def test_a_log_that_lags_behind_the_view_is_waited_for(work: Work, past: Past) -> None:
    past.submit(1, honest_deltas(past, 1)[0], by=1)
    seen = judged(past, work)
    with pytest.raises(ChainError, match="1 of the 2 updates"):
        scores(work, replace(seen, updates=2))
    with pytest.raises(ChainError, match="lags behind"):
        scores(work, replace(seen, base_version=1))


def test_a_model_is_made_once_for_all_judging(work: Work, past: Past, task: Wayward) -> None:
    past.submit(1, honest_deltas(past, 1)[0], by=1)
    seen, made = judged(past, work), task.models
    scores(work, seen)
    past.tally(1, [1_000_000])
    work.recompute(protocol.Recompute(1, 7), seen)
    assert task.models == made


# --- the next model ---


def recomputed(work: Work, past: Past) -> Recomputed:
    past.submit(1, honest_deltas(past, 1)[0], by=1)
    seen = judged(past, work)
    past.tally(1, [1_000_000])
    work.recompute(protocol.Recompute(1, 7), seen)
    return work.journal.notes(1, 9, {}, frozenset()).recomputed[1, 7]


def test_recomputes_measures_and_offers_the_next_model(
    work: Work, past: Past, store: Stubborn
) -> None:
    made = recomputed(work, past)
    assert made.root == past.finalize(1)
    work.offer(protocol.Offer(1, 7))
    assert store.has(made.root)
    assert not work.journal.notes(1, 9, {}, frozenset()).unoffered
    assert 0 < made.metric <= 1_000_000
    weights = flat(read_model(work.shelf.path(made.root), past.federal.manifest))
    assert not np.array_equal(weights, past.genesis)


def test_a_store_that_is_down_keeps_no_model_from_being_attested(
    work: Work, past: Past, store: Stubborn
) -> None:
    store.full = True
    made = recomputed(work, past)
    with pytest.raises(StoreError):
        work.offer(protocol.Offer(1, 7))
    assert work.journal.notes(1, 9, {}, frozenset()).unoffered == ((1, 7),)
    store.full = False
    work.offer(protocol.Offer(1, 7))
    assert store.has(made.root)


@pytest.mark.parametrize(
    ("metric", "recorded"),
    [
        (math.nan, 0),
        (math.inf, 0),
        (1e300, 2**63 - 1),
        (-1e300, -(2**63 - 1)),
        (1e308, 2**63 - 1),
        (0.5, 500_000),
        (np.float32(0.5), 500_000),
    ],
)
def test_any_metric_fits_the_contract(
    work: Work,
    past: Past,
    task: Wayward,
    metric: float,
    recorded: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    task.measure = lambda model: Evaluation(1.0, metric, 1)
    assert recomputed(work, past).metric == recorded
    assert ("metric of 0" in caplog.text) == (recorded == 0)


def test_a_metric_that_fails_keeps_no_model_from_being_attested(
    work: Work, past: Past, task: Wayward, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(model: Model) -> Evaluation:
        raise ValueError("input contains infinity")

    task.measure = fail
    made = recomputed(work, past)
    assert (made.root, made.metric) == (past.finalize(1), 0)
    assert "window 1: attested with a metric of 0: ValueError('input contains" in caplog.text


# --- looking after payloads ---


def test_lets_go_of_what_is_part_of_no_version(work: Work, past: Past, store: Stubborn) -> None:
    used_delta, unused_delta = honest_deltas(past, 2)
    past.submit(1, used_delta, by=1)
    past.submit(1, unused_delta, by=2)
    seen = judged(past, work)
    scores(work, seen)
    past.tally(1, [1_000_000, 0])
    work.recompute(protocol.Recompute(1, 7), seen)
    strayed = past.put_model(past.genesis + np.float32(1))
    work.journal.recompute(1, 8, Recomputed(strayed, 0))  # of contents that a reorg took
    work.shelf.path(strayed)
    store.pin(strayed)
    version = past.finalize(1)
    past.settle(1)
    wait_until(lambda: pinned(store, used_root(past, 0)), what="the pins")
    wait_until(lambda: pinned(store, used_root(past, 1)), what="the pins")
    work.forget(protocol.Forget(1))
    used_, unused = (record.root for record in past.history.updates(1))
    assert [pinned(store, root) for root in (used_, unused, strayed)] == [True, False, False]
    assert work.shelf.roots() == {version, past.history.genesis}
    assert work.journal.notes(1, 9, {}, frozenset()).pinned_windows == ()


def used_root(past: Past, index: int) -> Root:
    return past.history.updates(1)[index].root


def pinned(store: LocalStore, root: Root) -> bool:
    return (store._directory / "pins" / cid(root) / "me").exists()


def test_keeps_a_payload_that_a_later_window_needs(work: Work, past: Past) -> None:
    root = past.submit(1, honest_deltas(past, 1)[0], by=1)
    past.void(1)
    work.shelf.path(root)
    work.journal.pin(1, root)
    work.journal.pin(5, root)
    work.forget(protocol.Forget(1))
    assert work.shelf.has(root)


def test_keeps_what_somebody_submits_again_to_have_it_dropped(
    work: Work, past: Past, store: Stubborn
) -> None:
    version = past.version(1, honest_deltas(past, 1), [1_000_000])
    manifest = past.put_bytes(past.federal.manifest.to_json())
    needed = [used_root(past, 0), past.history.genesis, version, manifest]
    for root in needed:
        past.record(2, root, by=9)
        work.shelf.path(root)
        store.pin(root)
        work.journal.pin(2, root)
    past.void(2)
    work.forget(protocol.Forget(2))
    assert [pinned(store, root) for root in needed] == [True] * 4
    assert not work.shelf.has(used_root(past, 0))


def test_lets_go_of_nothing_that_is_not_its_own(work: Work, past: Past, store: Stubborn) -> None:
    """A stranger names what this machine's operator pinned: data, another federation's model."""
    theirs = past.put_bytes(b"a data set that took weeks")
    store.pin(theirs)
    past.submit(1, honest_deltas(past, 1)[0], by=1)
    past.record(1, theirs, by=2)
    assert scores(work, judged(past, work)).scores[1] == rules.MALFORMED
    past.void(1)
    work.forget(protocol.Forget(1))
    assert pinned(store, theirs)
    assert not work.shelf.has(theirs)


def test_a_window_of_strangers_bytes_alone_is_let_go_of_too(work: Work, past: Past) -> None:
    root = past.put_bytes(b"no tensors at all")
    past.record(1, root, by=1)
    assert scores(work, judged(past, work)).scores == (rules.MALFORMED,)
    past.void(1)
    assert work.shelf.has(root)
    assert work.journal.notes(1, 9, {}, frozenset()).pinned_windows == (1,)
    work.forget(protocol.Forget(1))
    assert not work.shelf.has(root)
    assert work.journal.notes(1, 9, {}, frozenset()).pinned_windows == ()


def test_keeps_what_the_store_does_not_have(work: Work, past: Past) -> None:
    past.version(1, honest_deltas(past, 1), [1_000_000])
    root = past.history.updates(1)[0].root
    work.journal.pin(1, root)
    work.shelf.path(root)
    past.store.unpin(root)
    work.forget(protocol.Forget(1))
    assert work.shelf.has(root)


def test_keeps_no_models_that_nobody_trains_on_any_more(work: Work, past: Past) -> None:
    deltas = honest_deltas(past, 1)
    for number in range(1, 12):
        past.version(number, deltas, [1_000_000])
        work.shelf.path(past.history.versions[-1].root)
    work.shelf.path(past.history.genesis)
    work.forget(protocol.Forget(1))
    recent = past.history.versions[-protocol.RING :]
    assert work.shelf.roots() == {past.history.genesis, *(record.root for record in recent)}


def test_an_update_counts_as_used_only_when_its_version_is_final(work: Work, past: Past) -> None:
    work.train(protocol.Train(0))
    past.record(1, trained(work.journal).root, by=99)
    id_ = submitted(work.journal, 1)
    past.seal(1)
    past.begin(1)
    past.tally(1, [1_000_000])
    work.journal.published(id_)
    work.resolve(protocol.Resolve(id_))
    assert work.journal.notes(1, 9, {}, frozenset()).unresolved == (id_,)
    past.settle(1)
    work.resolve(protocol.Resolve(id_))
    assert work.journal.notes(1, 9, {}, frozenset()).unresolved == ()
    assert work.journal.owed() == {}


# --- the clock ---


@dataclass
class Ticking:
    """A chain with a block every 12 s, and a clock of ours that shows another time."""

    true_s: float = 5_000.0

    def __call__(self) -> float:
        return self.true_s - 4_321

    def block(self, clock: ChainClock, said_s: float | None = None, lag_s: float = 0.0) -> None:
        self.true_s += 12
        clock.see(self.true_s - lag_s if said_s is None else said_s)


def test_the_chains_clock_runs_on_between_blocks_and_is_never_ahead() -> None:
    chain = Ticking()
    clock = ChainClock(chain)
    for lag_s in (3, 1, 2, 11, 7) * 10:
        chain.block(clock, lag_s=lag_s)
        latest_s = chain.true_s - lag_s
        for _ in range(3):
            chain.true_s += 100
            clock.see(latest_s)
            assert latest_s < clock.now_s() <= chain.true_s
    assert clock.now_s() == chain.true_s - 1


@pytest.mark.parametrize("said_s", [10_000.0, 1e18, 0.0])
def test_a_false_block_time_is_forgotten_with_the_next_block(said_s: float) -> None:
    chain = Ticking()
    clock = ChainClock(chain)
    chain.block(clock)
    chain.block(clock, said_s)
    chain.block(clock)
    assert clock.now_s() == chain.true_s


def test_a_block_time_that_is_a_little_false_is_forgotten_in_a_while() -> None:
    chain = Ticking()
    clock = ChainClock(chain)
    chain.block(clock, lag_s=-11)
    for _ in range(16):
        chain.block(clock)
    assert clock.now_s() == chain.true_s


def test_the_chains_clock_follows_a_chain_that_was_set_back_or_stood_still() -> None:
    chain = Ticking()
    clock = ChainClock(chain)
    for _ in range(20):
        chain.block(clock)
    back_s = chain.true_s - 3_600
    chain.block(clock, back_s)
    assert clock.now_s() == back_s
    chain.block(clock, back_s + 12)
    chain.true_s += 3_600
    for count in range(2, 18):
        chain.block(clock, back_s + 12 * count)
    assert clock.now_s() == back_s + 12 * 17


def test_one_false_block_time_costs_no_author_the_patience(work: Work, past: Past) -> None:
    """An update that comes a little late is still waited for."""
    past.submit(1, honest_deltas(past, 1)[0], by=1)
    seen = judged(past, work, seconds=60)
    work.see(replace(view(judging=seen), block_time_s=NOW_S + 10_000), past.history)
    work.see(replace(view(judging=seen), block_time_s=NOW_S + 1), past.history)
    assert 0 < work._patience_s(seen) < 30
