"""Several stores as one: the first that is right wins, liars and the sick are spared."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bafl.codec.errors import PayloadTooLarge
from bafl.devnet import wait_until
from bafl.errors import BaflError, StoreError
from bafl.store.base import Store, open_stores
from bafl.store.cid import CHUNK_BYTES, cid, root_of
from bafl.store.errors import (
    PayloadLost,
    PayloadUnavailable,
    ReadOnlyStore,
    StoreUnreachable,
    UnknownStore,
    WrongBytes,
)
from bafl.store.fallback import ABSENT_S, ASIDE_S, MOST_REST_S, REST_S, Fallback
from bafl.store.gateway import GatewayStore
from bafl.store.kubo import KuboStore
from bafl.store.local import LocalStore
from bafl.store.shelf import Shelf
from bafl.types import RAW, Root
from tests.unit.store.web import Request, Web

LIMIT = 8 << 20
LONG_S = 60.0


class Clock:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def own(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def first() -> Iterator[Web]:
    with Web() as web:
        yield web


@pytest.fixture
def second() -> Iterator[Web]:
    with Web() as web:
        yield web


@pytest.fixture
def dead() -> KuboStore:
    """A daemon of one's own that is down."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return KuboStore(f"/ip4/127.0.0.1/tcp/{taken.getsockname()[1]}")


def over(clock: Clock, *stores: Store | Web) -> Fallback:
    """A fall-back over stores and gateways."""
    return Fallback([s if not isinstance(s, Web) else GatewayStore(s.url) for s in stores], clock)


def lie(request: Request) -> None:
    request.answer(b"false")


def fail(request: Request) -> None:
    request.answer(status=500)


