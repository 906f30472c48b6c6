"""A payload out of its blocks: whole from a good giver, bounded and refused from a bad one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bafl.codec.errors import PayloadTooLarge
from bafl.store.cid import cid, root_of
from bafl.store.errors import WrongBytes
from bafl.store.unixfs import file_blocks, parse_node
from bafl.types import DAG_PB, RAW, Root
from tests.unit.budget import examples
from tests.unit.store.hostile_blocks import judge
from tests.unit.store.web import Block, Web, field, node_block

CHUNK, LINKS = 4, 3


class Blocks(Web):
    """Blocks in a dictionary; what was asked for is counted."""

    def __init__(self) -> None:
        self.blocks = {}
        self.asked = []

    def get(self, root: Root) -> bytes:
        self.asked.append(cid(root))
        return self.blocks[cid(root)]

    def read(self, root: Root, limit: int = 10_000) -> bytes:
        return b"".join(file_blocks(root, limit, self.get, CHUNK, LINKS))


def content(size: int) -> bytes:
    return bytes(i * 7 % 251 for i in range(size))


def refused(blocks: Blocks, root: Root) -> None:
    with pytest.raises(WrongBytes, match="cut as payloads are"):
        blocks.read(root)


@given(size=st.integers(0, 500))
def test_a_file_of_any_size_comes_out_as_it_went_in(size: int) -> None:
    blocks = Blocks()
    data = content(size)
    assert blocks.read(blocks.put(data, CHUNK, LINKS), size) == data


def test_a_size_past_the_limit_is_known_before_a_byte_is_asked_for() -> None:
    blocks = Blocks()
    root = blocks.put(content(100), CHUNK, LINKS)
    with pytest.raises(PayloadTooLarge, match=f"{cid(root)} has more than the 99 bytes"):
        blocks.read(root, 99)
    assert blocks.asked == [cid(root)]
    small = blocks.put(b"abc", CHUNK, LINKS)
    with pytest.raises(PayloadTooLarge, match=cid(small)):
        blocks.read(small, 2)


def test_chunks_of_another_size_are_refused() -> None:
    blocks = Blocks()
    parts = [blocks.hold(part, RAW) for part in (b"abc", b"abcd", b"ab")]
    refused(blocks, blocks.hold_node(parts).root)


def test_a_node_with_too_few_or_too_many_links_is_refused() -> None:
    blocks = Blocks()
    parts = [blocks.hold(bytes([i]) * 4, RAW) for i in range(5)]
    for count in (1, 4, 5):
        refused(blocks, blocks.hold_node(parts[:count]).root)
    refused(blocks, blocks.hold_node([], 0).root)
    refused(blocks, blocks.hold_node(parts[:2], 9).root)


def test_a_leaf_in_the_place_of_a_node_and_the_reverse_are_refused() -> None:
    blocks = Blocks()
    leaves = [blocks.hold(bytes([i]) * 4, RAW) for i in range(4)]
    low = blocks.hold_node(leaves[:3])
    refused(blocks, blocks.hold_node([low, leaves[3]]).root)
    refused(blocks, blocks.hold_node([low, Block(low.root, 4, 4)], 8).root)
    last = blocks.hold_node(leaves[3:])
    assert blocks.read(blocks.hold_node([low, last]).root)
    as_leaf = blocks.hold(blocks.blocks[cid(low.root)], RAW)
    refused(blocks, blocks.hold_node([Block(as_leaf.root, 12, low.stored), last]).root)


def test_a_node_that_lies_about_what_is_below_it_is_refused() -> None:
    blocks = Blocks()
    leaves = [blocks.hold(bytes([i]) * 4, RAW) for i in range(4)]
    low, last = blocks.hold_node(leaves[:3], 11), blocks.hold_node(leaves[3:])
    refused(blocks, blocks.hold_node([low, last]).root)
    short = blocks.hold_node(leaves[:2])
    refused(blocks, blocks.hold_node([Block(short.root, 12, 0), blocks.hold_node(leaves[3:])]).root)
    long = blocks.hold(bytes(6), RAW)
    refused(blocks, blocks.hold_node([leaves[0], Block(long.root, 4, 6)]).root)


def test_a_tower_of_nodes_is_refused_after_few_blocks() -> None:
    blocks = Blocks()
    node = blocks.hold(b"abcd", RAW)
    for _ in range(5000):
        node = blocks.hold_node([node])
    refused(blocks, node.root)
    assert len(blocks.asked) == 1
    # Even one that claims to be large is followed no deeper than its size goes.
    wide = blocks.hold(node_block([Block(node.root, 36, 36)] * 3, 108), DAG_PB)
    refused(blocks, wide.root)
    assert len(blocks.asked) < 6


def test_a_node_that_refers_to_the_same_node_many_times_asks_for_no_more_than_its_size() -> None:
    blocks = Blocks()
    node = blocks.hold(bytes(4), RAW)
    for _ in range(4):
        node = blocks.hold_node([node] * LINKS)
    assert node.size == 4 * LINKS**4
    assert blocks.read(node.root) == bytes(node.size)
    assert len(blocks.asked) == sum(LINKS**level for level in range(5))


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\x0a",
        b"\x0a\x7f",
        b"\xff" * 20,
        b"\x0d\x00\x00\x00\x00",
        field(1, b"\x08\x01"),  # a directory
        field(1, b"\x08\x02"),  # no size
        field(1, b"\x08\x02" + field(3, b"ab")),  # a size that is bytes
        field(1, b"\x08\x02" + field(2, b"inline") + b"\x18\x06"),
        field(2, field(1, b"\x01\x55\x12\x20" + bytes(31))) + field(1, b"\x08\x02\x18\x04"),
        field(2, field(1, b"\x01\x71\x12\x20" + bytes(32))) + field(1, b"\x08\x02\x18\x04"),
        field(2, field(1, b"\x01\x55\x1e\x20" + bytes(32))) + field(1, b"\x08\x02\x18\x04"),
        b"\x08\x01",
        b"\x10\x01",
    ],
)
def test_what_is_no_file_node_of_ours_is_refused(block: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_node(block)
    blocks = Blocks()
    refused(blocks, blocks.hold(block, DAG_PB).root)


@given(
    block=st.binary(max_size=60)
    | st.lists(st.sampled_from([b"\x0a", b"\x12", b"\x08", b"\x18", b"\x02", b"\x24"])).map(
        b"".join
    )
)
def test_no_bytes_break_the_parser(block: bytes) -> None:
    try:
        parse_node(block)
    except ValueError:
        return


def test_a_node_cut_short_anywhere_is_refused() -> None:
    leaf = root_of(b"a")
    whole = node_block([Block(leaf, 4, 4), Block(leaf, 4, 4)])
    assert parse_node(whole).links == (leaf, leaf)
    for end in range(len(whole)):
        with pytest.raises(ValueError, match=r"."):
            parse_node(whole[:end])


@examples(300)
@given(steps=st.binary(max_size=24))
@example(steps=bytes([0, 0, 5 + 6 * 3]))
@example(steps=bytes([2 + 6, 5]))
def test_whatever_an_author_builds_is_refused_or_short(steps: bytes) -> None:
    judge(steps)


def test_what_an_author_builds_rightly_comes_out() -> None:
    """Two whole chunks under a node: the oracle has sound files too."""
    leaf = 6 * 4  # four bytes
    assert judge(bytes([leaf, leaf, 5 + 6 * 2])) == b"\4" * 8
    assert judge(bytes([leaf, leaf, 2 + 6 * 2, 5])) is None
    assert judge(b"") == b"abcd"
