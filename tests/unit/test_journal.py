"""What a node remembers, and that nobody else writes it."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bafl.errors import DiskError, JournalError
from bafl.journal import Journal, SignedNote
from bafl.protocol import Recomputed, Scored, Trained
from bafl.types import RAW, Encoding, Root, UpdateRecord

ME = "0x" + "aB" * 20
FEDERATION = "0x" + "cd" * 20


def root(number: int) -> Root:
    return Root(number.to_bytes(32, "big"), RAW)


def trained(number: int, base: int = 0) -> Trained:
    return Trained(base, root(number), Encoding.INT8, 10)


def on_chain(number: int, update_id: int) -> UpdateRecord:
    return UpdateRecord(update_id, ME, 0, root(number), Encoding.INT8, 10, 1)


def settled(journal: Journal, number: int, update_id: int, used: bool = False) -> None:
    """An update with the root `number` that was submitted, published and judged."""
    journal.train(trained(number), f"{number}.npy", journal.owed())
    journal.reconcile([on_chain(number, update_id)])
    journal.published(update_id)
    journal.resolved(update_id, used)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    opened = Journal(path, 31337, FEDERATION, ME)
    yield opened
    opened.close()


def test_remembers_everything_over_a_restart(path: Path, journal: Journal) -> None:
    journal.train(trained(1), "1.npy")
    journal.score(3, 2**64 - 1, Scored((10, -32768), 1))
    journal.recompute(3, 2**64 - 1, Recomputed(root(9), -7))
    journal.sign(SignedNote("submit", 4, b"raw", b"hash"))
    journal.pin(3, root(5))
    before = journal.notes(3, 9, {}, frozenset())
    journal.close()
    again = Journal(path, 31337, FEDERATION, ME)
    assert again.notes(3, 9, {}, frozenset()) == before
    assert before.trained == trained(1)
    assert before.scored == {(3, 2**64 - 1): Scored((10, -32768), 1)}
    assert before.recomputed == {(3, 2**64 - 1): Recomputed(root(9), -7)}
    assert before.pinned_windows == (3,)
    assert again.unsettled() == (SignedNote("submit", 4, b"raw", b"hash"),)
    again.close()


def test_is_readable_by_its_owner_alone(path: Path, journal: Journal) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_node_with_the_same_journal_says_so(path: Path, journal: Journal) -> None:
    with pytest.raises(JournalError, match="another node is running"):
        Journal(path, 31337, FEDERATION, ME)


def test_a_second_process_is_kept_out_too(path: Path, journal: Journal) -> None:
    code = (
        "import sys; from pathlib import Path; from bafl.journal import Journal\n"
        f"Journal(Path(sys.argv[1]), 31337, {FEDERATION!r}, {ME!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "another node is running" in done.stderr


def test_a_killed_node_leaves_no_lock_behind(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from bafl.journal import Journal\n"
        f"Journal(Path(sys.argv[1]), 31337, {FEDERATION!r}, {ME!r})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    Journal(path, 31337, FEDERATION, ME).close()


def test_a_run_that_was_cut_off_is_known_to_the_next_one(path: Path) -> None:
    first = Journal(path, 31337, FEDERATION, ME)
    assert not first.cut_off
    first._db.close()  # as a SIGKILL would
    second = Journal(path, 31337, FEDERATION, ME)
    assert second.cut_off
    second.close()
    third = Journal(path, 31337, FEDERATION, ME)
    assert not third.cut_off
    third.close()


@pytest.mark.parametrize("at", ["file/journal.sqlite", "folder"])
def test_a_journal_that_cannot_be_opened_says_so(tmp_path: Path, at: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(DiskError, match=r"cannot open the journal .* another home"):
        Journal(tmp_path / at, 31337, FEDERATION, ME)


def test_a_full_disk_changes_nothing_and_passes(path: Path) -> None:
    code = f"""
