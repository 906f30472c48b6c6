from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bafl.codec.errors import PayloadTooLarge
from bafl.errors import StoreError
from bafl.store.base import Store, open_store
from bafl.store.cid import cid, root_of
from bafl.store.errors import PayloadLost, PayloadUnavailable, UnknownStore
from bafl.store.local import LocalStore

DATA = bytes(range(256)) * 8192  # 2 MiB: two chunks
LIMIT = len(DATA)


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    path = tmp_path / "payload"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_what_was_put_can_be_fetched(store: LocalStore, payload: Path, tmp_path: Path) -> None:
    root = store.put(payload)
    assert root == root_of(DATA)
    assert store.has(root)
    store.fetch(root, tmp_path / "out", LIMIT, 5)
    assert (tmp_path / "out").read_bytes() == DATA


def test_what_is_not_there_is_unavailable(store: LocalStore, tmp_path: Path) -> None:
    root = root_of(b"elsewhere")
    assert not store.has(root)
    with pytest.raises(PayloadUnavailable, match=cid(root)):
        store.fetch(root, tmp_path / "out", LIMIT, 5)
    with pytest.raises(PayloadUnavailable):
        store.pin(root)
    assert not (tmp_path / "out").exists()


def test_a_payload_past_the_limit_is_not_kept(
    store: LocalStore, payload: Path, tmp_path: Path
) -> None:
    root = store.put(payload)
    before = files(tmp_path)
    with pytest.raises(PayloadTooLarge):
        store.fetch(root, tmp_path / "out", LIMIT - 1, 5)
    assert files(tmp_path) == before


@pytest.mark.parametrize("damaged", [DATA[:-1] + b"x", DATA[:-1], DATA + b"x", b""])
def test_a_payload_that_the_disk_did_not_keep_is_lost_until_it_is_put_again(
    store: LocalStore, payload: Path, tmp_path: Path, damaged: bytes
) -> None:
    """Its author is not to blame, however often and by whom it is asked for."""
    root = store.put(payload)
    stored, out = tmp_path / "store" / "payloads" / cid(root), tmp_path / "out"
    stored.write_bytes(damaged)
    out.write_bytes(b"old")
    for reader in (store, store, LocalStore(tmp_path / "store", "another")):
        with pytest.raises(PayloadLost, match=rf"{cid(root)} was damaged or taken away: check"):
            reader.fetch(root, out, LIMIT, 5)
        assert not reader.has(root)
    assert out.read_bytes() == b"old"
    assert files(tmp_path / "store") == {"lock", f"pins/{cid(root)}/node"}
    assert LocalStore(tmp_path / "store", "another").put(payload) == root
    store.fetch(root, out, LIMIT, 5)
    assert out.read_bytes() == DATA


def test_what_was_lost_and_let_go_is_unavailable(
    store: LocalStore, payload: Path, tmp_path: Path
) -> None:
    root = store.put(payload)
    (tmp_path / "store" / "payloads" / cid(root)).unlink()
    with pytest.raises(PayloadLost):
        store.fetch(root, tmp_path / "out", LIMIT, 5)
    store.unpin(root)
    with pytest.raises(PayloadUnavailable):
        store.fetch(root, tmp_path / "out", LIMIT, 5)


def test_a_damaged_file_that_was_replaced_meanwhile_stays(
    store: LocalStore, payload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = store.put(payload)
    (tmp_path / "store" / "payloads" / cid(root)).write_bytes(b"short")
    remove = LocalStore._remove

    def late(store: LocalStore, *given: Any) -> None:
        store.put(payload)
        remove(store, *given)

    monkeypatch.setattr(LocalStore, "_remove", late)
    with pytest.raises(PayloadLost):
        store.fetch(root, tmp_path / "out", LIMIT, 5)
    store.fetch(root, tmp_path / "out", LIMIT, 5)


def test_a_payload_stays_until_its_last_owner_lets_it_go(tmp_path: Path, payload: Path) -> None:
    alice = LocalStore(tmp_path / "store", "alice")
    bob = LocalStore(tmp_path / "store", "bob")
    root = alice.put(payload)
    bob.pin(root)
    alice.unpin(root)
    alice.unpin(root)
    assert bob.has(root)
    bob.unpin(root)
    assert not alice.has(root)
    assert files(tmp_path / "store") == {"lock"}


def test_unpinning_what_is_not_pinned_has_no_effect(store: LocalStore, payload: Path) -> None:
    root = store.put(payload)
    LocalStore(store._directory, "stranger").unpin(root)
    store.unpin(root_of(b"never seen"))
    assert store.has(root)


def test_many_threads_and_owners_lose_nothing(tmp_path: Path) -> None:
    contents = [bytes([i]) * 3000 for i in range(4)]
    for i, content in enumerate(contents):
        (tmp_path / f"p{i}").write_bytes(content)
    start = threading.Barrier(8)

    def work(worker: int) -> None:
        store = LocalStore(tmp_path / "store", f"owner{worker}")
        start.wait()
        for i in range(40):
            source = tmp_path / f"p{i % 4}"
            root = store.put(source)
            store.fetch(root, tmp_path / f"out{worker}", 3000, 5)
            assert (tmp_path / f"out{worker}").read_bytes() == contents[i % 4]
            if worker:
                store.unpin(root)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    last = LocalStore(tmp_path / "store", "owner0")
    assert all(last.has(root_of(content)) for content in contents)
    for content in contents:
        last.unpin(root_of(content))
    assert files(tmp_path / "store") == {"lock"}


KILLED_WHILE_ADDING = """
import os, signal, sys
from pathlib import Path
from bafl.store import cid
from bafl.store.local import LocalStore
real = cid.read_parts
def dying(path):
    parts = real(path)
    yield next(parts)
    os.kill(os.getpid(), signal.SIGKILL)
cid.read_parts = dying
LocalStore(Path(sys.argv[1])).put(Path(sys.argv[2]))
"""


def test_a_process_killed_while_adding_leaves_nothing_that_counts(
    tmp_path: Path, payload: Path
) -> None:
    folder = tmp_path / "store"
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_ADDING, str(folder), str(payload)], check=False
    )
    assert done.returncode == -9
    assert any(name.startswith("incoming/") for name in files(folder))
    store = LocalStore(folder)
    assert files(folder) == {"lock"}
    assert not store.has(root_of(DATA))


