"""Test equipment: a gateway that holds blocks, and does whatever a test wants instead."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self

from bafl.store.cid import CHUNK_BYTES, MAX_LINKS, UnixFsHasher, cid
from bafl.types import DAG_PB, RAW, Root


class Request:
    """What was asked for, and the ways to answer."""

    def __init__(self, handler: BaseHTTPRequestHandler, web: Web) -> None:
        self.path = handler.path
        self.headers = handler.headers
        self._handler = handler
        self.web = web

    def answer(self, body: bytes = b"", status: int = 200, **headers: str) -> None:
        """Answer whole; `Content_Length` and the like come from headers."""
        lines = {"Content-Length": str(len(body))}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = f"HTTP/1.1 {status} Whatever\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.send(head.encode() + b"\r\n" + body)
        if int(lines["Content-Length"]) > len(body):
            self._handler.close_connection = True

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._handler.wfile.write(data)

    def hang(self) -> None:
        """Say nothing more until the test is over."""
        self.web.over.wait()
        self._handler.close_connection = True

    def hang_up(self) -> None:
        """Close the connection."""
        self._handler.close_connection = True

    def endless(self) -> None:
        """Zeros in chunks for as long as the client takes them."""
        self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        while not self.web.over.is_set():
            self.send(piece)
            self.web.sent += 0x10000

    def drip(self, piece: bytes, head: bytes = b"") -> None:
        """The same piece again and again, slowly, so that no pause is long."""
        self.send(head)
        while not self.web.over.wait(0.05):
            self.send(piece)


Rule = Callable[[Request], None]


class Web:
    """Serves its blocks as a trustless gateway, unless `rule` says what to do."""

    def __init__(self) -> None:
        self.blocks: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.rule: Rule = self.give
        self.over = threading.Event()
        self.sent = 0
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                web.asked.append(self.path)
                try:
                    web.rule(Request(self, web))
                except OSError:
                    self.close_connection = True  # the client had enough

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def give(self, request: Request) -> None:
        """Answer as a good gateway does."""
        path, _, query = request.path.partition("?")
        block = self.blocks.get(path.removeprefix("/ipfs/"))
        if query != "format=raw" or request.headers["Accept"] != "application/vnd.ipld.raw":
            request.answer(status=406)
        elif block is None:
            request.answer(status=404)
        else:
            request.answer(block)

    def put(self, data: bytes, chunk_bytes: int = CHUNK_BYTES, max_links: int = MAX_LINKS) -> Root:
        """Hold a file's blocks, cut as the hasher cuts it; return its root."""
        level = [
            self.hold(data[at : at + chunk_bytes], RAW)
            for at in range(0, max(len(data), 1), chunk_bytes)
        ]
        while len(level) > 1:
            level = [
                self.hold_node(level[at : at + max_links]) for at in range(0, len(level), max_links)
            ]
        hasher = UnixFsHasher(chunk_bytes, max_links)
        hasher.update(data)
        assert level[0].root == hasher.root()
        return level[0].root

    def hold(self, block: bytes, codec: int) -> Block:
        """Hold one block."""
        root = Root(hashlib.sha256(block).digest(), codec)
        self.blocks[cid(root)] = block
        return Block(root, len(block), len(block))

    def hold_node(self, children: list[Block], size: int | None = None) -> Block:
        """Hold a file node over children. size: what it claims, if not theirs together."""
        block = node_block(children, size)
        node = self.hold(block, DAG_PB)
        total = sum(child.size for child in children)
        return Block(node.root, total, len(block) + sum(child.stored for child in children))


class Block(NamedTuple):
    """A block held: its root, the bytes of file below it, the bytes of blocks below and in it."""

    root: Root
    size: int
    stored: int


def node_block(children: list[Block], size: int | None = None) -> bytes:
    """The bytes of a file node, written from the dag-pb and UnixFS specifications."""
    links = b"".join(
        field(
            2,
            field(1, b"\x01" + bytes([child.root.codec]) + b"\x12\x20" + child.root.digest)
            + field(2, b"")
            + b"\x18"
            + varint(child.stored),
        )
        for child in children
    )
    total = sum(child.size for child in children) if size is None else size
    sizes = b"".join(b"\x20" + varint(child.size) for child in children)
    return links + field(1, b"\x08\x02\x18" + varint(total) + sizes)


def field(number: int, data: bytes) -> bytes:
    """A protobuf field of bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    """A protobuf number."""
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])
