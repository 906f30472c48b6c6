"""CIDs as every store must give them: CIDv1, sha2-256, UnixFS profile unixfs-v1-2025.

Chunks of 1 MiB as raw leaves, at most 1024 links a node, balanced layout; a file of one chunk is
its own root. Written here because no Python package computes UnixFS CIDs; held against Kubo's in
tests. Sources: IPIP-0499 (profile), the dag-pb and UnixFS specifications (encoding).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bafl.errors import StoreError
from bafl.store.errors import InvalidCid
from bafl.types import DAG_PB, RAW, Root

CHUNK_BYTES = 1 << 20
MAX_LINKS = 1024

_SHA2_256 = b"\x12\x20"
_READ = 1 << 20


def cid(root: Root) -> str:
    """A root's CID: version 1, base32, lower case, 59 characters."""
    return "b" + base64.b32encode(_binary(root)).decode().rstrip("=").lower()


def parse_cid(text: str) -> Root:
    """The root of a CID in the one spelling `cid` gives.

    Raises InvalidCid for any other text, also for valid CIDs of other kinds.
    """
    try:
        binary = base64.b32decode(text[1:].upper() + "=" * (-(len(text) - 1) % 8))
    except (binascii.Error, ValueError):
        binary = b""
    if len(binary) == 36 and binary[0] == 1 and binary[1] in (RAW, DAG_PB):
        root = Root(binary[4:], binary[1])
        if cid(root) == text:
            return root
    raise InvalidCid(
        f"{text[:80]!r} is no CID of a payload; expected version 1 in base32, sha2-256, "
        "raw (bafkrei…) or dag-pb (bafybei…)"
    )


@dataclass(frozen=True, slots=True)
class _Node:
    """A block: its root; `size` bytes of file below it; `stored` bytes of blocks, itself too."""

    root: Root
    size: int
    stored: int


class UnixFsHasher:
    """Computes a file's root from its bytes in any portions; keeps 32 bytes per chunk.

    chunk_bytes, max_links: the profile's; tests give smaller ones.
    """

    def __init__(self, chunk_bytes: int = CHUNK_BYTES, max_links: int = MAX_LINKS) -> None:
        if chunk_bytes < 1 or max_links < 2:
            raise ValueError("a chunk has at least 1 byte, a node at least 2 links")
        self._chunk_bytes = chunk_bytes
        self._max_links = max_links
        self._leaves: list[_Node] = []
        self._leaf = hashlib.sha256()
        self._filled = 0
        self.size = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take in the file's next bytes."""
        view = memoryview(data).cast("B")
        self.size += len(view)
        while view:
            if self._filled == self._chunk_bytes:
                self._close_leaf()
            part = view[: self._chunk_bytes - self._filled]
            self._leaf.update(part)
            self._filled += len(part)
            view = view[len(part) :]

    def root(self) -> Root:
        """The root of what came so far; more may come."""
        level = [*self._leaves, self._open_leaf()]
        while len(level) > 1:
            level = [
                _branch(level[start : start + self._max_links])
                for start in range(0, len(level), self._max_links)
            ]
        return level[0].root

    def _open_leaf(self) -> _Node:
        return _Node(Root(self._leaf.digest(), RAW), self._filled, self._filled)

    def _close_leaf(self) -> None:
        self._leaves.append(self._open_leaf())
        self._leaf = hashlib.sha256()
        self._filled = 0


def root_of(content: Path | bytes) -> Root:
    """The root of a file or of bytes. Raises StoreError if the file cannot be read."""
    hasher = UnixFsHasher()
    if isinstance(content, bytes):
        hasher.update(content)
    else:
        for part in read_parts(content):
            hasher.update(part)
    return hasher.root()


def read_parts(path: Path) -> Iterator[bytes]:
    """A file's bytes in portions. Raises StoreError if it cannot be read."""
    try:
        with path.open("rb") as file:
            while part := file.read(_READ):
                yield part
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


def _binary(root: Root) -> bytes:
    return bytes([1, root.codec]) + _SHA2_256 + root.digest


def _branch(children: list[_Node]) -> _Node:
    """A UnixFS file node over its children, as dag-pb: links before data, fields in order."""
    size = sum(child.size for child in children)
    links = b"".join(
        _field(2, _field(1, _binary(child.root)) + _field(2, b"") + _number(3, child.stored))
        for child in children
    )
    file = _number(1, 2) + _number(3, size) + b"".join(_number(4, c.size) for c in children)
    block = links + _field(1, file)
    root = Root(hashlib.sha256(block).digest(), DAG_PB)
    return _Node(root, size, len(block) + sum(child.stored for child in children))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    """A protobuf field of bytes."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    """A protobuf field holding an unsigned number."""
    return _varint(number << 3) + _varint(value)
