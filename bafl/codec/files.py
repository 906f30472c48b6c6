"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bafl.errors import StoreError


@contextlib.contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Open a new file beside path that takes its place only if the block ends well.

    Raises StoreError, leaving no trace, when the disk is full or refuses. An OSError of the block
    counts as the disk's.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror}; free some space, or use another directory"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
