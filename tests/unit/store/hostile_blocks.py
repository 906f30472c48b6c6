"""Blocks that an author may have built, and what must come of each: a refusal, or few bytes.

Any bytes are read as steps that build blocks, so hypothesis and libFuzzer (`tests/fuzz/blocks.py`)
choose them alike. Chunks and nodes are small here; the rules are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from bafl.errors import BaflError
from bafl.store.cid import UnixFsHasher, cid
from bafl.store.errors import PayloadUnavailable
from bafl.store.unixfs import file_blocks
from bafl.types import DAG_PB, RAW, Root
from tests.unit.store.web import Block, node_block

CHUNK, LINKS, LIMIT = 4, 3, 40
MOST_BLOCKS = 10 + 4 + 2 + 1
"""What a file of LIMIT bytes has: leaves, and nodes over them."""


class Dag:
    """Blocks by CID. asked: how many were given."""

    def __init__(self) -> None:
        self.blocks: dict[str, bytes] = {}
        self.asked = 0

    def hold(self, block: bytes, codec: int, size: int) -> Block:
        root = Root(hashlib.sha256(block).digest(), codec)
        self.blocks[cid(root)] = block
        return Block(root, size, len(block))

    def get(self, root: Root) -> bytes:
        self.asked += 1
        try:
            return self.blocks[cid(root)]
        except KeyError:
            raise PayloadUnavailable("nobody has it") from None


def build(steps: bytes) -> tuple[Dag, Root]:
    """Build blocks on a stack; the last one is the payload's root."""
    dag, rest = Dag(), iter(steps)
    stack = [dag.hold(b"abcd", RAW, 4)]
    for step in rest:
        kind, number = step % 6, step // 6
        if kind <= 1:
            stack.append(dag.hold(bytes([number]) * (number % 6), RAW, number % 6))
            continue
        below = stack[-(number % 5 or 1) :]
        size = sum(each.size for each in below)
        if kind == 2:
            size = _other_size(size, rest)
        block = node_block(below, size)
        if kind == 3:  # the bytes of a node, changed or cut
            at = next(rest, 0) % len(block)
            block = block[:at] + bytes([next(rest, 0)])[: number % 2] + block[at + 1 :]
        codec = RAW if kind == 4 else DAG_PB
        stack.append(dag.hold(block, codec, size))
    return dag, stack[-1].root


def _other_size(size: int, rest: Iterator[int]) -> int:
    lie = next(rest, 0)
    return (0, 1, 4, LIMIT, LIMIT + 1, 1 << 62, size + 1, max(0, size - 1))[lie % 8]


def judge(steps: bytes) -> bytes | None:
    """Read what the steps build; None where it is refused. Raises AssertionError for too much."""
    dag, root = build(steps)
    parts: list[bytes] = []
    try:
        for part in file_blocks(root, LIMIT, dag.get, CHUNK, LINKS):
            parts.append(part)
            assert sum(map(len, parts)) <= LIMIT, "more bytes than the limit"
    except BaflError:
        parts.clear()
        return None
    finally:
        assert dag.asked <= MOST_BLOCKS, f"{dag.asked} blocks asked for"
    content = b"".join(parts)
    hasher = UnixFsHasher(CHUNK, LINKS)
    hasher.update(content)
    # Another root is for the reader to find; a file of our profile comes out as it went in.
    return content if hasher.root() == root else b"of another root"
