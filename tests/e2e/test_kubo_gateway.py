"""Gateways as people run them: Kubo's own, in the ways it can be set, and between two nodes."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bafl.codec.errors import PayloadTooLarge
from bafl.devnet import Kubo, wait_until
from bafl.store.base import open_store, open_stores
from bafl.store.cid import CHUNK_BYTES, MAX_LINKS, UnixFsHasher, cid, parse_cid, root_of
from bafl.store.errors import FalseBlock, PayloadUnavailable, StoreUnreachable, WrongBytes
from bafl.store.gateway import GatewayStore
from bafl.store.http import HttpSession
from bafl.store.kubo import KuboStore
from bafl.store.local import LocalStore
from bafl.store.shelf import Shelf
from bafl.store.unixfs import file_blocks
from bafl.types import DAG_PB, RAW, Root
from tests.e2e.test_kubo_store import add, collect, content
from tests.unit.store.web import Web

LIMIT = 8 << 20
SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 5]

Make = Callable[[bytes], Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def written(data: bytes) -> Path:
        path = tmp_path / f"payload-{cid(root_of(data))}"
        path.write_bytes(data)
        return path

    return written


@pytest.fixture(
    scope="module",
    params=[{}, {"NoFetch": True}, {"DeserializedResponses": False}],
    ids=["plain", "no fetch", "trustless only"],
)
def gateway(
    request: pytest.FixtureRequest, kubo_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kubo]:
    """A daemon with this configuration of its gateway."""
    daemon = Kubo(tmp_path_factory.mktemp("gateway") / "repo")
    with daemon:
        daemon.stop()
        configure(daemon, request.param)
        daemon.start()
        yield daemon


def configure(kubo: Kubo, gateway: dict[str, object]) -> None:
    path = kubo.repo / "config"
    config = json.loads(path.read_text())
    config["Gateway"] |= gateway
    path.write_text(json.dumps(config))


@pytest.mark.parametrize("size", SIZES)
def test_what_kubo_holds_comes_through_its_gateway(
    gateway: Kubo, make: Make, tmp_path: Path, size: int
) -> None:
    data = content(size)
    root = KuboStore(gateway.multiaddr).put(make(data))
    for url in (gateway.gateway_url, f"http://localhost:{gateway.gateway_port}/ipfs/"):
        GatewayStore(url).fetch(root, tmp_path / "out", size, 60)
        assert (tmp_path / "out").read_bytes() == data


def test_what_a_gateway_has_not_got_is_unavailable(gateway: Kubo, tmp_path: Path) -> None:
    store = GatewayStore(gateway.gateway_url)
    for codec in (RAW, DAG_PB):
        root = Root(b"\x07" * 32, codec)
        with pytest.raises(PayloadUnavailable, match=f"{cid(root)}: it answers 404"):
            store.fetch(root, tmp_path / "out", LIMIT, 60)
    assert not list(tmp_path.iterdir())


def test_a_payload_past_the_limit_is_proven_by_its_root(
    gateway: Kubo, make: Make, tmp_path: Path
) -> None:
    root = KuboStore(gateway.multiaddr).put(make(content(2 * CHUNK_BYTES)))
    with pytest.raises(PayloadTooLarge, match=cid(root)):
        GatewayStore(gateway.gateway_url).fetch(root, tmp_path / "out", 2 * CHUNK_BYTES - 1, 60)
    assert not (tmp_path / "out").exists()


def test_files_cut_otherwise_and_directories_are_no_payloads(gateway: Kubo, tmp_path: Path) -> None:
    gateway.rpc("files/mkdir", "/folder-of-somebody")
    folder = gateway.rpc("files/stat", "/folder-of-somebody")["Hash"]
    for text in (add(gateway, content(3 * CHUNK_BYTES), chunker="size-262144"), folder):
        with pytest.raises(WrongBytes, match="cut as payloads are") as caught:
            GatewayStore(gateway.gateway_url).fetch(parse_cid(text), tmp_path / "out", LIMIT, 60)
        assert not isinstance(caught.value, FalseBlock)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("chunks", "links"), [(2, 2), (9, 3), (10, 3), (28, 3), (1025, 32)])
def test_trees_of_several_levels_come_through_a_gateway(
    gateway: Kubo, chunks: int, links: int
) -> None:
    data = content(chunks * 16 - 3)
    root = parse_cid(add(gateway, data, **{"chunker": "size-16", "max-file-links": links}))
    hasher = UnixFsHasher(16, links)
    hasher.update(data)
    assert hasher.root() == root
    store = GatewayStore(gateway.gateway_url)
    with HttpSession(time.monotonic() + 60) as http:
        parts = file_blocks(root, len(data), lambda r: store.block(http, r), 16, links)
        assert b"".join(parts) == data


@pytest.mark.slow
def test_a_payload_of_several_levels_comes_through_a_gateway(
    kubo: Kubo, make: Make, tmp_path: Path
) -> None:
    # One chunk more than a single node has links: a gigabyte, mostly of holes.
    size = MAX_LINKS * CHUNK_BYTES + 1
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(size - 1)
        file.seek(size - 1)
        file.write(b"!")
    store = KuboStore(kubo.multiaddr, timeout_s=300)
    root = store.put(path)
    path.unlink()
    try:
        GatewayStore(kubo.gateway_url).fetch(root, tmp_path / "out", size, 300)
        assert (tmp_path / "out").stat().st_size == size
        assert root_of(tmp_path / "out") == root
    finally:
        store.unpin(root)
        (tmp_path / "out").unlink(missing_ok=True)


def test_a_gateway_finds_what_a_peer_holds(kubo_binary: Path, make: Make, tmp_path: Path) -> None:
    data = content(2 * CHUNK_BYTES + 3)
    with (
        Kubo(tmp_path / "a", online=True) as author,
        Kubo(tmp_path / "b", online=True) as between,
    ):
        between.connect(author.peer_multiaddr)
        root = KuboStore(author.multiaddr).put(make(data))
        store = GatewayStore(between.gateway_url)
        store.fetch(root, tmp_path / "out", LIMIT, 60)
        assert (tmp_path / "out").read_bytes() == data
        # What no peer has is looked for until the time is up, and not a moment longer.
        with pytest.raises(PayloadUnavailable, match="in time"):
            store.fetch(root_of(b"nobody has it"), tmp_path / "none", LIMIT, 1)


def test_a_gateway_that_does_not_fetch_gives_what_it_has_and_no_more(
    kubo_binary: Path, make: Make, tmp_path: Path
) -> None:
    data = content(2 * CHUNK_BYTES + 3)
    with (
        Kubo(tmp_path / "a", online=True) as author,
        Kubo(tmp_path / "b", online=True) as between,
    ):
        between.stop()
        configure(between, {"NoFetch": True})
        between.start()
        between.connect(author.peer_multiaddr)
        root = KuboStore(author.multiaddr).put(make(data))
        store = GatewayStore(between.gateway_url)
        with pytest.raises(PayloadUnavailable, match="it answers 404"):
            store.fetch(root, tmp_path / "out", LIMIT, 60)
        KuboStore(between.multiaddr).pin(root)  # its owner's own daemon still fetches
        store.fetch(root, tmp_path / "out", LIMIT, 60)
        assert (tmp_path / "out").read_bytes() == data


def test_a_node_gets_payloads_past_gateways_that_fail_in_every_way(
    kubo: Kubo, own_kubo: Kubo, make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (content(CHUNK_BYTES + extra) for extra in (101, 102))
    roots = [KuboStore(kubo.multiaddr).put(make(data)) for data in (first, second)]
    with (
        Kubo(tmp_path / "empty") as empty,
        Web() as elsewhere,
        Web() as cut,
        Web() as liar,
    ):
        empty.stop()
        configure(empty, {"NoFetch": True})
        empty.start()
        elsewhere.rule = lambda request: request.answer(
            status=302, Location=kubo.gateway_url + request.path
        )
        cut.rule = lambda request: request.answer(b"half", Content_Length="8")
        liar.rule = lambda request: request.answer(b"false")
        gateways = [empty.gateway_url, elsewhere.url, cut.url, liar.url, kubo.gateway_url]
        store = open_stores([f"kubo:{own_kubo.multiaddr}", *(f"gateway:{url}" for url in gateways)])
        shelf = Shelf(tmp_path / "shelf", store, LIMIT)
        for root, data in zip(roots, (first, second), strict=True):
            (path,) = shelf.gather([root], 60).values()
            assert isinstance(path, Path)
            assert path.read_bytes() == data
        shelf.hold(roots)
        assert elsewhere.asked
        assert cut.asked
        assert len(liar.asked) == 1  # once is enough
    warned = [record.getMessage() for record in caplog.records]
    for url, what in (
        (elsewhere.url, "which is not its own: not followed"),
        (cut.url, "hung up before its answer ended"),
        (liar.url, "it lies or is broken; use another one; set aside for 60 minutes"),
    ):
        assert len([line for line in warned if url in line and what in line]) == 1
    # What came from a gateway is in one's own daemon from now on, pinned.
    own = KuboStore(own_kubo.multiaddr)
    wait_until(lambda: all(map(own.has, roots)), seconds=60, what="the payloads in the daemon")
    collect(own_kubo)
    assert all(map(own.has, roots))


def test_a_daemon_that_is_down_is_made_up_for_by_anothers_gateway(
    kubo: Kubo, own_kubo: Kubo, make: Make, tmp_path: Path
) -> None:
    data = content(CHUNK_BYTES + 11)
    path = make(data)
    root = KuboStore(kubo.multiaddr).put(path)
    specs = [f"kubo:{own_kubo.multiaddr}", f"gateway:{kubo.gateway_url}"]
    store = open_stores(specs)
    own_kubo.kill()
    store.fetch(root, tmp_path / "out", LIMIT, 60)
    assert (tmp_path / "out").read_bytes() == data
    with pytest.raises(StoreUnreachable, match="start it"):
        store.put(path)
    own_kubo.restart()
    assert store.put(path) == root
    assert open_store(specs[0]).has(root)


def test_a_gateway_that_goes_down_is_named_and_used_again_when_it_is_back(
    own_kubo: Kubo, make: Make, tmp_path: Path
) -> None:
    root = KuboStore(own_kubo.multiaddr).put(make(content(100)))
    store = GatewayStore(own_kubo.gateway_url)
    own_kubo.kill()
    with pytest.raises(StoreUnreachable, match=f"{own_kubo.gateway_url} cannot be reached"):
        store.fetch(root, tmp_path / "out", LIMIT, 60)
    own_kubo.restart()
    store.fetch(root, tmp_path / "out", LIMIT, 60)
    assert root_of(tmp_path / "out") == root


def test_every_store_gives_the_same_bytes_for_a_cid(kubo: Kubo, make: Make, tmp_path: Path) -> None:
    data = content(2 * CHUNK_BYTES + 1)
    path = make(data)
    local = LocalStore(tmp_path / "folder")
    root = local.put(path)
    assert KuboStore(kubo.multiaddr).put(path) == root
    for store in (local, KuboStore(kubo.multiaddr), GatewayStore(kubo.gateway_url)):
        store.fetch(root, tmp_path / store.name, LIMIT, 60)
        assert (tmp_path / store.name).read_bytes() == data


def test_a_daemon_with_a_damaged_block_is_found_out_and_made_up_for(
    kubo: Kubo, own_kubo: Kubo, make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Kubo does not hash what it reads from its own disk.
    data = content(CHUNK_BYTES + 13)
    path = make(data)
    root = KuboStore(own_kubo.multiaddr).put(path)
    KuboStore(kubo.multiaddr).put(path)
    leaf = data[:CHUNK_BYTES]
    (block,) = [
        file for file in (own_kubo.repo / "blocks").rglob("*.data") if file.read_bytes() == leaf
    ]
    own_kubo.stop()
    block.chmod(0o600)
    block.write_bytes(b"!" + leaf[1:])
    own_kubo.start()
    with pytest.raises(FalseBlock, match=own_kubo.gateway_url):
        GatewayStore(own_kubo.gateway_url).fetch(root, tmp_path / "out", LIMIT, 60)
    store = open_stores([f"kubo:{own_kubo.multiaddr}", f"gateway:{kubo.gateway_url}"])
    store.fetch(root, tmp_path / "out", LIMIT, 60)
    assert (tmp_path / "out").read_bytes() == data
    assert f"Kubo at {own_kubo.multiaddr} gave other bytes than {cid(root)} has" in caplog.text
    with urllib.request.urlopen(f"{kubo.gateway_url}/ipfs/{cid(root)}") as whole:
        assert whole.read() == data
