"""An audit finds what was tampered with, what is missing and what was attested wrongly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bafl.codec.model import flat, read_model
from bafl.errors import AuditError, ChainError, StoreError
from bafl.manifest import Manifest
from bafl.replay import AuditedVersion, AuditReport, audit, model, recompute, version
from bafl.store.cid import cid, root_of
from bafl.store.errors import PayloadUnavailable, StoreUnreachable
from bafl.store.local import LocalStore
from bafl.store.shelf import Shelf
from bafl.types import RAW, Root
from tests.unit.past import LIMIT, Past
from tests.unit.payloads import make_manifest, random_delta, random_state

HALVES = [500_000, 500_000]


@pytest.fixture
def manifest() -> Manifest:
    return make_manifest()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def past(tmp_path: Path, store: LocalStore, manifest: Manifest) -> Past:
    """Three versions, of two updates each."""
    past = Past(tmp_path / "past", store, manifest, random_state(manifest))
    for window in (1, 2, 3):
        past.version(window, [random_delta(manifest, 2 * window + i) for i in (0, 1)], HALVES)
    return past


@pytest.fixture
def shelf(tmp_path: Path, store: LocalStore) -> Shelf:
    return Shelf(tmp_path / "audit", store, LIMIT)


def audited(past: Past, shelf: Shelf) -> AuditReport:
    return audit(past.federal, past.history, shelf)


def stored(tmp_path: Path, root: Root) -> Path:
    return tmp_path / "store" / "payloads" / cid(root)


def oks(report: AuditReport) -> list[bool]:
    return [version.ok for version in report.versions]


def test_an_honest_history_is_recomputed_byte_for_byte(past: Past, shelf: Shelf) -> None:
    seen: list[AuditedVersion] = []
    report = audit(past.federal, past.history, shelf, seen.append)
    assert report.ok
    assert tuple(seen) == report.versions
    assert [version.recomputed for version in seen] == [v.root for v in past.history.versions[1:]]
    assert report.replayable_from == 0


def test_finds_a_payload_whose_bytes_were_changed(tmp_path: Path, past: Past, shelf: Shelf) -> None:
    path = stored(tmp_path, past.history.updates(2)[1].root)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    report = audited(past, shelf)
    assert oks(report) == [True, False, True]
    assert report.versions[1].recomputed is None
    assert cid(past.history.updates(2)[1].root) in report.versions[1].note
    assert report.replayable_from == 2


def test_goes_on_after_a_payload_that_is_gone(past: Past, shelf: Shelf) -> None:
    past.store.unpin(past.history.updates(2)[0].root)
    report = audited(past, shelf)
    assert oks(report) == [True, False, True]
    assert report.versions[1].recomputed is None
    assert "is not in" in report.versions[1].note


def test_cannot_go_on_where_the_recorded_model_is_gone_too(
    tmp_path: Path, past: Past, shelf: Shelf
) -> None:
    stored(tmp_path, past.history.updates(2)[0].root).unlink()
    stored(tmp_path, past.history.versions[2].root).unlink()
    assert oks(audited(past, shelf)) == [True, False, False]


def test_finds_a_model_that_the_updates_do_not_make_and_goes_on_from_it(
    past: Past, manifest: Manifest, shelf: Shelf
) -> None:
    past.submit(4, random_delta(manifest, 9), by=1)
    past.seal(4)
    past.begin(4)
    past.tally(4, [1_000_000])
    attested = past.put_model(past.genesis * np.float32(2))
    made = past.finalize(4, attested)
    past.settle(4)
    past.version(5, [random_delta(manifest, 10)], [1_000_000])
    report = audited(past, shelf)
    assert oks(report) == [True, True, True, False, True]
    wrong = report.versions[3]
    assert (wrong.recomputed, wrong.recorded) == (made, attested)
    assert cid(made) in wrong.note
    assert report.replayable_from == 4


def test_finds_a_digest_that_stands_for_nothing(
    past: Past, manifest: Manifest, shelf: Shelf
) -> None:
    past.submit(4, random_delta(manifest, 9), by=1)
    past.seal(4)
    past.begin(4)
    past.tally(4, [1_000_000])
    past.finalize(4, Root(bytes(32), RAW))
    report = audited(past, shelf)
    assert oks(report) == [True, True, True, False]
    assert report.versions[3].recomputed is not None


def test_an_update_under_another_authors_name_is_found(
    past: Past, manifest: Manifest, shelf: Shelf
) -> None:
    stolen = past.history.updates(3)[0].root
    past.record(4, stolen, by=7, base=2)
    past.seal(4)
    past.begin(4)
    past.tally(4, [1_000_000])
    past.tell("VersionFinalized", version=4, window=4, rootDigest=bytes(32))
    report = audited(past, shelf)
    assert oks(report) == [True, True, True, False]
    assert "participant" in report.versions[3].note


def test_a_store_that_is_down_says_nothing_about_the_history(tmp_path: Path, past: Past) -> None:
    class Down(LocalStore):
        def fetch(self, root: Root, into: Path, limit: int, timeout_s: float) -> None:
            raise StoreUnreachable("no daemon")

    shelf = Shelf(tmp_path / "audit", Down(tmp_path / "store"), LIMIT)
    with pytest.raises(StoreUnreachable):
        audited(past, shelf)


def test_an_audit_keeps_no_more_than_it_needs(past: Past, shelf: Shelf) -> None:
    mine = past.history.updates(1)[0].root
    shelf.path(mine)
    most = 0

    def look(_: object) -> None:
        nonlocal most
        most = max(most, len(shelf.roots()))

    assert audit(past.federal, past.history, shelf, look).ok
    assert most == 2
    assert shelf.roots() == {mine, past.history.versions[-1].root}
    assert all(shelf.store.has(version.root) for version in past.history.versions)


def test_a_latecomer_recomputes_a_model_that_nobody_gives(
    tmp_path: Path, past: Past, shelf: Shelf
) -> None:
    for record in past.history.versions[1:]:
        stored(tmp_path, record.root).unlink()
    path = model(past.federal, past.history, 3, shelf)
    assert root_of(path) == past.history.versions[3].root
    weights = flat(read_model(path, past.federal.manifest))
    assert not np.array_equal(weights, past.genesis)


def test_a_latecomer_is_told_when_validators_attested_another_model(
    past: Past, manifest: Manifest, shelf: Shelf
) -> None:
    past.submit(4, random_delta(manifest, 9), by=1)
    past.seal(4)
    past.begin(4)
    past.tally(4, [1_000_000])
    past.finalize(4, Root(bytes(32), RAW))
    with pytest.raises(AuditError, match="version 4 recomputes to"):
        model(past.federal, past.history, 4, shelf)


def test_a_long_past_is_no_problem(
    tmp_path: Path, store: LocalStore, manifest: Manifest, shelf: Shelf
) -> None:
    """Nobody has any model but the first: back to it, however far it is."""
    past = Past(tmp_path / "long", store, manifest, random_state(manifest))
    missing = Root(bytes(31) + b"\1", RAW)
    for window in range(1, 1500):
        past.record(window, missing, by=1)
        past.seal(window)
        past.begin(window)
        past.tally(window, [1_000_000])
        digest = window.to_bytes(32, "big")
        past.tell("VersionFinalized", version=window, window=window, rootDigest=digest)
        past.settle(window)
    with pytest.raises(PayloadUnavailable, match=cid(missing)):
        model(past.federal, past.history, 1499, shelf)


def test_without_genesis_there_is_no_start(tmp_path: Path, past: Past, shelf: Shelf) -> None:
    for record in past.history.versions:
        stored(tmp_path, record.root).unlink()
    with pytest.raises(StoreError, match=cid(past.history.genesis)):
        model(past.federal, past.history, 3, shelf)


@pytest.mark.parametrize("number", [-1, 4])
def test_a_version_that_the_log_does_not_have_is_no_crash(past: Past, number: int) -> None:
    with pytest.raises(ChainError, match="lags behind"):
        version(past.history, number)


def test_a_window_without_a_tally_or_without_use_makes_no_version(
    past: Past, manifest: Manifest, shelf: Shelf
) -> None:
    base = past.history.versions[3].root
    past.submit(4, random_delta(manifest, 9), by=1)
    past.seal(4)
    past.begin(4)
    with pytest.raises(AuditError, match="no tally"):
        recompute(past.federal, past.history, 4, base, shelf)
    past.tally(4, [0])
    with pytest.raises(AuditError, match="used no update"):
        recompute(past.federal, past.history, 4, base, shelf)
