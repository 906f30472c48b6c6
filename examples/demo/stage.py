"""What the demo's processes must agree on, handed over as a JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bafl.chain.federation import Federation
from bafl.manifest import Manifest
from bafl.store.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Stage:
    """Where things are and how fast they go. Times in seconds; size_limit in bytes.

    play: its name in `plays.PLAYS`.
    """

    rpc: str
    chain_id: int
    federation: str
    store: str
    home: Path
    play: str
    size_limit: int = 64 << 20
    training_s: float = 1.0
    poll_s: float = 0.3

    def write(self, path: Path) -> None:
        """Write it for the participants to read."""
        path.write_text(json.dumps(asdict(self) | {"home": str(self.home)}, indent=2))

    @classmethod
    def read(cls, path: Path) -> Stage:
        """Read what `write` wrote."""
        values = json.loads(path.read_text())
        return cls(**values | {"home": Path(values["home"])})

    def manifest(self, federation: Federation, shelf: Shelf) -> Manifest:
        """Fetch the federation's manifest."""
        return Manifest.from_json(shelf.path(federation.genesis.manifest).read_bytes())
