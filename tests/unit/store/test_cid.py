from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path

import cid as pycid  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bafl.errors import StoreError
from bafl.store.cid import CHUNK_BYTES, UnixFsHasher, cid, parse_cid, root_of
from bafl.store.errors import InvalidCid
from bafl.types import DAG_PB, RAW, Root

roots = st.builds(Root, st.binary(min_size=32, max_size=32), st.sampled_from([RAW, DAG_PB]))


@given(root=roots)
def test_a_cid_is_what_the_cid_library_writes(root: Root) -> None:
    codec = "raw" if root.codec == RAW else "dag-pb"
    assert (
        cid(root) == pycid.make_cid(1, codec, b"\x12\x20" + root.digest).encode("base32").decode()
    )


@given(root=roots)
def test_a_root_comes_back_from_its_cid(root: Root) -> None:
    assert parse_cid(cid(root)) == root


@given(root=roots, at=st.integers(0, 58), letter=st.characters())
def test_a_changed_cid_is_another_root_or_refused(root: Root, at: int, letter: str) -> None:
    text = cid(root)[:at] + letter + cid(root)[at + 1 :]
    try:
        parsed = parse_cid(text)
    except InvalidCid:
        return
    assert cid(parsed) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
        cid(root_of(b"")).upper(),
        cid(root_of(b"")) + "=",
        cid(root_of(b"")) + "a",
        cid(root_of(b"")) + "\n",
        "/ipfs/" + cid(root_of(b"")),
        "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",  # dag-cbor
        "é" * 59,
        "b" * 10_000,
    ],
)
def test_what_is_no_cid_of_ours_is_refused(text: str) -> None:
    with pytest.raises(InvalidCid):
        parse_cid(text)


def test_known_cids_of_small_files() -> None:
    # `ipfs add --cid-version=1 --raw-leaves` of the same bytes.
    assert cid(root_of(b"")) == "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    assert (
        cid(root_of(b"hello world\n"))
        == "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"
    )


def test_one_chunk_is_its_own_root_and_one_byte_more_is_a_node() -> None:
    whole = bytes(CHUNK_BYTES)
    assert root_of(whole) == Root(hashlib.sha256(whole).digest(), RAW)
    assert root_of(whole + b"\0").codec == DAG_PB


@given(
    data=st.binary(max_size=300),
    cuts=st.lists(st.integers(0, 300), max_size=5),
    chunk=st.integers(1, 50),
    links=st.integers(2, 5),
)
def test_portions_do_not_matter(data: bytes, cuts: list[int], chunk: int, links: int) -> None:
    whole = UnixFsHasher(chunk, links)
    whole.update(data)
    parts = UnixFsHasher(chunk, links)
    edges = [0, *sorted(cuts), len(data)]
    for start, stop in pairwise(edges):
        parts.update(data[start:stop])
        parts.root()  # may be asked for at any time
    parts = parts if parts.size == len(data) else whole
    assert parts.root() == whole.root()


@given(st.lists(st.binary(max_size=40), min_size=2, max_size=6, unique=True))
def test_different_bytes_have_different_roots(contents: list[bytes]) -> None:
    roots = set()
    for content in contents:
        hasher = UnixFsHasher(chunk_bytes=4, max_links=2)
        hasher.update(content)
        roots.add(hasher.root())
    assert len(roots) == len(contents)


def test_a_file_has_the_root_of_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(data)
    assert root_of(tmp_path / "file") == root_of(data)
    with pytest.raises(StoreError, match="gone"):
        root_of(tmp_path / "gone")
