"""Where the published data sets come from, and how a file of them is found and checked."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from bafl.errors import DataError

DATA_DIR_VARIABLE: Final = "BAFL_DATA_DIR"
"""Environment variable naming a folder that is looked into first (see `SOURCES` for its layout)."""

_TIMEOUT_SECONDS: Final = 60.0
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a data set, pinned.

    url: where it is downloaded from; None where the origin offers it in another form only, and
    `remedy` then says what to do.
    """

    name: str
    size_bytes: int
    sha256: str
    url: str | None
    remedy: str = ""


_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases"
_FASHION = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion"
_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist"


def _at(base: str, name: str, size_bytes: int, sha256: str) -> RemoteFile:
    return RemoteFile(name, size_bytes, sha256, f"{base}/{name}")


SOURCES: Final[dict[str, tuple[RemoteFile, ...]]] = {
    "heart-disease": (
        _at(
            f"{_UCI}/heart-disease",
            "processed.cleveland.data",
            18461,
            "a74b7efa387bc9d108d7d0115d831fe9b414b29ae7124f331b622b4efa0427c8",
        ),
        _at(
            f"{_UCI}/heart-disease",
            "processed.hungarian.data",
            10263,
            "d1ad108f785768cd3d7e82dc522e6f5a61eea93cccfb3a46ee8076f73fc3d796",
        ),
        _at(
            f"{_UCI}/heart-disease",
            "processed.switzerland.data",
            4109,
            "834a405ccf5b66ab4056bb77794adc8df0b7125186454c0a1d002d33c6c3b314",
        ),
        _at(
            f"{_UCI}/heart-disease",
            "processed.va.data",
            6737,
            "e7c93d8d0d2acdadfa4c5e8de768e2191e7f618b952e29623f1f0d5949ff6b8f",
        ),
    ),
    "credit-taiwan": (
        RemoteFile(
            "default_of_credit_card_clients.csv.gz",
            983300,
            "45eb4664f571c1774d15e9a9c680a97fb956d7533ced164ac29e5906684c81cf",
            None,
            "UCI (DOI 10.24432/C55S3H) offers this set only as an .xls, whose bytes are others: "
            "save its sheet as a CSV with UCI's column names (ID, LIMIT_BAL, ...) and gzip it with "
            "`gzip -9n`",
        ),
    ),
    "ai4i-2020": (
        _at(
            f"{_UCI}/00601",
            "ai4i2020.csv",
            522048,
            "dc6630cd9b1f0f853922fad78a1b6436570d3f1ec863f1dd5c4340ac56bc8a8e",
        ),
    ),
    "mnist": (
        _at(
            _MNIST,
            "train-images-idx3-ubyte.gz",
            9912422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        _at(
            _MNIST,
            "train-labels-idx1-ubyte.gz",
            28881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        _at(
            _MNIST,
            "t10k-images-idx3-ubyte.gz",
            1648877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        _at(
            _MNIST,
            "t10k-labels-idx1-ubyte.gz",
            4542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    "fashion-mnist": (
        _at(
            _FASHION,
            "train-images-idx3-ubyte.gz",
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        _at(
            _FASHION,
            "train-labels-idx1-ubyte.gz",
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        _at(
            _FASHION,
            "t10k-images-idx3-ubyte.gz",
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        _at(
            _FASHION,
            "t10k-labels-idx1-ubyte.gz",
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
}
"""Files of each data set by its folder: `BAFL_DATA_DIR/<folder>/<file>`, or the same in a cache."""


def find(folder: str, file: RemoteFile, cache: Path | None = None) -> Path:
    """Return where a file of a data set lies, its size and sha256 checked; download it if need be.

    Looks into `BAFL_DATA_DIR`, then the cache, then asks the origin.
    cache: folder for downloads; by default the user's cache folder.
    Raises DataError where the file is nowhere, or has other bytes than pinned.
    """
    given = os.environ.get(DATA_DIR_VARIABLE)
    cache = cache or _default_cache()
    folders = ([Path(given)] if given else []) + [cache]
    for base in folders:
        path = base / folder / file.name
        if path.is_file():
            _check(path, file)
            return path
    if given and not Path(given).is_dir():
        raise DataError(f"{DATA_DIR_VARIABLE} is {given}, which is no folder: correct or unset it")
    return _download(cache / folder / file.name, folder, file)


def _default_cache() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("bafl")) / "data"


def _check(path: Path, file: RemoteFile) -> None:
    size = path.stat().st_size
    if size != file.size_bytes:
        raise DataError(
            f"{path} has {size} bytes, {file.size_bytes} were expected: delete it and try again"
        )
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != file.sha256:
        raise DataError(
            f"{path} has sha256 {digest}, {file.sha256} was expected: delete it and try again"
        )


def _download(target: Path, folder: str, file: RemoteFile) -> Path:
    """Fetch into a temporary file beside `target`, check, then move: never a half or wrong file."""
    where = f"put it into a folder {folder}/ and name its parent in {DATA_DIR_VARIABLE}"
    if file.url is None:
        raise DataError(f"{file.name} cannot be downloaded. {file.remedy}; {where}")
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{file.name}.")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            digest, size = _copy(file, out)
        if (digest, size) != (file.sha256, file.size_bytes):
            raise DataError(
                f"{file.url} gave {size} bytes with sha256 {digest}, but {file.size_bytes} bytes "
                f"with {file.sha256} are pinned: the origin has changed or somebody is in "
                f"between. Get {file.name} elsewhere and {where}"
            )
        partial.replace(target)
    except (urllib.error.URLError, OSError) as error:
        raise DataError(
            f"cannot download {file.url} ({error}): check the network, or get {file.name} "
            f"elsewhere and {where}"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def _copy(file: RemoteFile, out: BinaryIO) -> tuple[str, int]:
    """Copy at most the expected size + 1 bytes; return what came as (sha256, size)."""
    assert file.url is not None
    digest = hashlib.sha256()
    size = 0
    request = urllib.request.Request(file.url, headers={"User-Agent": "bafl"})  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
        while size <= file.size_bytes:
            chunk = response.read(min(_CHUNK_BYTES, file.size_bytes + 1 - size))
            if not chunk:
                break
            digest.update(chunk)
            out.write(chunk)
            size += len(chunk)
    return digest.hexdigest(), size
