"""Anvil under supervision: a whole Ethereum chain in one process on this machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from bafl.devnet import find
from bafl.devnet.chain import MNEMONIC, Account, Chain
from bafl.devnet.processes import BinaryMissingError
from bafl.errors import UsageError


class Anvil(Chain):
    """A local chain, as a context manager; it ends with its owner, even on SIGKILL.

    port: 0 takes a free one, which a restart keeps. state: file that holds the chain's state over
    restarts (written every second: a SIGKILL costs at most the last second; without one a restart
    begins a new chain). block_time_s: mine a block at this interval only. mine_every_s: mine a
    block for each transaction, and one at this interval too, so that time passes on an idle chain.
    accounts: how many funded ones, with `balance_ether` each. options: further options of anvil.
    log: its output, by default in a temporary folder.
    """

    client = "Anvil"

    def __init__(
        self,
        *,
        port: int = 0,
        state: Path | None = None,
        chain_id: int = 31337,
        block_time_s: int | None = None,
        mine_every_s: int | None = None,
        accounts: int = 10,
        balance_ether: int = 10_000,
        mnemonic: str = MNEMONIC,
        log: Path | None = None,
        options: Sequence[str] = (),
    ) -> None:
        if block_time_s is not None and mine_every_s is not None:
            raise UsageError("give block_time_s or mine_every_s to Anvil, not both")
        super().__init__(port=port, chain_id=chain_id, log=log)
        self.state = state
        self._options = [
            "--quiet",
            *("--chain-id", str(chain_id)),
            *("--accounts", str(accounts)),
            *("--balance", str(balance_ether)),
            *("--mnemonic", mnemonic),
            *(("--state", str(state), "--state-interval", "1") if state else ()),
            *(("--block-time", str(block_time_s)) if block_time_s else ()),
            *(("--block-time", str(mine_every_s), "--mixed-mining") if mine_every_s else ()),
            *options,
        ]

    def mine(self, blocks: int = 1) -> None:
        """Mine that many blocks at once, with the transactions that wait."""
        self.rpc("anvil_mine", hex(blocks))

    def advance(self, seconds: int) -> None:
        """Move the chain's clock forward and mine a block, so that `eth_call` sees it."""
        self.rpc("evm_increaseTime", seconds)
        self.mine()

    def set_balance(self, address: str, wei: int) -> None:
        """Give an account exactly that much."""
        self.rpc("anvil_setBalance", address, hex(wei))

    def fund(self, address: str, wei: int) -> None:
        """See `Chain.fund`."""
        self.set_balance(address, wei)

    def _command(self, folder: Path) -> list[str]:
        if self.state:
            self.state.parent.mkdir(parents=True, exist_ok=True)
        return [
            *(str(find_anvil()), "--port", str(self.port)),
            *("--config-out", str(_config(folder))),
            *self._options,
        ]

    def _is_up(self, folder: Path) -> bool:
        return _written(_config(folder)) and super()._is_up(folder)

    def _funded(self, folder: Path) -> tuple[Account, ...]:
        from eth_utils.address import to_checksum_address  # slow, and not needed before

        given = json.loads(_config(folder).read_text())
        return tuple(
            Account(to_checksum_address(address), key)
            for address, key in zip(given["available_accounts"], given["private_keys"], strict=True)
        )


def _config(folder: Path) -> Path:
    return folder / "config.json"


def _written(config: Path) -> bool:
    """Whether Anvil has written all of its configuration: it may answer before."""
    try:
        json.loads(config.read_text())
    except (OSError, ValueError):
        return False
    return True


def find_anvil() -> Path:
    """The anvil to run: $BAFL_ANVIL, on PATH, or npm's in node_modules of the working folder, of a
    folder above it or of this source tree. Raises BinaryMissingError with the ways to get one.
    """
    if chosen := find.named("BAFL_ANVIL"):
        return chosen
    if found := shutil.which("anvil"):
        return Path(found)
    system = platform.system().lower()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    # The package's launcher script always exits with 0: run the platform's binary.
    binary = Path("@foundry-rs", f"anvil-{system}-{machine}", "bin", "anvil")
    for candidate in find.in_node_modules(binary):
        if os.access(candidate, os.X_OK):
            return candidate
    raise BinaryMissingError(
        "no Anvil here. In a checkout run `make setup`; elsewhere `npm install @foundry-rs/anvil`"
        " in the working folder, install Foundry, or set BAFL_ANVIL to the program."
    )
