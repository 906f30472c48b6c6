"""`bafl pull`: a version of the model as a file."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bafl import units
from bafl.cli.app import Verb
from bafl.cli.options import session_options
from bafl.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from bafl.cli.session import Session


@click.command("pull", cls=Verb, example="bafl pull --output model.safetensors --config node.toml")
@click.option(
    "--version", "wanted", type=click.IntRange(min=0), help="Which one; the latest by default."
)
@click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("model.safetensors"),
    show_default=True,
    metavar="FILE",
    help="Where to.",
)
@session_options
def command(session: Session, wanted: int | None, path: Path) -> None:
    """Fetch a version of the model as safetensors.

    Its digest is checked against the chain. Needs no key. A model that nobody keeps any more is
    recomputed from the updates.
    """
    from bafl import replay
    from bafl.codec.model import read_model
    from bafl.store.cid import cid
    from bafl.store.shelf import Shelf

    out = session.output
    history = session.read_history()
    latest = len(history.versions) - 1
    version = latest if wanted is None else wanted
    if version > latest:
        raise RefusedError(f"there is no version {version} yet; the latest is {latest}")
    root = history.versions[version].root
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}: make it, or name another file")
    # Beside the target, so that the file appears there whole or not at all.
    with (
        tempfile.TemporaryDirectory(prefix=".bafl-", dir=path.parent) as folder,
        out.working(f"fetching version {version}"),
    ):
        shelf = Shelf(Path(folder), session.store, session.manifest.size_limit)
        model = replay.model(session.federal, history, version, shelf)
        parameters = read_model(model, session.manifest).manifest.parameters
        target = Path(folder) / "pulled"
        shutil.copyfile(model, target)
        target.replace(path)
    size = path.stat().st_size
    out.line(
        f"Version {version} in {path}: {parameters:,} parameters, {units.format_size(size)}, "
        f"CID {cid(root)}."
    )
    out.emit(
        {
            "version": version,
            "file": str(path),
            "cid": cid(root),
            "bytes": size,
            "parameters": parameters,
        }
    )