NO_ROOM = """
import resource, signal, sys
from pathlib import Path
from bafl.store.cid import root_of
from bafl.store.local import LocalStore
from bafl.errors import StoreError
store = LocalStore(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    {action}
except StoreError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ("store.put(Path(sys.argv[2]))", "StoreFull"),
        (
            "p = Path(sys.argv[2]); store.fetch(root_of(p), p.with_name('out'), 1 << 30, 5)",
            "StoreError",
        ),
    ],
    ids=["put", "fetch"],
)
def test_a_full_disk_is_said_with_a_remedy_and_leaves_no_half_file(
    tmp_path: Path, payload: Path, action: str, error: str
) -> None:
    if "fetch" in action:
        LocalStore(tmp_path / "store").put(payload)
    LocalStore(tmp_path / "store")
    before = files(tmp_path) | {"store/lock"}
    script = NO_ROOM.format(action=action)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "store"), str(payload)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(error + " ")
    assert "free some space" in done.stdout
    assert files(tmp_path) == before


def test_a_source_that_is_not_there_is_named(store: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="gone"):
        store.put(tmp_path / "gone")
    assert files(tmp_path / "store") == {"lock"}


@pytest.mark.parametrize("spec", ["", "local", "local:", "ftp:/x", "gateway:", "kubo:"])
def test_a_store_nobody_knows_is_refused_with_those_there_are(spec: str) -> None:
    with pytest.raises(UnknownStore, match=r"local:/a/directory, kubo:/ip4"):
        open_store(spec)


@pytest.mark.parametrize("address", ["/ip4/127.0.0.1", "localhost:5001", "/nonsense/1", "x"])
def test_a_kubo_address_that_is_none_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(UnknownStore, match=r"/ip4/127\.0\.0\.1/tcp/5001"):
        open_store(f"kubo:{address}")


def test_a_directory_is_made_by_the_first_put(tmp_path: Path, payload: Path) -> None:
    directory = tmp_path / "there"
    store = LocalStore(tmp_path / "x" / ".." / "there")
    root = root_of(payload)
    assert store.describe() == f"local store in {directory}"
    for ask in (store.pin, lambda r: store.fetch(r, tmp_path / "into", 1 << 30, 1)):
        with pytest.raises(PayloadUnavailable, match="is not in local store"):
            ask(root)
    store.unpin(root)
    assert not store.has(root)
    assert not directory.exists()
    assert store.put(payload) == root
    assert store.has(root)


def test_a_directory_that_cannot_be_is_refused(payload: Path) -> None:
    with pytest.raises(UnknownStore, match="directory you can write"):
        open_store(f"local:{payload}")


@pytest.mark.parametrize("owner", ["", "a/b", "..", "x" * 81])
def test_an_owner_that_is_no_file_name_is_refused(tmp_path: Path, owner: str) -> None:
    with pytest.raises(UnknownStore, match="owner"):
        LocalStore(tmp_path, owner)


def test_a_store_opens_by_name_and_says_where_it_is(tmp_path: Path) -> None:
    opened: Callable[..., Store] = open_store
    local = opened(f"local:{tmp_path / 'store'}", owner="alice")
    assert (local.name, local.describe()) == ("local", f"local store in {tmp_path / 'store'}")
    kubo = opened("kubo:/ip4/127.0.0.1/tcp/5001")
    assert (kubo.name, kubo.describe()) == ("kubo", "Kubo at /ip4/127.0.0.1/tcp/5001")
