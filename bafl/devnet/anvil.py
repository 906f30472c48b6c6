"""Anvil under supervision: a whole Ethereum chain in one process on this machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bafl.devnet.processes import (
    BinaryMissingError,
    Supervised,
    free_port,
    require_free,
)
from bafl.errors import ChainError, UsageError

MNEMONIC = "test test test test test test test test test test test junk"
"""The words everybody's development chain uses; its keys are public, so never fund them."""

_CALL_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Account:
    """A funded development account. address: checksummed. key: 0x and 64 hex digits."""

    address: str
    key: str = field(repr=False)


class Anvil:
    """A local chain, as a context manager; it ends with its owner, even on SIGKILL.

    port: 0 takes a free one, which a restart keeps. state: file that holds the chain's state over
    restarts (written every second: a SIGKILL costs at most the last second). block_time_s: mine a
    block at this interval only. mine_every_s: mine a block for each transaction, and one at this
    interval too, so that time passes on an idle chain. accounts: how many funded ones, with
    `balance_ether` each. options: further options of anvil. log: its output, by default in a
    temporary folder.
    """

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
        self.port = port
        self.chain_id = chain_id
        self.state = state
        self._log = log
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
        self._process: Supervised | None = None
        self._accounts: tuple[Account, ...] = ()

    def __enter__(self) -> Self:
        if not self.running:
            self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """HTTP address of its RPC; WebSocket is the same with `ws`. Known once it was started."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The funded accounts; empty before the first start."""
        return self._accounts

    @property
    def process(self) -> Supervised:
        """The process itself. Raises ChainError before the first start."""
        if self._process is None:
            raise ChainError("this Anvil has not been started")
        return self._process

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start it and return when it answers.

        Raises BinaryMissingError, PortTakenError, ProcessFailedError (with its last lines) or
        NotReadyError.
        """
        self.port = self.port or free_port()
        require_free(self.port, "Anvil", "choose another one")
        if self.state:
            self.state.parent.mkdir(parents=True, exist_ok=True)
        binary = find_anvil()
        # Gone once Anvil is up, so that an owner that gets SIGKILL leaves nothing behind.
        with tempfile.TemporaryDirectory(prefix="bafl-anvil-") as folder:
            config = Path(folder, "config.json")
            self._process = Supervised(
                "Anvil",
                [
                    *(str(binary), "--port", str(self.port), "--config-out", str(config)),
                    *self._options,
                ],
                log=self._log or Path(folder, "anvil.log"),
            )
            try:
                self._process.start()
                self._process.wait_ready(lambda: _written(config) and self._answers())
                self._accounts = _accounts(config)
            except BaseException:
                self._process.kill()
                raise

    def stop(self) -> None:
        """End it; with a state file, after writing it."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self.process.kill()

    def restart(self) -> None:
        """Stop it if it runs and start it on the same port; without a state file: a new chain."""
        self.stop()
        self.start()

    def rpc(self, method: str, *params: object) -> Any:
        """One JSON-RPC call. Raises ChainError if it does not answer or answers with an error."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(  # noqa: S310 -- our own http URL
            self.url, body, {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=_CALL_TIMEOUT_S) as response:  # noqa: S310
                answer = json.load(response)
        except (OSError, ValueError) as cause:
            raise ChainError(f"Anvil at {self.url} does not answer {method}: {cause}") from cause
        if "error" in answer:
            raise ChainError(f"Anvil refuses {method}: {answer['error'].get('message', answer)}")
        return answer["result"]

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

    def _answers(self) -> bool:
        try:
            return int(self.rpc("eth_chainId"), 16) == self.chain_id
        except ChainError:
            return False


def _written(config: Path) -> bool:
    """Whether Anvil has written all of its configuration: it may answer before."""
    try:
        json.loads(config.read_text())
    except (OSError, ValueError):
        return False
    return True


def _accounts(config: Path) -> tuple[Account, ...]:
    from eth_utils.address import to_checksum_address  # slow, and not needed before

    given = json.loads(config.read_text())
    return tuple(
        Account(to_checksum_address(address), key)
        for address, key in zip(given["available_accounts"], given["private_keys"], strict=True)
    )


def find_anvil() -> Path:
    """The anvil to run: $BAFL_ANVIL, on PATH, or npm's in node_modules of the working folder, of a
    folder above it or of this source tree. Raises BinaryMissingError with the ways to get one.
    """
    if chosen := os.environ.get("BAFL_ANVIL"):
        if not os.access(chosen, os.X_OK) or not Path(chosen).is_file():
            raise BinaryMissingError(f"BAFL_ANVIL is {chosen}, which is not a program")
        return Path(chosen)
    if found := shutil.which("anvil"):
        return Path(found)
    system = platform.system().lower()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    # The package's launcher script always exits with 0: run the platform's binary.
    binary = Path("node_modules", "@foundry-rs", f"anvil-{system}-{machine}", "bin", "anvil")
    for folder in _folders():
        if os.access(folder / binary, os.X_OK):
            return folder / binary
    raise BinaryMissingError(
        "no Anvil here. In a checkout run `make setup`; elsewhere `npm install @foundry-rs/anvil`"
        " in the working folder, install Foundry, or set BAFL_ANVIL to the program."
    )


def _folders() -> Iterator[Path]:
    here = Path.cwd()
    yield from (here, *here.parents)
    yield Path(__file__).resolve().parents[2]
