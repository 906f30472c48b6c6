"""A payload out of its blocks, when whoever gives them is not trusted.

A file cut by our profile has the shape that its size dictates: how many links each node has, and
how many bytes lie below each. So a stranger's root can make us ask for no more blocks than a
payload of its size has, however it is built. That the whole is right to the last byte of every
node is for the reader to check, who computes the root anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bafl.codec.errors import PayloadTooLarge
from bafl.store.cid import CHUNK_BYTES, MAX_LINKS, cid
from bafl.store.errors import WrongBytes
from bafl.types import DAG_PB, RAW, Root

MAX_BLOCK_BYTES = 2 << 20
"""The largest block that IPFS nodes pass on; none of ours is larger than 1 MiB."""

_FILE = 2


@dataclass(frozen=True, slots=True)
class Node:
    """A UnixFS file node: the bytes of file it says are below it, and its links in order."""

    size: int
    links: tuple[Root, ...]


def file_blocks(
    root: Root,
    limit: int,
    get: Callable[[Root], bytes],
    chunk_bytes: int = CHUNK_BYTES,
    max_links: int = MAX_LINKS,
) -> Iterator[bytes]:
    """Yield a payload's bytes in order, a chunk at a time.

    get: a block of which the digest was checked. chunk_bytes, max_links: the profile's; tests give
    smaller ones.
    Raises PayloadTooLarge for more than limit bytes, before any of them is asked for; WrongBytes
    where the blocks, right as they are, are no file of our profile; and what `get` raises.
    """
    block = get(root)
    if root.codec == RAW:
        if len(block) > limit:
            raise _too_large(root, limit)
        yield block
        return
    top = _node(root, block)
    if top.size > limit:
        raise _too_large(root, limit)
    if top.size <= chunk_bytes:
        raise _foreign(root)  # a single chunk is its own root
    span = chunk_bytes  # of file below each full link
    while span * max_links < top.size:
        span *= max_links

    def below(owner: Root, node: Node, span: int) -> Iterator[bytes]:
        sizes = [min(span, node.size - start) for start in range(0, node.size, span)]
        codec = RAW if span == chunk_bytes else DAG_PB
        if [link.codec for link in node.links] != [codec] * len(sizes):
            raise _foreign(owner)
        for link, size in zip(node.links, sizes, strict=True):
            block = get(link)
            if codec == RAW:
                if len(block) != size:
                    raise _foreign(owner)
                yield block
                continue
            inner = _node(link, block)
            if inner.size != size:
                raise _foreign(owner)
            yield from below(link, inner, span // max_links)

    yield from below(root, top, span)


def parse_node(block: bytes) -> Node:
    """Read a dag-pb block as a UnixFS file node. Raises ValueError if it is none, or holds data."""
    links: list[Root] = []
    kind: int | bytes = -1
    size: int | bytes = -1
    for number, value in _fields(block):
        if number == 2:
            links += [_root(v) for n, v in _fields(_bytes(value)) if n == 1]
        elif number == 1:
            inner = dict(_fields(_bytes(value)))
            kind, size = inner.get(1, -1), inner.get(3, -1)
            if 2 in inner:
                raise ValueError("file bytes within a node")
    if kind != _FILE or not isinstance(size, int) or size < 0:
        raise ValueError("not a file")
    return Node(size, tuple(links))


def _node(root: Root, block: bytes) -> Node:
    try:
        return parse_node(block)
    except ValueError:
        raise _foreign(root) from None


def _too_large(root: Root, limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"{cid(root)} has more than the {limit} bytes allowed")


def _foreign(root: Root) -> WrongBytes:
    return WrongBytes(
        f"{cid(root)} is no file cut as payloads are (chunks of 1 MiB, 1024 links a node): "
        "its author added it with other settings"
    )


def _root(value: int | bytes) -> Root:
    """The root in a link: CIDv1, raw or dag-pb, sha2-256."""
    data = _bytes(value)
    if len(data) != 36 or data[0] != 1 or data[2:4] != b"\x12\x20":
        raise ValueError("a link of another kind")
    return Root(data[4:], data[1])


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where bytes are due")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message that has only numbers and bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        value, at = _varint(data, at)
        if key & 7 == 0:
            yield key >> 3, value
        elif key & 7 == 2 and at + value <= len(data):
            yield key >> 3, data[at : at + value]
            at += value
        else:
            raise ValueError("a field of another type, or cut short")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 63, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number cut short, or too long")
