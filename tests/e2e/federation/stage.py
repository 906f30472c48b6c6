"""Where a test's federation plays, and how its participants are started."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from bafl import founding
from bafl.chain import calls
from bafl.chain.connection import Connection
from bafl.chain.deploy import deploy_support
from bafl.chain.federation import Federation
from bafl.chain.fold import History
from bafl.chain.history import HistoryFile
from bafl.chain.sender import Sender
from bafl.devnet import Chain, Processes
from bafl.manifest import Manifest
from bafl.replay import AuditReport, Federal, audit
from bafl.settings import FederationSettings
from bafl.store.base import open_store
from bafl.store.shelf import Shelf
from tests.e2e.federation.softmax import Softmax

LIMIT = 1 << 20
ROOT = Path(__file__).parents[3]
SETTINGS = """
name = "test"
[task]
name = "softmax"
[payload]
encodings = ["float32", "int8", "topk"]
[parameters]
window_size = 3
min_updates = 3
max_wait = "10s"
commit_period = "60s"
reveal_period = "60s"
attest_period = "60s"
max_staleness = 50
unbonding_period = "1h"
min_stake = "1 ether"
open = true
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """A federation that participants can join. count: of participants among whom data is shared.

    rpc_timeout_s, fetch_timeout_s: how long a request, and a payload, may take.
    """

    rpc: str
    chain_id: int
    address: str
    store: str
    home: str
    count: int
    rpc_timeout_s: float = 20.0
    fetch_timeout_s: float = 30.0

    @property
    def federation(self) -> Federation:
        connection = Connection(self.rpc, self.chain_id, timeout_s=self.rpc_timeout_s)
        return Federation(connection, self.address)

    @property
    def history(self) -> History:
        return HistoryFile(self.federation).sync()

    def shelf(self, name: str) -> Shelf:
        return Shelf(Path(self.home) / name, open_store(self.store, name), LIMIT)

    @property
    def manifest(self) -> Manifest:
        root = self.federation.genesis.manifest
        return Manifest.from_json(self.shelf("tests").path(root).read_bytes())

    def audit(self) -> AuditReport:
        federal = Federal(self.chain_id, self.address, self.manifest)
        return audit(federal, self.history, self.shelf("audit"))

    def start(
        self, processes: Processes, index: int, account: LocalAccount, dies_at: int = 0
    ) -> None:
        """Start participant `index` as a process; it dies at its `dies_at`-th boundary, if any."""
        path = Path(self.home) / f"stage{index}.json"
        path.write_text(json.dumps(asdict(self)))
        module = "tests.e2e.federation.participant"
        processes.start(
            f"node{index}",
            [sys.executable, "-m", module, str(path), str(index), str(dies_at)],
            env=dict(os.environ) | {"BAFL_PRIVATE_KEY": "0x" + account.key.hex()},
            cwd=ROOT,
        )


def found(chain: Chain, store: str, home: Path, count: int, text: str = SETTINGS) -> Stage:
    """Put a federation on the chain; its reward pool is funded."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "federation.toml"
    file.write_text(text)
    settings = FederationSettings.load(file)
    sender = Sender(Connection(chain.url), Account.from_key(chain.accounts[0].key))
    drafted = founding.draft(settings, Softmax(0, count))
    founded = founding.found(
        settings, drafted, sender, open_store(store, "founder"), lambda: deploy_support(sender)
    )
    stage = Stage(chain.url, chain.chain_id, founded.address, store, str(home), count)
    stage.federation.sender(sender.account).send(calls.fund(10**18))
    return stage
