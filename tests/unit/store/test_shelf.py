"""A shelf: payloads that are whole, fetched side by side, and nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bafl.codec.errors import PayloadTooLarge
from bafl.devnet import wait_until
from bafl.errors import StoreError
from bafl.store.cid import cid, root_of
from bafl.store.errors import PayloadUnavailable, StoreUnreachable
from bafl.store.local import LocalStore
from bafl.store.shelf import ABSENT, Shelf
from bafl.types import Root

LIMIT = 100


class Stalling(LocalStore):
    """A store that never answers for some payloads, and for some only later."""

    def __init__(self, directory: Path, owner: str = "node") -> None:
        super().__init__(directory, owner)
        self.stalled: set[Root] = set()
        self.down = False
        self.opened = threading.Event()

    def fetch(self, root: Root, into: Path, limit: int, timeout_s: float) -> None:
        if root in self.stalled:
            self.opened.wait()
        if self.down:
            raise StoreUnreachable("no daemon")
        super().fetch(root, into, limit, timeout_s)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Stalling]:
    store = Stalling(tmp_path / "store", "reader")
    yield store
    store.opened.set()


@pytest.fixture
def shelf(tmp_path: Path, store: Stalling) -> Shelf:
    return Shelf(tmp_path / "shelf", store, LIMIT)


def put(tmp_path: Path, content: bytes) -> Root:
    """Somebody else's payload."""
    file = tmp_path / "file"
    file.write_bytes(content)
    return LocalStore(tmp_path / "store", "author").put(file)


def test_one_who_withholds_does_not_keep_others_from_being_fetched(
    tmp_path: Path, store: Stalling, shelf: Shelf
) -> None:
    roots = [put(tmp_path, bytes([i])) for i in range(16)]
    store.stalled = set(roots[:8])
    absent = root_of(b"never published")
    found = shelf.gather([*roots, absent], seconds=1)
    assert {root for root, file in found.items() if isinstance(file, Path)} == set(roots[8:])
    assert all(isinstance(found[root], ABSENT) for root in [*roots[:8], absent])


def test_waits_for_what_is_published_late(tmp_path: Path, shelf: Shelf) -> None:
    asked = iter(range(3))

    def publish_after_a_while() -> None:
        if next(asked, None) == 2:
            put(tmp_path, b"late")

    root = root_of(b"late")
    assert shelf.gather([root], 60, publish_after_a_while) == {root: shelf.folder / cid(root)}


def test_pins_what_it_is_told_to_hold(tmp_path: Path, store: Stalling, shelf: Shelf) -> None:
    root = put(tmp_path, b"content")
    shelf.gather([root], 60)
    shelf.hold([root])
    pin = tmp_path / "store" / "pins" / cid(root) / "reader"
    wait_until(pin.exists, seconds=20, what="the pin")
    LocalStore(tmp_path / "store", "author").unpin(root)
    assert store.has(root)


def test_tells_a_store_that_is_down_from_a_payload_nobody_has(
    store: Stalling, shelf: Shelf
) -> None:
    store.down = True
    root = root_of(b"content")
    assert isinstance(shelf.gather([root], 0)[root], StoreUnreachable)
    assert not isinstance(shelf.gather([root], 0)[root], ABSENT)


def test_a_large_payload_is_given_the_time_that_it_takes(tmp_path: Path) -> None:
    asked: list[float] = []

    class Recording(LocalStore):
        def fetch(self, root: Root, into: Path, limit: int, timeout_s: float) -> None:
            asked.append(timeout_s)
            super().fetch(root, into, limit, timeout_s)

    root = put(tmp_path, b"content")
    for limit in (LIMIT, 600 << 20):
        shelf = Shelf(tmp_path / f"shelf{limit}", Recording(tmp_path / "store"), limit, 30)
        shelf.path(root)
    assert asked == [pytest.approx(30, abs=0.1), 630]


def test_a_payload_past_the_limit_is_said_at_once(tmp_path: Path, shelf: Shelf) -> None:
    root = put(tmp_path, bytes(LIMIT + 1))
    assert isinstance(shelf.gather([root], 60)[root], PayloadTooLarge)


def test_stops_waiting_when_told(store: Stalling, shelf: Shelf) -> None:
    def stop() -> None:
        raise PayloadUnavailable("enough")

    with pytest.raises(PayloadUnavailable, match="enough"):
        shelf.gather([root_of(b"never published")], 600, stop)


def test_tidies_up_what_a_killed_process_left(tmp_path: Path, shelf: Shelf) -> None:
    kept = shelf.path(put(tmp_path, b"content"))
    (shelf.folder / f".{kept.name}.0123456789ab.part").write_bytes(b"half")
    (shelf.folder / ".next-abc").mkdir()
    (shelf.folder / ".next-abc" / "model").write_bytes(b"half")
    shelf.tidy()
    assert list(shelf.folder.iterdir()) == [kept]


def test_knows_what_is_on_it(tmp_path: Path, shelf: Shelf) -> None:
    root = put(tmp_path, b"content")
    shelf.path(root)
    (shelf.folder / "notes.txt").write_text("mine")
    assert shelf.roots() == {root}


def test_a_file_that_lost_its_bytes_is_taken_off(tmp_path: Path, shelf: Shelf) -> None:
    root = put(tmp_path, b"content")
    path = shelf.path(root)
    assert shelf.sound(root)
    path.write_bytes(b"contenu")
    assert not shelf.sound(root)
    assert shelf.path(root).read_bytes() == b"content"


def test_a_workspace_is_gone_afterwards(shelf: Shelf) -> None:
    with shelf.workspace() as folder:
        (folder / "update").write_bytes(b"content")
        root = shelf.keep(folder / "update")
    assert shelf.roots() == {root}
    assert not list(shelf.folder.glob(".*"))


def test_a_disk_that_refuses_is_a_store_error(tmp_path: Path, store: Stalling) -> None:
    shelf = Shelf(tmp_path / "gone", store, LIMIT)
    shelf.folder.rmdir()
    with pytest.raises(StoreError, match="cannot work in"), shelf.workspace():
        pass