class Reads:
    """Fetches into a new file each time; what came, or the error."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._into = store, folder / "out"

    def __call__(self, root: Root, limit: int = LIMIT, timeout_s: float = LONG_S) -> bytes:
        self._store.fetch(root, self._into, limit, timeout_s)
        data = self._into.read_bytes()
        self._into.unlink()
        return data

    def refused(self, root: Root, limit: int = LIMIT) -> BaflError:
        with pytest.raises(BaflError) as caught:
            self(root, limit)
        assert not self._into.exists()
        return caught.value


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    caplog.clear()
    return found


# ----- order -----


def test_ones_own_store_is_asked_before_any_gateway(
    clock: Clock, own: LocalStore, first: Web, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    root = own.put(tmp_path / "file")
    store = over(clock, first, own)
    assert Reads(store, tmp_path)(root) == b"content"
    assert first.asked == []
    assert store.describe() == f"{own.describe()}, then IPFS gateway {first.url}"


def test_gateways_are_asked_in_their_order(
    clock: Clock, own: LocalStore, first: Web, second: Web, tmp_path: Path
) -> None:
    read = Reads(over(clock, own, first, second), tmp_path)
    root = second.put(b"second has it")
    assert read(root) == b"second has it"
    assert (len(first.asked), len(second.asked)) == (1, 1)
    assert read(first.put(b"both have it")) == b"both have it"
    assert (len(first.asked), len(second.asked)) == (2, 1)


def test_a_daemon_that_is_down_is_made_up_for_and_said_once(
    clock: Clock, dead: KuboStore, first: Web, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read = Reads(over(clock, dead, first), tmp_path)
    for content in (b"one", b"two"):
        assert read(first.put(content)) == content
    (line,) = warnings(caplog)
    assert line.startswith("cannot read")
    assert "start it (`ipfs daemon`)" in line


def test_one_that_hangs_leaves_time_for_the_next(
    own: LocalStore, first: Web, second: Web, tmp_path: Path
) -> None:
    first.rule = Request.hang
    store = Fallback([own, GatewayStore(first.url), GatewayStore(second.url)])
    assert Reads(store, tmp_path)(second.put(b"content"), timeout_s=2) == b"content"


def test_many_threads_may_read_at_once(
    clock: Clock, own: LocalStore, first: Web, second: Web, tmp_path: Path
) -> None:
    store = over(clock, own, first, second)
    first.rule = lie
    roots = [second.put(bytes([i]) * 1000) for i in range(8)]
    found = Shelf(tmp_path / "shelf", store, LIMIT).gather(roots, LONG_S)
    assert {root for root, file in found.items() if isinstance(file, Path)} == set(roots)
    for root, file in found.items():
        assert isinstance(file, Path)
        assert root_of(file) == root


# ----- liars -----


def test_a_liar_is_set_aside_for_an_hour_and_named_in_one_line(
    clock: Clock, first: Web, second: Web, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first.rule = lie
    read = Reads(over(clock, first, second), tmp_path)
    one, two = second.put(b"one"), second.put(b"two")
    assert read(one) == b"one"
    (line,) = warnings(caplog)
    assert line.startswith(f"IPFS gateway {first.url} gave other bytes than {cid(one)} has")
    assert line.endswith("it lies or is broken; use another one; set aside for 60 minutes")
    clock.now += ASIDE_S - 1
    assert read(two) == b"two"
    assert (len(first.asked), warnings(caplog)) == (1, [])
    clock.now += 2
    assert read(one) == b"one"
    assert (len(first.asked), len(warnings(caplog))) == (2, 1)


def test_a_liar_is_spared_even_when_nobody_else_has_the_payload(
    clock: Clock, own: LocalStore, first: Web, tmp_path: Path
) -> None:
    first.rule = lie
    read = Reads(over(clock, own, first), tmp_path)
    absent = root_of(b"never published")
    assert isinstance(read.refused(absent), PayloadUnavailable)
    assert "set aside for 60 more minutes" in str(read.refused(absent))
    assert len(first.asked) == 1


def test_ones_own_store_that_lies_is_asked_last_from_then_on(
    clock: Clock,
    first: Web,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Lying(LocalStore):
        def fetch(self, root: Root, into: Path, limit: int, timeout_s: float) -> None:
            if root in roots:
                raise WrongBytes("other bytes came")
            super().fetch(root, into, limit, timeout_s)

    own, file = Lying(tmp_path / "store"), tmp_path / "file"
    roots = [first.put(content) for content in (b"one", b"two")]
    read = Reads(over(clock, own, first), tmp_path)
    assert read(roots[0]) == b"one"
    (line,) = warnings(caplog)
    assert line.startswith(f"{own.describe()} gave other bytes than {cid(roots[0])} has, which")
    assert line.endswith("it lies or is broken; asked last for 60 minutes")
    assert read(roots[1]) == b"two"
    assert warnings(caplog) == []
    file.write_bytes(b"three")
    three = own.put(file)
    before = len(first.asked)
    assert read(first.put(b"three")) == b"three"
    assert len(first.asked) == before + 1
    # What only it has still comes, and it still takes what is written.
    first.blocks.clear()
    assert read(three) == b"three"
    clock.now += ASIDE_S + 1
    first.put(b"three")
    before = len(first.asked)
    assert read(three) == b"three"
    assert len(first.asked) == before


def test_what_ones_own_disk_lost_comes_from_a_gateway_and_is_kept_again(
    clock: Clock,
    own: LocalStore,
    first: Web,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    root = own.put(tmp_path / "file")
    stored = tmp_path / "store" / "payloads" / cid(root)
    stored.write_bytes(b"damaged")
    store = over(clock, own, first)
    assert type(Reads(store, tmp_path).refused(root)) is PayloadLost
    assert warnings(caplog) == [f"{stored} is damaged, and was removed: check the disk"]
    first.put(b"content")
    clock.now += ABSENT_S + 1
    shelf = Shelf(tmp_path / "shelf", store, LIMIT)
    shelf.gather([root], LONG_S)
    shelf.hold([root])
    wait_until(lambda: own.has(root), "the payload")
    assert stored.read_bytes() == b"content"
    assert warnings(caplog) == []


def test_an_author_cannot_have_a_store_set_aside(
    clock: Clock, first: Web, second: Web, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = bytes(2 * CHUNK_BYTES)
    root = first.put(odd, 1 << 18)
    assert second.put(odd, 1 << 18) == root
    read = Reads(over(clock, first, second), tmp_path)
    assert type(read.refused(root)) is WrongBytes
    assert warnings(caplog) == []
    first.put(b"content")
    assert read(root_of(b"content")) == b"content"


# ----- the sick -----


def test_a_gateway_that_is_down_is_asked_ever_more_rarely_until_it_works(
    clock: Clock, first: Web, second: Web, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first.rule = fail
    read = Reads(over(clock, first, second), tmp_path)
    root = second.put(b"content")
    first.put(b"content")
    pauses = [REST_S * 2**i for i in range(6)] + [MOST_REST_S, MOST_REST_S]
    for count, pause in enumerate(pauses, start=1):
        read(root)
        assert len(first.asked) == count
        clock.now += pause - 0.5
        read(root)
        assert len(first.asked) == count
        clock.now += 1
    assert len(warnings(caplog)) == 1
    first.rule = first.give
    read(root)
    assert warnings(caplog) == [f"IPFS gateway {first.url} works again"]
    read(root)
    assert (len(first.asked), warnings(caplog)) == (len(pauses) + 2, [])


def test_a_gateway_that_asks_to_be_left_alone_is(
    clock: Clock, first: Web, second: Web, tmp_path: Path
) -> None:
    first.rule = lambda request: request.answer(status=429, Retry_After="90")
    read = Reads(over(clock, first, second), tmp_path)
    root = second.put(b"content")
    read(root)
    clock.now += 89
    read(root)
    assert len(first.asked) == 1
    clock.now += 2
    read(root)
    assert len(first.asked) == 2


def test_a_gateway_is_not_pestered_for_what_it_has_not_got(
    clock: Clock, own: LocalStore, first: Web, tmp_path: Path
) -> None:
    read = Reads(over(clock, own, first), tmp_path)
    root = root_of(b"late")
    for _ in range(3):
        assert isinstance(read.refused(root), PayloadUnavailable)
    assert len(first.asked) == 1
    assert read(first.put(b"another")) == b"another"
    first.put(b"late")
    clock.now += ABSENT_S + 1
    assert read(root) == b"late"


# ----- the verdict, on which an author's score depends -----


def test_where_ones_own_store_lacks_it_a_gateway_that_is_down_excuses_nobody(
    clock: Clock, own: LocalStore, first: Web, tmp_path: Path
) -> None:
    first.rule = fail
    error = Reads(over(clock, own, first), tmp_path).refused(root_of(b"content"))
    assert isinstance(error, PayloadUnavailable)


def test_where_ones_own_store_is_down_nobody_is_blamed(
    clock: Clock, own: LocalStore, dead: KuboStore, first: Web, tmp_path: Path
) -> None:
    for stores in ((dead, first), (own, dead, first)):
        error = Reads(over(clock, *stores), tmp_path).refused(root_of(b"content"))
        assert isinstance(error, StoreUnreachable)


def test_no_gateway_can_make_a_payload_too_large(
    clock: Clock, own: LocalStore, first: Web, tmp_path: Path
) -> None:
    first.rule = Request.endless
    read = Reads(over(clock, own, first), tmp_path)
    assert isinstance(read.refused(root_of(b"content"), 1000), PayloadUnavailable)
    first.rule = first.give
    clock.now += ASIDE_S + 1
    root = first.put(bytes(1001))
    assert isinstance(read.refused(root, 1000), PayloadTooLarge)


def test_gateways_alone_decide_by_what_they_say(
    clock: Clock, first: Web, second: Web, tmp_path: Path
) -> None:
    first.rule = second.rule = fail
    read = Reads(over(clock, first, second), tmp_path)
    root = root_of(b"content")
    assert isinstance(read.refused(root), StoreUnreachable)
    clock.now += REST_S + 1
    second.rule = second.give
    assert isinstance(read.refused(root), PayloadUnavailable)
    clock.now += MOST_REST_S
    first.rule = second.rule = lie
    assert isinstance(read.refused(root), WrongBytes)


def test_the_error_says_what_each_store_said(
    clock: Clock, own: LocalStore, first: Web, second: Web, tmp_path: Path
) -> None:
    first.rule, second.rule = fail, lie
    root = root_of(b"content")
    text = str(Reads(over(clock, own, first, second), tmp_path).refused(root))
    head, *lines = text.split("\n")
    assert head == f"{cid(root)} came from none of 3 stores:"
    for line, (place, what) in zip(
        lines,
        [
            (own.describe(), "is not in local store"),
            (f"IPFS gateway {first.url}", "answers 500 (Internal Server Error)"),
            (f"IPFS gateway {second.url}", "gave other bytes"),
        ],
        strict=True,
    ):
        assert line.startswith(f"  {place}: ")
        assert what in line


def test_a_disk_that_refuses_is_no_fault_of_a_payload(
    clock: Clock, own: LocalStore, first: Web, tmp_path: Path
) -> None:
    root = first.put(b"content")
    with pytest.raises(StoreError, match="cannot write") as caught:
        over(clock, own, first).fetch(root, tmp_path / "gone" / "out", LIMIT, LONG_S)
    assert type(caught.value) is StoreError


# ----- writing -----


def test_what_is_written_goes_to_ones_own_store(
    clock: Clock, own: LocalStore, first: Web, tmp_path: Path
) -> None:
    store = over(clock, first, own)
    (tmp_path / "file").write_bytes(b"content")
    root = store.put(tmp_path / "file")
    assert own.has(root)
    assert store.has(root)
    own.unpin(root)
    assert not store.has(root)
    with pytest.raises(PayloadUnavailable):
        store.pin(root)
    store.put(tmp_path / "file")
    store.pin(root)
    store.unpin(root)
    assert not own.has(root)
    assert first.asked == []


def test_each_of_ones_own_stores_gets_it_even_if_one_fails(
    clock: Clock, own: LocalStore, dead: KuboStore, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with pytest.raises(StoreUnreachable):
        over(clock, dead, own).put(tmp_path / "file")
    assert own.has(root_of(b"content"))


def test_gateways_alone_take_nothing(clock: Clock, first: Web, second: Web, tmp_path: Path) -> None:
    store = over(clock, first, second)
    (tmp_path / "file").write_bytes(b"content")
    assert store.read_only
    for write in (lambda: store.put(tmp_path / "file"), lambda: store.pin(root_of(b"content"))):
        with pytest.raises(ReadOnlyStore, match="name a store of your own"):
            write()
    store.unpin(root_of(b"content"))
    assert not store.has(root_of(b"content"))


def test_what_a_gateway_gave_is_kept_in_ones_own_store_when_held(
    clock: Clock, own: LocalStore, first: Web, tmp_path: Path
) -> None:
    root = first.put(b"content")
    shelf = Shelf(tmp_path / "shelf", over(clock, own, first), LIMIT)
    shelf.gather([root], LONG_S)
    shelf.hold([root])
    wait_until(lambda: own.has(root), seconds=20, what="the payload in the own store")
    LocalStore(tmp_path / "store", "another").unpin(root)
    assert own.has(root)


# ----- opening -----


def test_one_description_opens_the_store_itself_and_several_a_fallback(tmp_path: Path) -> None:
    assert isinstance(open_stores([f"local:{tmp_path}/a"]), LocalStore)
    both = open_stores(["gateway:https://a.example", f"local:{tmp_path}/a"], "me")
    assert both.describe() == f"local store in {tmp_path}/a, then IPFS gateway https://a.example"
    with pytest.raises(UnknownStore, match="no store is named"):
        open_stores([])
    with pytest.raises(UnknownStore, match="gateway:http://127"):
        open_stores([f"local:{tmp_path}/a", "s3:bucket"])


def test_a_root_of_nobody_is_remembered_for_a_while_only(
    clock: Clock, own: LocalStore, first: Web, tmp_path: Path
) -> None:
    store = over(clock, own, first)
    read = Reads(store, tmp_path)
    for i in range(20):
        read.refused(Root(bytes([i]) * 32, RAW))
        clock.now += 1
    assert len(store._sources[1].absent) <= ABSENT_S + 1
