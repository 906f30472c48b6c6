"""Files of data sets: found, downloaded from a real server, checked, never half there."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bafl.data import DATA_DIR_VARIABLE
from bafl.data.sources import SOURCES, RemoteFile, find
from bafl.errors import DataError

CONTENT = bytes(range(256)) * 20_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_request(self, *args: object) -> None:
        pass

    def log_error(self, *args: object) -> None:
        pass


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    """A server that offers CONTENT as set.bin; its address."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "set.bin").write_bytes(CONTENT)
    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_DIR_VARIABLE, raising=False)


def pinned(url: str | None, size: int = len(CONTENT), digest: str = DIGEST) -> RemoteFile:
    return RemoteFile("set.bin", size, digest, url, "ask the author")


def test_a_missing_file_is_downloaded_once(origin: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    path = find("set", pinned(f"{origin}/set.bin"), cache)
    assert path == cache / "set" / "set.bin"
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["set.bin"]
    (tmp_path / "served" / "set.bin").unlink()
    assert find("set", pinned(f"{origin}/set.bin"), cache) == path


def test_the_data_folder_comes_first(
    origin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own" / "set" / "set.bin"
    own.parent.mkdir(parents=True)
    own.write_bytes(CONTENT)
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path / "own"))
    assert find("set", pinned(f"{origin}/set.bin"), tmp_path / "cache") == own
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("size", "digest"),
    [
        (len(CONTENT), "0" * 64),
        (len(CONTENT) - 1, hashlib.sha256(CONTENT[:-1]).hexdigest()),
        (len(CONTENT) + 1, DIGEST),
    ],
    ids=["other bytes", "longer", "shorter"],
)
def test_a_download_other_than_pinned_is_refused_and_leaves_nothing(
    origin: str, tmp_path: Path, size: int, digest: str
) -> None:
    with pytest.raises(DataError, match="the origin has changed") as refusal:
        find("set", pinned(f"{origin}/set.bin", size, digest), tmp_path / "cache")
    assert DATA_DIR_VARIABLE in str(refusal.value)
    assert list((tmp_path / "cache" / "set").iterdir()) == []


@pytest.mark.parametrize("damaged", [CONTENT[:-1], b"x" + CONTENT[1:]], ids=["short", "other"])
def test_a_damaged_file_is_named(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "set" / "set.bin"
    path.parent.mkdir()
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="delete it and try again") as refusal:
        find("set", pinned(None), tmp_path)
    assert str(path) in str(refusal.value)


def test_an_origin_without_the_file_says_what_to_do(origin: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"404.*BAFL_DATA_DIR"):
        find("set", pinned(f"{origin}/gone.bin"), tmp_path / "cache")
    assert list((tmp_path / "cache" / "set").iterdir()) == []


def test_an_origin_that_does_not_answer_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="check the network"):
        find("set", pinned("http://127.0.0.1:1/set.bin"), tmp_path)


def test_a_file_that_no_origin_offers_as_pinned_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ask the author.*BAFL_DATA_DIR"):
        find("set", pinned(None), tmp_path)


def test_a_data_folder_that_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="nowhere, which is no folder"):
        find("set", pinned("http://127.0.0.1:1/set.bin"), tmp_path)


def test_every_pinned_file_has_an_origin_or_a_remedy() -> None:
    for files in SOURCES.values():
        for file in files:
            assert len(bytes.fromhex(file.sha256)) == 32
            assert (file.url or "").startswith("https://") or file.remedy
