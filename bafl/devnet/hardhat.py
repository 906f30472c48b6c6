"""Hardhat's node under supervision: the chain that most Solidity projects test on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from bafl.devnet import find
from bafl.devnet.chain import Account, Chain, well_known_accounts
from bafl.devnet.processes import BinaryMissingError


class Hardhat(Chain):
    """A local chain in memory, as a context manager; it ends with its owner, even on SIGKILL.

    port: 0 takes a free one, which a restart keeps; the restart begins a new chain. mine_every_s:
    mine a block for each transaction, and one at this interval too, so that time passes on an idle
    chain. accounts: how many funded ones, with `balance_ether` each. log: its output, by default in
    a temporary folder.
    """

    client = "Hardhat"

    def __init__(
        self,
        *,
        port: int = 0,
        chain_id: int = 31337,
        mine_every_s: int | None = None,
        accounts: int = 10,
        balance_ether: int = 10_000,
        log: Path | None = None,
    ) -> None:
        super().__init__(port=port, chain_id=chain_id, log=log)
        self._count = accounts
        self._network = {
            "type": "edr-simulated",
            "chainId": chain_id,
            "accounts": {"count": accounts, "accountsBalance": str(balance_ether * 10**18)},
            "mining": {"auto": True, "interval": 1000 * (mine_every_s or 0)},
        }

    def fund(self, address: str, wei: int) -> None:
        """See `Chain.fund`."""
        self.rpc("hardhat_setBalance", address, hex(wei))

    def _command(self, folder: Path) -> list[str]:
        # A project of its own, so that nothing depends on where we are, and nothing is left there.
        hardhat = find_hardhat()
        (folder / "node_modules").symlink_to(hardhat.parents[3])
        (folder / "package.json").write_text('{"type": "module"}')
        network = json.dumps({"networks": {"node": self._network}})
        (folder / "hardhat.config.js").write_text(f"export default {network};\n")
        return [
            *(str(find_node()), str(hardhat), "node"),
            *("--hostname", "127.0.0.1", "--port", str(self.port)),
        ]

    def _home(self, folder: Path) -> Path:
        return folder

    def _funded(self, folder: Path) -> tuple[Account, ...]:
        return well_known_accounts(self._count)


def find_hardhat() -> Path:
    """npm's hardhat in node_modules of the working folder, of a folder above it or of this source
    tree. Raises BinaryMissingError with the ways to get one.
    """
    for candidate in find.in_node_modules(Path("hardhat", "dist", "src", "cli.js")):
        if candidate.is_file():
            return candidate.resolve()
    raise BinaryMissingError(
        "no Hardhat here. In a checkout run `make setup`; elsewhere `npm install hardhat` in the"
        " working folder."
    )


def find_node() -> Path:
    """The Node that the set-up installed in this source tree, else the one on PATH.

    Raises BinaryMissingError with the ways to get one.
    """
    own = find.source_tree() / "tools" / "node" / "node_modules" / "node" / "bin" / "node"
    if found := shutil.which(own) or shutil.which("node"):
        return Path(found)
    raise BinaryMissingError("no Node here: install Node 22 or newer (https://nodejs.org)")
