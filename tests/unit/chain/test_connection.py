"""An RPC endpoint that is wrong, silent, busy or hostile: one clear error, or a patient wait."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterator

import pytest

from bafl.chain.connection import Block, Connection, quantity, unhex
from bafl.chain.errors import ChainUnreachable, RpcError
from bafl.devnet import Anvil
from bafl.errors import ChainError, UsageError
from tests.unit.chain.conftest import Probe
from tests.unit.chain.proxy import Drop, Forward, Json, Proxy, Raw, error, only, result


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8545",
        "ftp://x",
        "http://",
        "/dev/null",
        "http://localhost:85455555",
        "http://localhost:85a5",
        "http://[::1",
        "http://:8545",
    ],
)
def test_a_url_that_is_none_is_wrong_usage(url: str) -> None:
    with pytest.raises(UsageError, match="http://"):
        Connection(url)


def test_nothing_listening_names_the_url_and_the_cause() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(ChainUnreachable, match=f"{url} .*connection refused.*RPC URL"):
        Connection(url)


def test_an_unknown_host_is_said_to_be_unknown() -> None:
    with pytest.raises(ChainUnreachable, match=r"host is unknown|connection failed"):
        Connection("http://no-such-host.invalid:1")


def test_another_chain_is_refused_with_both_ids(anvil: Anvil) -> None:
    with pytest.raises(ChainError, match="is chain 31337, not 1: give the RPC"):
        Connection(anvil.url, 1)


def test_an_api_key_in_the_url_is_never_shown(anvil: Anvil) -> None:
    with pytest.raises(ChainError) as caught:
        Connection(anvil.url + "/secret-api-key", 1)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        Raw(b"<html>hello</html>"),
        Raw(b"[1, 2]"),
        Raw(b'{"jsonrpc": "2.0", "id": 0}'),
        Raw(b"\xff\xfe"),
        Raw(b"[" * 100_000),
        Raw(b"", status=301, headers={"Location": "http://127.0.0.1:1/"}),
    ],
    ids=["html", "list", "no result", "no text", "deep", "redirect"],
)
def test_what_is_not_json_rpc_is_said_to_be_none(proxy: Proxy, answer: Raw) -> None:
    proxy.rule = lambda request, forward: answer
    with pytest.raises(ChainUnreachable, match="not with JSON-RPC"):
        Connection(proxy.url)


def test_an_endless_answer_ends(proxy: Proxy) -> None:
    connection = Connection(proxy.url, patience_s=0)
    connection._session.max_bytes = 10_000
    proxy.rule = lambda request, forward: Raw(b'{"result": "' + b"0" * 20_000 + b'"}')
    with connection, pytest.raises(ChainUnreachable, match="no whole answer"):
        connection.latest()


def test_an_answer_that_breaks_off_is_tried_again(proxy: Proxy) -> None:
    with Connection(proxy.url) as connection:
        broken = iter([Raw(b'{"result": "0x', headers={"Content-Length": "100"})])
        proxy.rule = lambda request, forward: next(broken, None) or forward()
        assert connection.latest().number >= 0
    assert proxy.methods().count("eth_getBlockByNumber") == 2


@pytest.mark.parametrize("encoding", ["gzip", "chunked"])
def test_answers_may_be_compressed_or_in_chunks(proxy: Proxy, encoding: str) -> None:
    def packed(request: Json, forward: Forward) -> Json | Raw:
        body = json.dumps(forward() | {"padding": "x" * 200_000}).encode()
        if encoding == "gzip":
            return Raw(gzip.compress(body), headers={"Content-Encoding": "gzip"})
        chunks = [body[i : i + 1000] for i in range(0, len(body), 1000)]
        framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
        return Raw(framed + b"0\r\n\r\n", headers={"Transfer-Encoding": "chunked"})

    with Connection(proxy.url) as connection:
        proxy.rule = packed
        assert connection.latest().number >= 0
        assert connection.latest().number >= 0


def test_a_bomb_of_compressed_zeros_does_not_go_off(proxy: Proxy) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with Connection(proxy.url, patience_s=0) as connection:
        connection._session.max_bytes = 1_000_000
        proxy.rule = lambda request, forward: Raw(bomb, headers={"Content-Encoding": "gzip"})
        with pytest.raises(ChainUnreachable, match="no whole answer"):
            connection.latest()


def test_a_silent_server_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ChainUnreachable, match="timeout"):
            Connection(url, timeout_s=0.2)


def test_a_dripping_server_times_out() -> None:
    """Each byte comes in time; the whole never does."""
    stop = threading.Event()

    def drip(server: socket.socket) -> None:
        client, _ = server.accept()
        with client:
            client.recv(10_000)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while not stop.wait(0.02):
                try:
                    client.sendall(b" ")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        try:
            with pytest.raises(ChainUnreachable, match="timeout"):
                Connection(f"http://127.0.0.1:{server.getsockname()[1]}", timeout_s=0.15)
        finally:
            stop.set()
            thread.join()


def test_a_read_waits_for_an_rpc_that_comes_back_and_says_so(anvil: Anvil) -> None:
    waits: list[Exception] = []
    with Proxy(anvil.url) as proxy:
        failures: Iterator[Drop | Raw] = iter(
            [Drop(), Raw(b"", status=503), Raw(b"busy", status=429), Drop()]
        )

        def rule(request: Json, forward: Forward) -> Json | Raw:
            failure = next(failures, None)
            if isinstance(failure, Drop):
                raise failure
            return failure or forward()

        with Connection(proxy.url, on_wait=lambda e, s: waits.append(e)) as connection:
            proxy.rule = rule
            assert connection.latest().number >= 0
    assert len(waits) == 4
    assert all(isinstance(each, ChainUnreachable) for each in waits)


def test_on_wait_can_end_the_waiting(proxy: Proxy) -> None:
    class Stopping(Exception):
        pass

    def stop(failure: Exception, seconds: float) -> None:
        raise Stopping

    with Connection(proxy.url, on_wait=stop) as connection:
        proxy.rule = lambda request, forward: Raw(b"", status=502)
        with pytest.raises(Stopping):
            connection.latest()


def test_patience_ends(proxy: Proxy) -> None:
    with Connection(proxy.url, patience_s=0.3) as connection:
        proxy.rule = lambda request, forward: Raw(b"", status=502)
        with pytest.raises(ChainUnreachable, match="502"):
            connection.latest()
    assert len(proxy.requests) > 2


@pytest.mark.parametrize(
    "message",
    [
        "no such method",
        "failed to generate the proof: separate the requests",
        "required historical state unavailable (reexec=128)",
    ],
)
def test_a_refusal_is_not_tried_again(proxy: Proxy, message: str) -> None:
    with Connection(proxy.url) as connection:
        proxy.rule = lambda request, forward: error(request, -32601, message)
        with pytest.raises(RpcError, match="eth_getBalance refused by the RPC: ") as caught:
            connection.balance("0x" + "11" * 20)
    assert caught.value.message == message
    assert proxy.methods().count("eth_getBalance") == 1


@pytest.mark.parametrize(
    "message",
    [
        "rate limit exceeded",
        "Your app has exceeded its compute units rate",
        "ratelimited",
        "rate-limited",
        "Service Unavailable",
        "server is busy, try again",
    ],
)
def test_a_busy_rpc_is_waited_for(proxy: Proxy, message: str) -> None:
    with Connection(proxy.url, patience_s=0) as connection:
        proxy.rule = lambda request, forward: error(request, -32005, message)
        with pytest.raises(ChainUnreachable, match="is busy"):
            connection.balance("0x" + "11" * 20)


def test_an_error_inside_an_http_error_is_read(proxy: Proxy) -> None:
    with Connection(proxy.url) as connection:
        proxy.rule = lambda request, forward: Raw(
            b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no\\u001b[2J archive"}}',
            400,
        )
        with pytest.raises(RpcError, match=r"no \[2J archive") as caught:
            connection.code("0x" + "11" * 20, 5)
    assert caught.value.code == -32000


@pytest.mark.parametrize(
    "value", ["0x", "5", 5, None, "0xzz", "0x-1", "0x" + "1" * 65, "0x1_0", " 0x1", "0x١"]
)
def test_a_quantity_is_hexadecimal(value: object) -> None:
    with pytest.raises(ChainError):
        quantity(value, "it")


def test_a_quantity_has_its_width() -> None:
    assert quantity("0xff", "it", 8) == 255
    with pytest.raises(ChainError, match="8 bits"):
        quantity("0x100", "it", 8)


@pytest.mark.parametrize("value", ["0x1", "0x1 2", "12", None, ["0x12"], "0x 12 "])
def test_bytes_are_hexadecimal(value: object) -> None:
    with pytest.raises(ChainError):
        unhex(value, "it")


def test_bytes_have_their_length() -> None:
    assert unhex("0x0102", "it", 2) == b"\x01\x02"
    with pytest.raises(ChainError, match="3 bytes"):
        unhex("0x0102", "it", 3)


def test_a_block_of_another_number_is_refused(proxy: Proxy, anvil: Anvil) -> None:
    anvil.mine(3)
    with Connection(proxy.url) as connection:

        def other(request: Json, forward: Forward) -> Json:
            answer = forward()
            answer["result"]["number"] = "0x1"
            return answer

        proxy.rule = only("eth_getBlockByNumber", other)
        with pytest.raises(ChainError, match="asked for block 2, given 1"):
            connection.block(2)


def test_a_chain_without_base_fee_is_refused(proxy: Proxy) -> None:
    with Connection(proxy.url) as connection:

        def old(request: Json, forward: Forward) -> Json:
            answer = forward()
            del answer["result"]["baseFeePerGas"]
            return answer

        proxy.rule = only("eth_getBlockByNumber", old)
        with pytest.raises(ChainError, match="Cancun"):
            connection.latest()


def test_blocks_are_chained(connection: Connection, anvil: Anvil) -> None:
    anvil.mine(2)
    head = connection.latest()
    before = connection.block(head.number - 1)
    assert isinstance(before, Block)
    assert before.hash == head.parent
    assert before.time_s <= head.time_s == connection.time()
    assert connection.block(head.number + 1000) is None


@pytest.mark.parametrize(
    "shape",
    [
        lambda data: {"code": 3, "message": "execution reverted", "data": data},
        lambda data: {"code": -32603, "message": "reverted", "data": {"data": data}},
        lambda data: {"code": -32015, "message": "VM error", "data": f"Reverted {data}"},
    ],
    ids=["geth", "hardhat", "openethereum"],
)
def test_a_revert_is_decoded_whatever_the_node(proxy: Proxy, probe: Probe, shape: object) -> None:
    from bafl.chain import errors

    with Connection(proxy.url) as connection:

        def reshape(request: Json, forward: Forward) -> Json:
            answer = forward()
            return {**answer, "error": shape(answer["error"]["data"])}  # type: ignore[operator]

        proxy.rule = only("eth_call", reshape)
        with pytest.raises(errors.BaseTooStale) as caught:
            connection.call(probe.address, probe.interface.encode("refuse", ()))
    assert dict(caught.value.arguments) == {"base": 3, "oldest": 7}


def test_many_threads_read_at_once(connection: Connection, probe: Probe) -> None:
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(probe.count(connection))) for _ in range(24)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [0] * 24


def test_a_wrong_answer_is_named(proxy: Proxy) -> None:
    with Connection(proxy.url) as connection:
        proxy.rule = lambda request, forward: result(request, {"evil": 1})
        with pytest.raises(ChainError, match="eth_getBalance's answer"):
            connection.balance("0x" + "11" * 20)
