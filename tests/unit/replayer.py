"""Audits a history in a process of its own, and says what that process was like.

    python -m tests.unit.replayer FOLDER SEED [torch]

FOLDER: "manifest", "record" (`Past.record_of_it`) and "store". SEED: in which order the payloads
come. torch: loads it, with as many threads as OMP_NUM_THREADS says, and has the CPU flush
subnormals to zero.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bafl.manifest import Manifest
from bafl.replay import Federal, audit
from bafl.store.local import LocalStore
from bafl.store.shelf import Shelf
from tests.unit.past import CHAIN_ID, FEDERATION, LIMIT, retold


def vector_instructions() -> list[str]:
    """The CPU's features that numpy chooses its loops by, and that are on."""
    core: Any = importlib.import_module("numpy._core._multiarray_umath")
    return [name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]]


def main(folder: Path, seed: int, with_torch: bool) -> None:
    """Print what the audit found and what it ran on, as JSON."""
    threads, flushes = 0, False
    if with_torch:
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        flushes = torch.set_flush_denormal(True)
        threads = torch.get_num_threads()
    manifest = Manifest.from_json((folder / "manifest").read_bytes())
    history = retold((folder / "record").read_text())
    roots = [update.root for window in history.windows for update in history.updates(window)]
    random.Random(seed).shuffle(roots)
    with tempfile.TemporaryDirectory() as empty:
        shelf = Shelf(Path(empty) / "shelf", LocalStore(folder / "store"), LIMIT)
        for root in roots:
            shelf.path(root)
        report = audit(Federal(CHAIN_ID, FEDERATION, manifest), history, shelf)
    said = {
        "digests": [
            each.recomputed.digest.hex() if each.recomputed else each.note
            for each in report.versions
        ],
        "ok": report.ok,
        "vectors": vector_instructions(),
        "threads": threads,
        # Half of the smallest normal is a subnormal, which such a CPU gives as 0.
        "flushes": flushes and float(np.float64(2.0**-1022) * np.float64(0.5)) == 0.0,
        "hash": hash("a"),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), "torch" in sys.argv[3:])
