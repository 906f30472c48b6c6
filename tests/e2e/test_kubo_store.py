from __future__ import annotations

import json
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from bafl.codec.errors import PayloadTooLarge
from bafl.devnet import Kubo
from bafl.errors import StoreError
from bafl.store.base import Store, open_store
from bafl.store.cid import CHUNK_BYTES, UnixFsHasher, cid, parse_cid, root_of
from bafl.store.errors import PayloadUnavailable, StoreUnreachable, WrongBytes
from bafl.store.kubo import KuboStore
from bafl.store.local import LocalStore
from bafl.types import DAG_PB, RAW, Root

LIMIT = 8 << 20


def content(size: int) -> bytes:
    return (b"".join(i.to_bytes(4, "big") for i in range(size // 4 + 1)))[:size]


@pytest.fixture
def store(kubo: Kubo) -> Store:
    return open_store(f"kubo:{kubo.multiaddr}")


@pytest.fixture
def make(tmp_path: Path) -> Callable[[bytes], Path]:
    def written(data: bytes) -> Path:
        path = tmp_path / f"payload-{cid(root_of(data))}"
        path.write_bytes(data)
        return path

    return written


def add(kubo: Kubo, data: bytes, **options: object) -> str:
    """What `ipfs add` with these options says, past our own store."""
    query = urllib.parse.urlencode({"cid-version": 1, "raw-leaves": "true"} | options)
    boundary = "----bafl"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    request = urllib.request.Request(
        f"{kubo.url}/api/v0/add?{query}",
        data=body + data + f"\r\n--{boundary}--\r\n".encode(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    with urllib.request.urlopen(request) as response:
        return str(json.loads(response.read().splitlines()[-1])["Hash"])


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 5]
)
def test_every_store_gives_the_cid_that_kubo_gives(
    kubo: Kubo, store: Store, make: Callable[[bytes], Path], tmp_path: Path, size: int
) -> None:
    data = content(size)
    path = make(data)
    root = store.put(path)
    assert root == LocalStore(tmp_path / "local").put(path)
    assert cid(root) == add(kubo, data, **{"chunker": "size-1048576", "max-file-links": 1024})
    # The daemon has the profile that other people's `ipfs add` will have.
    assert cid(root) == add(kubo, data)
    store.fetch(root, tmp_path / "out", LIMIT, 30)
    assert (tmp_path / "out").read_bytes() == data


@pytest.mark.parametrize(
    ("chunks", "links"),
    [(1024, 1024), (1025, 1024), (2049, 1024), (174, 174), (9, 2), (8, 2), (7, 3), (28, 3)],
)
def test_trees_of_many_chunks_have_the_cids_of_kubo(kubo: Kubo, chunks: int, links: int) -> None:
    data = content(chunks * 16 - 3)
    hasher = UnixFsHasher(chunk_bytes=16, max_links=links)
    hasher.update(data)
    ours = cid(hasher.root())
    assert ours == add(kubo, data, **{"chunker": "size-16", "max-file-links": links})


def test_the_cid_does_not_depend_on_the_daemons_own_settings(
    own_kubo: Kubo, make: Callable[[bytes], Path]
) -> None:
    config = json.loads((own_kubo.repo / "config").read_text())
    config["Import"] = {
        "CidVersion": 0,
        "UnixFSRawLeaves": False,
        "UnixFSChunker": "size-262144",
        "UnixFSFileMaxLinks": 174,
        "HashFunction": "blake3",
    }
    own_kubo.stop()
    (own_kubo.repo / "config").write_text(json.dumps(config))
    own_kubo.start()
    data = content(2 * CHUNK_BYTES + 1)
    store = KuboStore(own_kubo.multiaddr)
    assert store.put(make(data)) == root_of(data)


def test_a_payload_past_the_limit_is_not_kept(
    store: Store, make: Callable[[bytes], Path], tmp_path: Path
) -> None:
    data = content(2 * CHUNK_BYTES)
    root = store.put(make(data))
    store.fetch(root, tmp_path / "out", len(data), 30)
    (tmp_path / "out").unlink()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(PayloadTooLarge, match=cid(root)):
        store.fetch(root, tmp_path / "out", len(data) - 1, 30)
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_cut_into_other_chunks_is_not_taken_for_a_payload(
    kubo: Kubo, store: Store, tmp_path: Path
) -> None:
    data = content(3 * CHUNK_BYTES)
    text = add(kubo, data, chunker="size-262144")
    assert text.startswith("bafybei")
    with pytest.raises(WrongBytes):
        store.fetch(parse_cid(text), tmp_path / "out", LIMIT, 30)
    assert not (tmp_path / "out").exists()


def test_a_directory_is_not_taken_for_a_payload(kubo: Kubo, store: Store, tmp_path: Path) -> None:
    kubo.rpc("files/mkdir", f"/{tmp_path.name}")
    root = parse_cid(kubo.rpc("files/stat", f"/{tmp_path.name}")["Hash"])
    assert store.has(root)
    with pytest.raises(PayloadUnavailable, match="directory"):
        store.fetch(root, tmp_path / "out", LIMIT, 30)
    assert not (tmp_path / "out").exists()


def test_what_nobody_has_is_unavailable(store: Store, tmp_path: Path) -> None:
    for codec in (RAW, DAG_PB):
        root = Root(b"\x07" * 32, codec)
        assert not store.has(root)
        with pytest.raises(PayloadUnavailable, match=cid(root)):
            store.fetch(root, tmp_path / "out", LIMIT, 30)
        with pytest.raises(PayloadUnavailable):
            store.pin(root)
    assert not list(tmp_path.iterdir())


def test_what_never_arrives_is_given_up_on_time(kubo_binary: Path, tmp_path: Path) -> None:
    with Kubo(tmp_path / "repo", online=True) as searching:
        store = KuboStore(searching.multiaddr, timeout_s=1)
        root = Root(b"\x08" * 32, RAW)
        with pytest.raises(PayloadUnavailable, match="in time"):
            store.fetch(root, tmp_path / "out", LIMIT, 1)
        with pytest.raises(PayloadUnavailable, match="in time"):
            store.pin(root)
    assert not (tmp_path / "out").exists()


def test_pins_keep_and_let_go(
    own_kubo: Kubo, make: Callable[[bytes], Path], tmp_path: Path
) -> None:
    store = KuboStore(own_kubo.multiaddr)
    kept, dropped = content(CHUNK_BYTES + 7), content(CHUNK_BYTES + 9)
    roots = store.put(make(kept)), store.put(make(dropped))
    store.unpin(roots[0])
    store.pin(roots[0])
    store.unpin(roots[1])
    store.unpin(roots[1])
    assert [store.has(root) for root in roots] == [True, True]
    collect(own_kubo)
    assert [store.has(root) for root in roots] == [True, False]
    store.fetch(roots[0], tmp_path / "out", LIMIT, 30)
    assert (tmp_path / "out").read_bytes() == kept


def collect(kubo: Kubo) -> None:
    with urllib.request.urlopen(
        urllib.request.Request(f"{kubo.url}/api/v0/repo/gc", method="POST")
    ) as response:
        response.read()


def test_half_a_payload_is_not_had(own_kubo: Kubo, make: Callable[[bytes], Path]) -> None:
    store = KuboStore(own_kubo.multiaddr)
    data = content(2 * CHUNK_BYTES)
    root = store.put(make(data))
    store.unpin(root)
    own_kubo.rpc("block/rm", cid(root_of(data[CHUNK_BYTES:])))
    assert not store.has(root)


def test_a_payload_travels_from_one_daemon_to_another(
    kubo_binary: Path, make: Callable[[bytes], Path], tmp_path: Path
) -> None:
    data = content(2 * CHUNK_BYTES + 3)
    with (
        Kubo(tmp_path / "a", online=True) as first,
        Kubo(tmp_path / "b", online=True) as second,
    ):
        second.connect(first.peer_multiaddr)
        here, there = KuboStore(first.multiaddr), KuboStore(second.multiaddr)
        root = here.put(make(data))
        assert not there.has(root)
        there.fetch(root, tmp_path / "out", LIMIT, 60)
        assert there.has(root)
    assert (tmp_path / "out").read_bytes() == data


def test_threads_share_a_store_without_mixing_payloads(store: Store, tmp_path: Path) -> None:
    def work(worker: int) -> None:
        for i in range(5):
            data = bytes([worker, i]) * 1000
            (tmp_path / f"in-{worker}").write_bytes(data)
            root = store.put(tmp_path / f"in-{worker}")
            store.fetch(root, tmp_path / f"out-{worker}", LIMIT, 30)
            assert (tmp_path / f"out-{worker}").read_bytes() == data

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))


def test_a_daemon_that_is_down_is_named_with_a_remedy_and_used_again_when_it_is_back(
    own_kubo: Kubo, make: Callable[[bytes], Path], tmp_path: Path
) -> None:
    store = KuboStore(own_kubo.multiaddr)
    path = make(content(100))
    root = store.put(path)
    own_kubo.kill()
    calls: list[Callable[[], object]] = [
        lambda: store.put(path),
        lambda: store.fetch(root, tmp_path / "out", LIMIT, 30),
        lambda: store.pin(root),
        lambda: store.unpin(root),
        lambda: store.has(root),
    ]
    for call in calls:
        with pytest.raises(StoreUnreachable, match="start it") as caught:
            call()
        assert own_kubo.multiaddr in str(caught.value)
    own_kubo.restart()
    store.fetch(root, tmp_path / "out", LIMIT, 30)
    assert root_of(tmp_path / "out") == root


@contextmanager
def answering(reply: bytes, then_wait: bool = False) -> Iterator[str]:
    """A server that says this to everybody and then hangs up, or stays silent until the end."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.recv(1 << 16)
                    client.sendall(reply)
                    if then_wait:
                        over.wait()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"/ip4/127.0.0.1/tcp/{server.getsockname()[1]}"
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_daemon_that_goes_down_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    # A real daemon cannot be killed between two bytes on purpose; this is what the wire shows then.
    with (
        answering(CHUNKED + b"5\r\nhello\r\n") as address,
        pytest.raises(StoreUnreachable, match="start it"),
    ):
        KuboStore(address).fetch(root_of(b"hello world"), tmp_path / "out", LIMIT, 30)
    assert not list(tmp_path.iterdir())


def test_a_daemon_that_falls_silent_in_the_middle_is_given_up(tmp_path: Path) -> None:
    with (
        answering(CHUNKED + b"5\r\nhello\r\n", then_wait=True) as address,
        pytest.raises(PayloadUnavailable, match="in time"),
    ):
        KuboStore(address).fetch(root_of(b"hello world"), tmp_path / "out", LIMIT, 1)
    assert not list(tmp_path.iterdir())


def test_a_daemon_that_lies_is_not_believed(tmp_path: Path) -> None:
    with (
        answering(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n") as address,
        pytest.raises(WrongBytes, match=cid(root_of(b"hello world"))),
    ):
        KuboStore(address).fetch(root_of(b"hello world"), tmp_path / "out", LIMIT, 30)
    assert not list(tmp_path.iterdir())


def test_a_daemon_that_never_ends_is_stopped_at_the_limit(tmp_path: Path) -> None:
    flood = CHUNKED + b"400\r\n" + b"x" * 1024 + b"\r\n"
    with answering(flood, then_wait=True) as address, pytest.raises(PayloadTooLarge):
        KuboStore(address).fetch(root_of(b"hello world"), tmp_path / "out", 1000, 30)
    assert not list(tmp_path.iterdir())


def test_a_server_of_another_kind_is_no_daemon(
    make: Callable[[bytes], Path], tmp_path: Path
) -> None:
    page = b"<html>hello</html>"
    for status in (b"200 OK", b"404 Not Found"):
        head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(page))
        with answering(head + page) as address, pytest.raises(StoreError, match="127"):
            KuboStore(address).put(make(b"data"))
