"""Logs come in ranges that fit the RPC, whole, in order, and of one chain; or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from bafl.chain.abi import Artifact, Interface
from bafl.chain.calls import Creation
from bafl.chain.connection import Connection
from bafl.chain.errors import Inconsistent, RpcError
from bafl.chain.logs import FORGET_LIMIT_AFTER, Event, LogReader, RawLog, decode
from bafl.chain.sender import Sender
from bafl.devnet import Anvil
from bafl.errors import ChainError
from tests.unit.chain.conftest import Probe
from tests.unit.chain.proxy import Forward, Json, Proxy, Rule, error, only, result

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

ALL = list(range(1, 21))
EMPTY = 2 * FORGET_LIMIT_AFTER * 10


def numbers(reader: LogReader, probe: Probe, first: int, last: int) -> list[int]:
    found: list[int] = []
    for chunk in reader.read(first, last):
        for raw in chunk.logs:
            event = decode(probe.interface, raw)
            assert event is not None
            found.append(event.arguments["number"])
    return found


def span(request: Json) -> int:
    query = request["params"][0]
    return int(query["toBlock"], 16) - int(query["fromBlock"], 16) + 1


def edited(edit: Callable[[list[Json]], Any]) -> Rule:
    """A rule that changes the list of logs."""

    def rule(request: Json, forward: Forward) -> Json:
        answer = forward()
        changed = edit(answer["result"])
        return answer if changed is None else result(request, changed)

    return only("eth_getLogs", rule)


@dataclass(frozen=True, slots=True)
class Crowd:
    """A probe with 20 logs in 5 of the blocks from `first` to `last`."""

    probe: Probe
    first: int
    last: int

    def read(self, connection: Connection, width: int | None = None) -> list[int]:
        reader = LogReader(connection, self.probe.address)
        reader.range = width or reader.range
        return numbers(reader, self.probe, self.first, self.last)


@pytest.fixture(scope="module")
def crowd(anvil: Anvil, probe_artifact: Artifact) -> Crowd:
    account = Account.create()
    anvil.set_balance(account.address, 10**20)
    with Connection(anvil.url) as connection:
        sender = Sender(connection, account)
        created = sender.send(Creation("Probe", probe_artifact.initcode({})))
        assert created.contract is not None
        probe = Probe(created.contract, Interface(probe_artifact.abi), created.block)
        for _ in range(5):
            sender.send(probe.call("emitMany", 4))
            anvil.mine(9)
        anvil.mine(EMPTY)
        return Crowd(probe, created.block, created.block + 50)


def test_all_logs_in_order(connection: Connection, crowd: Crowd) -> None:
    assert crowd.read(connection) == ALL
    (chunk,) = LogReader(connection, crowd.probe.address).read(crowd.first, crowd.last)
    assert chunk.end == connection.block(crowd.last)


@pytest.mark.parametrize("allowed", [1, 7, 30])
def test_ranges_shrink_to_what_the_rpc_allows(proxy: Proxy, crowd: Crowd, allowed: int) -> None:
    def limit(request: Json, forward: Forward) -> Json:
        if span(request) > allowed:
            return error(request, -32602, f"block range too large: the maximum is {allowed}")
        return forward()

    proxy.rule = only("eth_getLogs", limit)
    with Connection(proxy.url) as connection:
        assert crowd.read(connection) == ALL
    spans = [span(request) for request in proxy.requests if request["method"] == "eth_getLogs"]
    refused = sum(each > allowed for each in spans)
    assert refused <= 8, "halves, and seldom asks for too much again"
    assert sum(spans) > 50
    assert max(each for each in spans if each <= allowed) > allowed // 3, "does not crawl"


def test_ranges_grow_again_after_a_crowded_stretch(proxy: Proxy, crowd: Crowd) -> None:
    def limit(request: Json, forward: Forward) -> Json:
        answer = forward()
        if len(answer["result"]) > 4:
            return error(request, -32005, "query returned more than 4 results")
        return answer

    proxy.rule = only("eth_getLogs", limit)
    with Connection(proxy.url) as connection:
        reader = LogReader(connection, crowd.probe.address)
        assert numbers(reader, crowd.probe, crowd.first, crowd.last) == ALL
        narrow = reader.range
        assert numbers(reader, crowd.probe, crowd.last + 1, crowd.last + EMPTY) == []
        assert reader.range > 2 * narrow


def test_a_range_that_takes_too_long_is_made_smaller(proxy: Proxy, crowd: Crowd) -> None:
    ends = threading.Event()

    def slow(request: Json, forward: Forward) -> Json:
        if span(request) > 30:
            ends.wait(5)
        return forward()

    proxy.rule = only("eth_getLogs", slow)
    with Connection(proxy.url, timeout_s=0.3) as connection:
        assert crowd.read(connection) == ALL
    ends.set()


def test_a_single_block_refused_is_an_error(proxy: Proxy, crowd: Crowd) -> None:
    proxy.rule = only("eth_getLogs", lambda r, f: error(r, -32000, "logs are not for you"))
    with Connection(proxy.url) as connection, pytest.raises(RpcError, match="not for you"):
        crowd.read(connection)


def test_a_missing_method_is_not_asked_for_in_smaller_pieces(proxy: Proxy, crowd: Crowd) -> None:
    proxy.rule = only("eth_getLogs", lambda r, f: error(r, -32601, "no such method"))
    with Connection(proxy.url) as connection, pytest.raises(RpcError):
        crowd.read(connection)
    assert proxy.methods().count("eth_getLogs") == 1


def test_duplicates_are_dropped(proxy: Proxy, crowd: Crowd) -> None:
    proxy.rule = edited(lambda logs: [log for log in logs for _ in range(2)])
    with Connection(proxy.url) as connection:
        assert crowd.read(connection) == ALL


def test_logs_marked_as_removed_are_dropped(proxy: Proxy, crowd: Crowd) -> None:
    def remove(logs: list[Json]) -> None:
        logs[0]["removed"] = True

    proxy.rule = edited(remove)
    with Connection(proxy.url) as connection:
        assert crowd.read(connection) == ALL[1:]


def other(name: str, value: Any) -> Callable[[list[Json]], None]:
    def change(logs: list[Json]) -> None:
        logs[3][name] = value

    return change


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda logs: logs[::-1], "after log"),
        (lambda logs: [logs[0], logs[0] | {"data": "0x" + "11" * 32}], "after log"),
        (other("blockHash", "0x" + "22" * 32), "two different blocks"),
        (other("address", "0x" + "33" * 20), "another contract"),
        (other("blockNumber", "0x0"), "a log of block 0, not of"),
        (other("blockNumber", "0xffffffff"), "a log of block 4294967295"),
        (other("logIndex", "many"), "log.logIndex"),
        (other("data", "0xz"), "log.data"),
        (other("topics", "0x"), "a log that is none"),
        (other("topics", ["0x" + "44" * 32] * 5), "5 topics"),
        (other("topics", ["0x12"]), "log.topics"),
        (lambda logs: [None], "a log that is none"),
        (lambda logs: {"a": 1}, "no list"),
    ],
)
def test_logs_that_cannot_be_are_refused(
    proxy: Proxy, crowd: Crowd, edit: Callable[[list[Json]], Any], said: str
) -> None:
    proxy.rule = edited(edit)
    with Connection(proxy.url) as connection, pytest.raises(ChainError, match=said):
        crowd.read(connection)


def test_a_reorg_during_the_reading_is_noticed(proxy: Proxy, crowd: Crowd) -> None:
    with Connection(proxy.url) as connection:
        seen: list[str] = []

        def replaced(request: Json, forward: Forward) -> Json:
            answer = forward()
            seen.append(request["params"][0])
            if len(seen) > 1:
                answer["result"]["hash"] = "0x" + "55" * 32
            return answer

        proxy.rule = only("eth_getBlockByNumber", replaced)
        with pytest.raises(Inconsistent, match=f"a reorg replaced block {crowd.last}"):
            crowd.read(connection)


def test_a_block_that_vanished_is_noticed(connection: Connection, crowd: Crowd) -> None:
    head = connection.latest().number
    with pytest.raises(Inconsistent, match="knew block"):
        list(LogReader(connection, crowd.probe.address).read(head + 1, head + 5))


def test_every_kind_of_argument_is_decoded(
    connection: Connection,
    sender: Sender,
    probe: Probe,
    new_account: Callable[..., LocalAccount],
) -> None:
    who = new_account(0).address
    receipt = sender.send(probe.call("emitOne", [-5, 7], [who.lower()]))
    (chunk,) = LogReader(connection, probe.address).read(receipt.block, receipt.block)
    event = decode(probe.interface, chunk.logs[0])
    assert isinstance(event, Event)
    assert event.name == "Numbered"
    assert event.transaction == receipt.hash
    assert event.arguments["number"] == 1
    assert event.arguments["from"] == sender.address
    assert event.arguments["list"] == (-5, 7)
    assert event.arguments["who"] == (who,)
    assert len(event.arguments["digest"]) == 32


def test_an_event_nobody_knows_is_passed_over(probe: Probe) -> None:
    raw = RawLog(1, bytes(32), 0, bytes(32), (b"\x01" * 32,), b"")
    assert decode(probe.interface, raw) is None
    assert decode(probe.interface, RawLog(1, bytes(32), 0, bytes(32), (), b"")) is None


def test_an_event_with_other_topics_is_refused(probe: Probe) -> None:
    topic = probe.interface.topic("Numbered")
    with pytest.raises(ChainError, match="Numbered in block 1: 2 topics, not 3"):
        decode(probe.interface, RawLog(1, bytes(32), 0, bytes(32), (topic, bytes(32)), b""))


@given(
    data=st.binary(max_size=400), topics=st.lists(st.binary(min_size=32, max_size=32), max_size=2)
)
def test_whatever_the_bytes_only_our_error_comes_out(
    probe_interface: Interface, data: bytes, topics: list[bytes]
) -> None:
    topic = probe_interface.topic("Numbered")
    raw = RawLog(1, bytes(32), 0, bytes(32), (topic, *topics), data)
    try:
        decode(probe_interface, raw)
    except ChainError:
        return


@pytest.fixture(scope="session")
def probe_interface(probe_artifact: Any) -> Any:
    return Interface(probe_artifact.abi)