import resource
from bafl.errors import DiskError
from bafl.journal import Journal, SignedNote
from pathlib import Path
journal = Journal(Path({str(path)!r}), 31337, {FEDERATION!r}, {ME!r})
journal.sign(SignedNote("submit", 1, b"raw", b"hash"))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for _ in range(3):
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        journal.sign(SignedNote("commit", 2, b"raw", b"hash"))
    except DiskError as error:
        assert "free some space" in str(error) and "rollback" not in str(error), error
    else:
        raise AssertionError("written to a full disk")
    assert [note.nonce for note in journal.unsettled()] == [1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.settle(1)
    journal.sign(SignedNote("submit", 1, b"raw", b"hash"))
journal.sign(SignedNote("commit", 2, b"raw", b"hash"))
assert [note.nonce for note in journal.unsettled()] == [1, 2]
journal.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


def test_a_journal_of_an_earlier_version_is_taken_over(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE updates (id INTEGER PRIMARY KEY, base_version INTEGER NOT NULL,"
            " digest BLOB NOT NULL, codec INTEGER NOT NULL, encoding INTEGER NOT NULL,"
            " samples INTEGER NOT NULL, residual TEXT NOT NULL, update_id INTEGER, block INTEGER,"
            " published INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL)"
        )
        old.execute(
            "INSERT INTO updates VALUES (1, 0, ?, ?, 1, 10, '1.npy', NULL, NULL, 0, 'open')",
            (root(1).digest, root(1).codec),
        )
    old.close()
    journal = Journal(path, 31337, FEDERATION, ME)
    assert journal.notes(0, 0, {}, frozenset()).trained == trained(1)
    journal.close()


def test_a_model_is_offered_until_it_is_in_the_store(journal: Journal) -> None:
    journal.recompute(3, 5, Recomputed(root(9), 1))
    assert journal.notes(4, 9, {}, frozenset()).unoffered == ((3, 5),)
    assert journal.model(3, 5) == root(9)
    journal.offered(3, 5)
    assert journal.notes(4, 9, {}, frozenset()).unoffered == ()
    journal.recompute(4, 5, Recomputed(root(9), 1))
    journal.forget(4)
    assert journal.notes(4, 9, {}, frozenset()).unoffered == ()


@pytest.mark.parametrize(
    ("chain_id", "federation", "participant", "what"),
    [
        (1, FEDERATION, ME, "chain id"),
        (31337, "0x" + "00" * 20, ME, "federation"),
        (31337, FEDERATION, "0x" + "01" * 20, "participant"),
    ],
)
def test_a_journal_of_another_node_is_refused(
    path: Path, journal: Journal, chain_id: int, federation: str, participant: str, what: str
) -> None:
    journal.close()
    with pytest.raises(JournalError, match=what):
        Journal(path, chain_id, federation, participant)


def test_a_damaged_journal_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(JournalError, match="damaged"):
        Journal(path, 31337, FEDERATION, ME)


def damage(path: Path, table: str) -> None:
    """Overwrite the pages where a table and its indices begin."""
    with sqlite3.connect(path) as database:
        (size,) = database.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_master WHERE tbl_name = ?"
        pages = database.execute(query, (table,)).fetchall()
    database.close()
    with path.open("r+b") as file:
        for (page,) in pages:
            file.seek((page - 1) * size)
            file.write(b"\xff" * size)


@pytest.mark.parametrize("table", ["updates", "scores", "pins", "transactions"])
def test_damage_that_is_found_only_later_is_said_to_be_damage(path: Path, table: str) -> None:
    Journal(path, 31337, FEDERATION, ME).close()
    damage(path, table)
    journal = Journal(path, 31337, FEDERATION, ME)
    with pytest.raises(JournalError, match=r"damaged .*malformed"):
        journal.notes(1, 9, {}, frozenset())
    journal.close()


@pytest.mark.parametrize("read", ["trainings", "unresolved", "owed", "residuals"])
def test_every_read_of_a_damaged_page_says_so(path: Path, read: str) -> None:
    Journal(path, 31337, FEDERATION, ME).close()
    damage(path, "updates")
    journal = Journal(path, 31337, FEDERATION, ME)
    with pytest.raises(JournalError, match="damaged"):
        getattr(journal, read)()
    journal.close()


def test_the_first_scores_for_the_same_contents_stay(journal: Journal) -> None:
    journal.score(1, 5, Scored((10,), 1))
    journal.score(1, 5, Scored((20,), 0))
    assert journal.notes(1, 9, {}, frozenset()).scored == {(1, 5): Scored((10,), 1)}


def test_finds_its_submission_in_the_log_and_loses_it_in_a_reorg(journal: Journal) -> None:
    journal.train(trained(1), "1.npy")
    journal.reconcile([on_chain(1, 35)])
    notes = journal.notes(1, 9, {}, frozenset())
    assert (notes.trained, notes.unpublished) == (None, (35,))
    journal.reconcile([])
    assert journal.notes(1, 9, {}, frozenset()).trained == trained(1)


def test_an_update_is_published_only_once_its_block_is_confirmed(journal: Journal) -> None:
    journal.train(trained(1), "1.npy")
    journal.reconcile([on_chain(1, 35)])
    young = journal.notes(1, 0, {}, frozenset())
    assert (young.trained, young.unpublished) == (None, ())
    assert journal.notes(1, 1, {}, frozenset()).unpublished == (35,)


def test_an_update_moves_from_published_to_resolved(journal: Journal) -> None:
    journal.train(trained(1), "1.npy")
    journal.reconcile([on_chain(1, 35)])
    journal.published(35)
    assert journal.notes(1, 9, {}, frozenset()).unresolved == (35,)
    journal.resolved(35, used=True)
    notes = journal.notes(1, 9, {}, frozenset())
    assert (notes.trained, notes.unpublished, notes.unresolved) == (None, (), ())


@pytest.mark.parametrize(("used", "owed"), [(True, ["1.npy"]), (False, [])])
def test_what_an_encoding_lost_lives_on_only_if_the_update_was_used(
    journal: Journal, used: bool, owed: list[str]
) -> None:
    journal.train(trained(1), "1.npy")
    journal.reconcile([on_chain(1, 35)])
    journal.resolved(35, used)
    assert list(journal.owed().values()) == owed


def test_what_an_encoding_lost_is_used_once(journal: Journal) -> None:
    journal.train(trained(1), "1.npy")
    journal.reconcile([on_chain(1, 35)])
    journal.resolved(35, used=True)
    journal.train(trained(2), "2.npy", journal.owed())
    assert journal.owed() == {}


def test_what_was_lost_waits_while_other_updates_are_under_way(journal: Journal) -> None:
    journal.train(trained(1), "1.npy")
    journal.reconcile([on_chain(1, 35)])
    journal.train(trained(2), "2.npy", journal.owed())
    journal.reconcile([on_chain(1, 35), on_chain(2, 51)])
    journal.resolved(35, used=True)
    journal.resolved(51, used=True)
    assert list(journal.owed().values()) == ["1.npy", "2.npy"]


def test_what_a_dropped_update_carried_is_owed_again(journal: Journal) -> None:
    settled(journal, 1, 35, used=True)
    journal.train(trained(2), "2.npy", journal.owed())
    assert journal.residuals() == {"1.npy", "2.npy"}
    assert journal.drop(trained(2))
    assert list(journal.owed().values()) == ["1.npy"]


def test_what_a_refused_update_carried_is_lost(journal: Journal) -> None:
    settled(journal, 1, 35, used=True)
    settled(journal, 2, 51)
    assert journal.owed() == {}
    assert journal.residuals() == set()


def test_a_replacement_takes_its_nonces_place(journal: Journal) -> None:
    journal.sign(SignedNote("seal", 4, b"cheap", b"a"))
    journal.sign(SignedNote("seal", 4, b"dear", b"b"))
    assert journal.unsettled() == (SignedNote("seal", 4, b"dear", b"b"),)
    journal.settle(4)
    assert journal.unsettled() == ()


def test_the_same_bytes_trained_again_are_not_taken_for_those_submitted_before(
    journal: Journal,
) -> None:
    settled(journal, 1, 35)
    journal.train(trained(1), "1.npy")
    journal.reconcile([on_chain(1, 35)])
    assert journal.notes(2, 9, {}, frozenset()).trained == trained(1)
    journal.reconcile([on_chain(1, 35), on_chain(1, 51)])
    notes = journal.notes(2, 9, {}, frozenset())
    assert (notes.trained, notes.unpublished) == (None, (51,))


def test_an_update_that_a_reorg_moved_is_published_and_kept_for_its_new_window(
    journal: Journal,
) -> None:
    journal.train(trained(1), "1.npy")
    journal.reconcile([on_chain(1, 35)])
    journal.published(35)
    journal.reconcile([on_chain(1, 51)])
    assert journal.notes(2, 9, {}, frozenset()).unpublished == (51,)


def test_a_new_update_under_the_id_of_one_before_a_reorg_leaves_that_one_alone(
    journal: Journal,
) -> None:
    settled(journal, 1, 35, used=True)
    owed = journal.owed()
    assert list(owed.values()) == ["1.npy"]
    journal.train(trained(2), "2.npy")
    journal.reconcile([on_chain(2, 35)])
    journal.published(35)
    journal.resolved(35, used=False)
    assert journal.owed() == owed
    assert journal.unresolved() == ()


def test_an_update_that_a_reorg_took_is_no_error_for_who_was_publishing_it(
    journal: Journal,
) -> None:
    journal.train(trained(1), "1.npy")
    journal.reconcile([on_chain(1, 35)])
    journal.reconcile([])
    assert journal.own(35) is None


def test_an_update_on_the_chain_is_not_dropped(journal: Journal) -> None:
    journal.train(trained(1), "1.npy")
    journal.reconcile([on_chain(1, 35)])
    assert not journal.drop(trained(1))
    journal.reconcile([])
    assert journal.drop(trained(1))
    assert journal.notes(1, 9, {}, frozenset()).trained is None


def test_residuals_of_updates_long_past_are_not_needed(journal: Journal) -> None:
    settled(journal, 1, 35, used=True)
    assert journal.residuals() == {"1.npy"}
    settled(journal, 2, 51, used=True)
    assert journal.residuals() == {"2.npy"}
    journal.train(trained(3), "3.npy", journal.owed())
    assert journal.residuals() == {"2.npy", "3.npy"}  # the third may yet be dropped
    journal.reconcile([on_chain(3, 67)])
    journal.resolved(67, used=False)
    assert journal.residuals() == set()


def test_counts_trainings_so_that_none_repeats_another(journal: Journal) -> None:
    assert journal.trainings() == 0
    settled(journal, 1, 35)
    journal.train(trained(2), "2.npy")
    journal.drop(trained(2))
    assert journal.trainings() == 2


def test_forgets_what_it_worked_out_for_a_window_with_its_pins(journal: Journal) -> None:
    for window in (1, 2):
        journal.pin(window, root(window))
        journal.pin(window, root(5))
        journal.score(window, 5, Scored((10,), 1))
        journal.recompute(window, 5, Recomputed(root(9), 1))
    assert journal.models(1) == {root(9)}
    assert journal.pinned_after(1) == {root(2), root(5)}
    journal.forget(1)
    first, second = (journal.notes(window, 9, {}, frozenset()) for window in (1, 2))
    assert (first.pinned_windows, first.scored, first.recomputed) == ((2,), {}, {})
    assert second.scored
    assert second.recomputed


def test_a_refused_journal_is_not_held(path: Path, journal: Journal) -> None:
    journal.close()
    with pytest.raises(JournalError, match="chain id"):
        Journal(path, 1, FEDERATION, ME)
    Journal(path, 31337, FEDERATION, ME).close()


def test_says_whether_a_transaction_may_be_under_way(journal: Journal) -> None:
    assert not journal.notes(1, 9, {}, frozenset()).unsettled
    journal.sign(SignedNote("seal", 4, b"raw", b"hash"))
    assert journal.notes(1, 9, {}, frozenset()).unsettled
