"""A gateway that is honest, and ones that are down, slow, wrong or hostile: over real sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bafl.codec.errors import PayloadTooLarge
from bafl.errors import StoreError
from bafl.store.base import open_store
from bafl.store.cid import CHUNK_BYTES, cid, root_of
from bafl.store.errors import (
    FalseBlock,
    PayloadUnavailable,
    ReadOnlyStore,
    StoreBusy,
    StoreUnreachable,
    UnknownStore,
    WrongBytes,
)
from bafl.store.gateway import GatewayStore
from bafl.store.http import onward
from bafl.types import DAG_PB, RAW, Root
from bafl.urls import gateway_url
from tests.unit.store.web import Request, Web

LIMIT = 8 << 20
LONG_S = 60.0


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as web:
        yield web


@pytest.fixture
def store(web: Web) -> GatewayStore:
    return GatewayStore(web.url)


def content(size: int) -> bytes:
    return (b"".join(i.to_bytes(4, "big") for i in range(size // 4 + 1)))[:size]


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 5]
)
def test_a_payload_comes_block_by_block(
    web: Web, store: GatewayStore, tmp_path: Path, size: int
) -> None:
    data = content(size)
    root = web.put(data)
    store.fetch(root, tmp_path / "out", size, LONG_S)
    assert (tmp_path / "out").read_bytes() == data
    assert len(web.asked) == len(web.blocks)


def test_it_is_opened_by_its_description(web: Web, tmp_path: Path) -> None:
    store = open_store(f"gateway:{web.url}/ipfs/")
    store.fetch(web.put(b"content"), tmp_path / "out", LIMIT, LONG_S)
    assert (store.name, store.describe()) == ("gateway", f"IPFS gateway {web.url}")


def test_it_can_be_used_from_within_an_event_loop(
    web: Web, store: GatewayStore, tmp_path: Path
) -> None:
    root = web.put(b"content")

    async def fetch() -> None:
        store.fetch(root, tmp_path / "out", LIMIT, LONG_S)

    asyncio.run(fetch())
    assert (tmp_path / "out").read_bytes() == b"content"


def test_it_takes_nothing(web: Web, store: GatewayStore, tmp_path: Path) -> None:
    root = web.put(b"content")
    (tmp_path / "file").write_bytes(b"content")
    assert store.read_only
    for write in (lambda: store.put(tmp_path / "file"), lambda: store.pin(root)):
        with pytest.raises(ReadOnlyStore, match=r"only reads; name a store of your own"):
            write()
    store.unpin(root)
    assert not store.has(root)
    assert web.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "", "127.0.0.1:8080", "ftp://a", "file:///etc/passwd", "http://", "http://a b", "http://a?x",
        "http://a#x", "http://user:word@a", "http://a:99999", "http://[::1", "http://a\nb",
        "http://\\a", "http://" + "a" * 70,
    ],
)  # fmt: skip
def test_a_url_that_is_none_is_wrong_usage(url: str) -> None:
    with pytest.raises(UnknownStore, match=r"gateway: .* needs an IPFS gateway's http://"):
        GatewayStore(url)


def test_one_address_has_one_spelling() -> None:
    spellings = ["https://a", "https://a/", "https://a/ipfs", "https://a/ipfs/"]
    assert {gateway_url(text) for text in spellings} == {"https://a"}
    assert gateway_url("http://a:1/key/ipfs") == "http://a:1/key"


def test_a_key_in_the_path_is_used_and_never_shown(web: Web, tmp_path: Path) -> None:
    store = GatewayStore(f"{web.url}/secret-key")
    root = Root(b"\x07" * 32, RAW)
    with pytest.raises(PayloadUnavailable) as caught:
        store.fetch(root, tmp_path / "out", LIMIT, LONG_S)
    assert "secret" not in str(caught.value) + store.describe()
    assert web.asked == [f"/secret-key/ipfs/{cid(root)}?format=raw"]


# ----- what is not there, or not now -----


@pytest.mark.parametrize("status", [404, 410, 451, 504])
def test_what_a_gateway_has_not_got_is_unavailable(
    web: Web, store: GatewayStore, tmp_path: Path, status: int
) -> None:
    web.rule = lambda request: request.answer(b"<html>", status=status)
    root = root_of(b"content")
    with pytest.raises(PayloadUnavailable, match=f"{cid(root)}: it answers {status}"):
        store.fetch(root, tmp_path / "out", LIMIT, LONG_S)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("status", "after", "expected"), [(429, "7", 7), (503, "soon", 30)])
def test_a_busy_gateway_says_how_long(
    web: Web, store: GatewayStore, tmp_path: Path, status: int, after: str, expected: float
) -> None:
    web.rule = lambda request: request.answer(status=status, Retry_After=after)
    with pytest.raises(StoreBusy, match=f"answers {status}") as caught:
        store.fetch(root_of(b"content"), tmp_path / "out", LIMIT, LONG_S)
    assert caught.value.seconds == expected


@pytest.mark.parametrize("status", [201, 206, 304, 400, 401, 403, 406, 500, 502, 599])
def test_any_other_answer_is_none_of_a_gateway(
    web: Web, store: GatewayStore, tmp_path: Path, status: int
) -> None:
    web.rule = lambda request: request.answer(status=status)
    with pytest.raises(StoreUnreachable, match=f"answers {status}"):
        store.fetch(root_of(b"content"), tmp_path / "out", LIMIT, LONG_S)


def test_nothing_listening_names_the_gateway_and_the_cause(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(StoreUnreachable, match=f"{url} cannot be reached .*check its address"):
        GatewayStore(url).fetch(root_of(b""), tmp_path / "out", LIMIT, LONG_S)


def test_an_unknown_host_is_said_to_be_unknown(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachable, match="has an unknown host"):
        GatewayStore("http://no-such-host.invalid").fetch(
            root_of(b""), tmp_path / "out", LIMIT, LONG_S
        )


def test_a_gateway_without_a_valid_certificate_is_not_used(web: Web, tmp_path: Path) -> None:
    store = GatewayStore(f"https://127.0.0.1:{web.port}")
    with pytest.raises(StoreUnreachable, match=r"TLS|cannot be reached"):
        store.fetch(root_of(b""), tmp_path / "out", LIMIT, LONG_S)


# ----- silence -----


def in_time(store: GatewayStore, root: Root, into: Path) -> None:
    """Give a fetch a second; it must neither succeed nor take the minute that a hang would."""
    began = time.monotonic()
    with pytest.raises(PayloadUnavailable, match="in time"):
        store.fetch(root, into, LIMIT, 1)
    assert time.monotonic() - began < 20
    assert not into.exists()


def test_a_gateway_that_never_answers_is_given_up(
    web: Web, store: GatewayStore, tmp_path: Path
) -> None:
    web.rule = Request.hang
    in_time(store, web.put(b"content"), tmp_path / "out")


def test_a_gateway_that_drips_its_headers_is_given_up(
    web: Web, store: GatewayStore, tmp_path: Path
) -> None:
    web.rule = lambda request: request.drip(b"X", b"HTTP/1.1 200 OK\r\nX-Slow: ")
    in_time(store, web.put(b"content"), tmp_path / "out")


def test_a_gateway_that_drips_its_body_is_given_up(
    web: Web, store: GatewayStore, tmp_path: Path
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    web.rule = lambda request: request.drip(b"X", head)
    in_time(store, web.put(b"content"), tmp_path / "out")


def test_a_gateway_that_falls_silent_between_blocks_is_given_up(
    web: Web, store: GatewayStore, tmp_path: Path
) -> None:
    root = web.put(content(2 * CHUNK_BYTES))

    def first_two(request: Request) -> None:
        web.give(request) if len(web.asked) < 3 else request.hang()

    web.rule = first_two
    in_time(store, root, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_name_that_does_not_resolve_in_time_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: over.wait() or [])
    try:
        with pytest.raises(StoreError):
            GatewayStore("http://slow.example").fetch(root_of(b""), tmp_path / "out", LIMIT, 0.5)
    finally:
        over.set()


# ----- lies -----


@pytest.mark.parametrize(
    "lie",
    [b"", b"contenu", b"content\n", b"<html>sign in to the guest network</html>", bytes(3 << 20)],
    ids=["empty", "other", "more", "page", "large"],
)
def test_other_bytes_are_a_lie_that_names_the_gateway(
    web: Web, store: GatewayStore, tmp_path: Path, lie: bytes
) -> None:
    web.rule = lambda request: request.answer(lie)
    root = root_of(b"content")
    with pytest.raises(FalseBlock, match=f"{web.url} gave other bytes than {cid(root)} has"):
        store.fetch(root, tmp_path / "out", LIMIT, LONG_S)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_one_false_block_of_many_is_found(
    web: Web, store: GatewayStore, tmp_path: Path, which: int
) -> None:
    root = web.put(content(3 * CHUNK_BYTES))

    def rule(request: Request) -> None:
        request.answer(b"false") if len(web.asked) == which + 1 else web.give(request)

    web.rule = rule
    with pytest.raises(FalseBlock):
        store.fetch(root, tmp_path / "out", LIMIT, LONG_S)
    assert not list(tmp_path.iterdir())


def test_blocks_that_change_places_are_found(web: Web, store: GatewayStore, tmp_path: Path) -> None:
    data = content(2 * CHUNK_BYTES)
    root = web.put(data)
    first, second = cid(root_of(data[:CHUNK_BYTES])), cid(root_of(data[CHUNK_BYTES:]))
    web.blocks[first], web.blocks[second] = web.blocks[second], web.blocks[first]
    with pytest.raises(FalseBlock, match=first):
        store.fetch(root, tmp_path / "out", LIMIT, LONG_S)


@pytest.mark.parametrize("codec", [RAW, DAG_PB])
def test_an_endless_body_ends_after_a_block_and_is_never_taken_for_a_large_payload(
    web: Web, store: GatewayStore, tmp_path: Path, codec: int
) -> None:
    # A payload past the limit costs its author stake: a gateway must not be able to feign one.
    web.rule = Request.endless
    tracemalloc.start()
    try:
        with pytest.raises(FalseBlock, match="more than any block has"):
            store.fetch(Root(b"\x07" * 32, codec), tmp_path / "out", 1000, LONG_S)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    assert web.sent < 64 << 20


@pytest.mark.parametrize("size", [1001, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_a_payload_past_the_limit_is_proven(
    web: Web, store: GatewayStore, tmp_path: Path, size: int
) -> None:
    root = web.put(content(size))
    with pytest.raises(PayloadTooLarge, match=cid(root)):
        store.fetch(root, tmp_path / "out", 1000, LONG_S)
    assert not list(tmp_path.iterdir())
    assert len(web.asked) == 1


def test_what_its_author_cut_otherwise_is_no_lie_of_the_gateway(
    web: Web, store: GatewayStore, tmp_path: Path
) -> None:
    large = web.hold(bytes(CHUNK_BYTES + 1), RAW).root
    other = web.put(content(CHUNK_BYTES * 2), 1 << 18)
    for root in (large, other):
        with pytest.raises(WrongBytes) as caught:
            store.fetch(root, tmp_path / "out", LIMIT, LONG_S)
        assert not isinstance(caught.value, FalseBlock)
        assert not list(tmp_path.iterdir())


# ----- broken answers -----


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncont",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ncont\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\ncont\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["short", "short chunks", "bad chunks", "head", "nothing", "no http", "long", "gzip"],
)
def test_an_answer_cut_short_or_garbled_is_no_answer(
    web: Web, store: GatewayStore, tmp_path: Path, answer: bytes
) -> None:
    def rule(request: Request) -> None:
        request.send(answer)
        request.hang_up()

    web.rule = rule
    with pytest.raises(StoreUnreachable, match=web.url):
        store.fetch(web.put(b"content"), tmp_path / "out", LIMIT, LONG_S)
    assert not list(tmp_path.iterdir())


# ----- redirects -----


def test_a_redirect_on_the_same_site_is_followed(
    web: Web, store: GatewayStore, tmp_path: Path
) -> None:
    root = web.put(content(CHUNK_BYTES + 1))

    def rule(request: Request) -> None:
        if request.path.startswith("/moved"):
            request.path = request.path.removeprefix("/moved")
            web.give(request)
        else:
            request.answer(status=302, Location=f"/moved{request.path}")

    web.rule = rule
    store.fetch(root, tmp_path / "out", LIMIT, LONG_S)
    assert root_of(tmp_path / "out") == root


def test_a_gateway_that_gives_each_cid_a_host_below_its_own_is_followed(
    web: Web, tmp_path: Path
) -> None:
    # As Kubo's does, asked as localhost.
    root = web.put(b"content")

    def rule(request: Request) -> None:
        host = request.headers["Host"]
        if host == f"{cid(root)}.ipfs.localhost:{web.port}":
            request.answer(b"content")
        else:
            request.answer(status=301, Location=f"http://{cid(root)}.ipfs.{host}/?format=raw")

    web.rule = rule
    GatewayStore(f"http://localhost:{web.port}").fetch(root, tmp_path / "out", LIMIT, LONG_S)
    assert (tmp_path / "out").read_bytes() == b"content"


def test_redirects_without_end_are_not_followed(
    web: Web, store: GatewayStore, tmp_path: Path
) -> None:
    web.rule = lambda request: request.answer(status=302, Location=request.path)
    with pytest.raises(StoreUnreachable, match="redirects more than 3 times"):
        store.fetch(root_of(b""), tmp_path / "out", LIMIT, LONG_S)
    assert len(web.asked) == 4


def test_a_redirect_elsewhere_is_not_followed(web: Web, tmp_path: Path) -> None:
    root = web.put(b"content")
    with Web() as other:
        web.rule = lambda request: request.answer(status=307, Location=other.url + request.path)
        with pytest.raises(StoreUnreachable, match="not its own: not followed"):
            GatewayStore(web.url).fetch(root, tmp_path / "out", LIMIT, LONG_S)
        assert other.asked == []


HOME = "https://gate.example/ipfs/x?format=raw"


@pytest.mark.parametrize(
    ("url", "location"),
    [
        (HOME, "file:///etc/passwd"),
        (HOME, "ftp://gate.example/x"),
        (HOME, "http://gate.example/x"),
        (HOME, "//other.example/x"),
        (HOME, "https://gate.example.evil.example/x"),
        (HOME, "https://evilgate.example/x"),
        (HOME, "https://gate.example:22/x"),
        (HOME, "https://10.0.0.1/x"),
        (HOME, "https://user:word@gate.example/x"),
        (HOME, "https://gate.example:port/x"),
        (HOME, "https://[::1/x"),
        (HOME, "javascript:alert(1)"),
        (HOME, ""),
        ("http://gate.example:8080/x", "http://gate.example/x"),
        ("http://gate.example:8080/x", "https://gate.example:22/x"),
    ],
)
def test_a_redirect_away_from_the_gateway_is_refused(url: str, location: str) -> None:
    with pytest.raises(ConnectionError, match="redirects to"):
        onward(url, url, location)


@pytest.mark.parametrize(
    "location", ["https://b/v1/our-key/x", "https://our-key@b/x", "//b?our-key"]
)
def test_a_key_in_a_refused_redirect_is_not_repeated(location: str) -> None:
    with pytest.raises(ConnectionError, match="redirects to 'https://b") as caught:
        onward(HOME, HOME, location)
    assert "our-key" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "location", "to"),
    [
        (HOME, "/y", "https://gate.example/y"),
        (HOME, "https://x.ipfs.gate.example/", "https://x.ipfs.gate.example/"),
        ("http://gate.example/x", "https://gate.example/x", "https://gate.example/x"),
        ("http://g.example:80/x", "https://g.example:443/x", "https://g.example:443/x"),
    ],
)
def test_a_redirect_within_the_site_or_to_https_is_allowed(
    url: str, location: str, to: str
) -> None:
    assert onward(url, url, location) == to


# ----- manners -----


def test_nothing_of_the_machine_is_told(
    web: Web, store: GatewayStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    root = web.put(content(CHUNK_BYTES + 1))
    seen: list[set[str]] = []

    def rule(request: Request) -> None:
        seen.append({name.lower() for name in request.headers})
        request.answer(web.blocks[request.path[6:].partition("?")[0]], Set_Cookie="track=me")

    web.rule = rule
    store.fetch(root, tmp_path / "out", LIMIT, LONG_S)
    assert seen == [{"host", "accept", "accept-encoding", "user-agent"}] * 3


def test_the_proxy_of_the_environment_is_used(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = web.put(b"content")
    monkeypatch.setenv("http_proxy", web.url)
    web.rule = lambda request: request.answer(b"content")
    GatewayStore("http://gate.example").fetch(root, tmp_path / "out", LIMIT, LONG_S)
    assert web.asked == [f"http://gate.example/ipfs/{cid(root)}?format=raw"]


def test_nothing_is_left_running(web: Web, store: GatewayStore, tmp_path: Path) -> None:
    rules: list[Callable[[Request], None]] = [web.give, Request.hang, Request.hang_up]
    root = web.put(b"content")
    for rule in rules:
        web.rule = rule
        try:
            store.fetch(root, tmp_path / "out", LIMIT, 0.5)
        except StoreError:
            continue
    assert "gateway" not in {thread.name for thread in threading.enumerate()}
