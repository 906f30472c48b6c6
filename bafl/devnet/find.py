"""Where programs are looked for that no Python package brings along."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from bafl.devnet.processes import BinaryMissingError


def named(variable: str) -> Path | None:
    """The program that an environment variable names, if it is set.

    Raises BinaryMissingError if that is no program.
    """
    chosen = os.environ.get(variable)
    if not chosen:
        return None
    if not os.access(chosen, os.X_OK) or not Path(chosen).is_file():
        raise BinaryMissingError(f"{variable} is {chosen}, which is not a program")
    return Path(chosen)


def chosen_or_built(variable: str, program: str, version: str, how: str) -> Path:
    """What the variable names, what is on PATH, or what `scripts/go-tool` built in this checkout or
    on this machine before. Raises BinaryMissingError, which says `how` to get one.
    """
    if chosen := named(variable):
        return chosen
    if found := shutil.which(program):
        return Path(found)
    for candidate in (source_tree() / "build" / "tools" / program, cached(program, version)):
        if os.access(candidate, os.X_OK):
            return candidate
    raise BinaryMissingError(how)


def cached(program: str, version: str) -> Path:
    """Where `scripts/go-tool` keeps what it built, for every checkout of this machine."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "bafl" / "tools" / f"{program}-{version}-{sys.platform}-{os.uname().machine}"


def in_node_modules(path: Path) -> Iterator[Path]:
    """Where a file of an npm package may be: for the working folder, those above it, our source."""
    here = Path.cwd()
    for folder in (here, *here.parents, source_tree()):
        yield folder / "node_modules" / path


def source_tree() -> Path:
    """The checkout this package is in; any folder where it was installed otherwise."""
    return Path(__file__).resolve().parents[2]
