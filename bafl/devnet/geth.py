"""geth's development chain under supervision: the client that most of the mainnet's nodes are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from bafl.devnet import find
from bafl.devnet.chain import START_PATIENCE_S, Account, Chain, well_known_accounts
from bafl.devnet.processes import wait_until

VERSION = "1.16.9"
"""The version that `scripts/geth` builds; tools/geth/go.mod requires the same."""

CHAIN_ID = 1337
"""That of every geth in development mode."""


class Geth(Chain):
    """A local chain in memory, as a context manager; it ends with its owner, even on SIGKILL.

    Unlike on Anvil there is a mempool with the rules of the mainnet's: nothing is mined at once,
    nothing moves the clock, and a transaction that pays less than a block asks for waits.

    port: 0 takes a free one, which a restart keeps; the restart begins a new chain. block_time_s:
    mine a block at this interval, empty or not; 0: whenever a transaction comes. gas_limit: of a
    block; fees rise while blocks are more than half full. accounts: how many funded ones, with
    `balance_ether` each. log: its output, by default in a temporary folder.
    """

    client = "geth"

    def __init__(
        self,
        *,
        port: int = 0,
        block_time_s: int = 0,
        gas_limit: int = 30_000_000,
        accounts: int = 10,
        balance_ether: int = 10_000,
        log: Path | None = None,
    ) -> None:
        super().__init__(port=port, chain_id=CHAIN_ID, log=log)
        self._count = accounts
        self._balance_wei = balance_ether * 10**18
        self._options = [
            *("--dev", "--dev.period", str(block_time_s)),
            *("--dev.gaslimit", str(gas_limit), "--miner.gaslimit", str(gas_limit)),
            *("--http", "--http.addr", "127.0.0.1", "--http.api", "eth,net,web3,txpool"),
            *("--ipcdisable", "--verbosity", "3"),
        ]

    def fund(self, address: str, wei: int) -> None:
        """See `Chain.fund`; the money comes from the development account and takes a block."""
        self._give(address, wei)
        wait_until(lambda: self._balance(address) >= wei, f"the money of {address}")

    def _command(self, folder: Path) -> list[str]:
        return [str(find_geth()), "--http.port", str(self.port), *self._options]

    def _environment(self, folder: Path) -> Mapping[str, str]:
        # Its keystore, of a key that everybody knows, is read once and may go with the folder.
        return dict(os.environ) | {"TMPDIR": str(folder)}

    def _funded(self, folder: Path) -> tuple[Account, ...]:
        accounts = well_known_accounts(self._count)
        for account in accounts:
            self._give(account.address, self._balance_wei)
        wait_until(
            lambda: all(self._balance(each.address) >= self._balance_wei for each in accounts),
            "the accounts' money",
            seconds=START_PATIENCE_S,
        )
        return accounts

    def _give(self, address: str, wei: int) -> None:
        (developer,) = self.rpc("eth_accounts")
        self.rpc("eth_sendTransaction", {"from": developer, "to": address, "value": hex(wei)})

    def _balance(self, address: str) -> int:
        return int(self.rpc("eth_getBalance", address, "latest"), 16)


def find_geth() -> Path:
    """The geth to run: $BAFL_GETH, on PATH, or what `scripts/geth` built in this checkout or on
    this machine before. Raises BinaryMissingError with the ways to get one.
    """
    return find.chosen_or_built(
        *("BAFL_GETH", "geth", VERSION),
        "no geth here. In a checkout with Go installed run `make geth` (some two minutes, once);"
        " elsewhere install geth, or set BAFL_GETH to the program.",
    )
