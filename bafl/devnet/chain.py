"""A development chain under supervision: what is the same whichever client runs it."""

from __future__ import annotations

import json
import tempfile
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from bafl.devnet.processes import Supervised, free_port, require_free
from bafl.errors import ChainError

MNEMONIC = "test test test test test test test test test test test junk"
"""The words everybody's development chain uses; its keys are public, so never fund them."""

START_PATIENCE_S = 120.0
"""A machine may be busy with many things at once."""

_CALL_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Account:
    """A funded development account. address: checksummed. key: 0x and 64 hex digits."""

    address: str
    key: str = field(repr=False)


class Chain(ABC):
    """A local chain, as a context manager; it ends with its owner, even on SIGKILL.

    port: 0 takes a free one, which a restart keeps. log: its output, by default in a temporary
    folder.
    """

    client: ClassVar[str]
    """The client's name, for messages."""

    def __init__(self, *, port: int, chain_id: int, log: Path | None) -> None:
        self.port = port
        self.chain_id = chain_id
        self._log = log
        self._process: Supervised | None = None
        self._accounts: tuple[Account, ...] = ()

    def __enter__(self) -> Self:
        if not self.running:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """HTTP address of its RPC. Known once it was started."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The funded accounts; empty before the first start."""
        return self._accounts

    @property
    def process(self) -> Supervised:
        """The process itself. Raises ChainError before the first start."""
        if self._process is None:
            raise ChainError(f"this {self.client} has not been started")
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
        require_free(self.port, self.client, "choose another one")
        # Gone once it is up, so that an owner that gets SIGKILL leaves nothing behind.
        with tempfile.TemporaryDirectory(prefix="bafl-chain-") as name:
            folder = Path(name)
            self._process = Supervised(
                self.client,
                self._command(folder),
                log=self._log or folder / "log",
                env=self._environment(folder),
                cwd=self._home(folder),
            )
            try:
                self._process.start()
                self._process.wait_ready(lambda: self._is_up(folder), seconds=START_PATIENCE_S)
                self._accounts = self._funded(folder)
            except BaseException:
                self._process.kill()
                raise

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self.process.kill()

    def restart(self) -> None:
        """Stop it if it runs and start it on the same port; what it does not keep is lost."""
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
            raise ChainError(
                f"{self.client} at {self.url} does not answer {method}: {cause}"
            ) from cause
        if "error" in answer:
            raise ChainError(
                f"{self.client} refuses {method}: {answer['error'].get('message', answer)}"
            )
        return answer["result"]

    @abstractmethod
    def fund(self, address: str, wei: int) -> None:
        """See to it that an account which had nothing has that much."""

    @abstractmethod
    def _command(self, folder: Path) -> list[str]:
        """Program and arguments. folder: a temporary one, gone once the chain is up."""

    def _environment(self, folder: Path) -> Mapping[str, str] | None:
        """The process's environment; None: ours."""
        return None

    def _home(self, folder: Path) -> Path | None:
        """The process's working folder; None: ours."""
        return None

    def _is_up(self, folder: Path) -> bool:
        """Whether it answers, and as the chain it should be."""
        try:
            return int(self.rpc("eth_chainId"), 16) == self.chain_id
        except ChainError:
            return False

    @abstractmethod
    def _funded(self, folder: Path) -> tuple[Account, ...]:
        """The accounts, with money, once it is up."""


def well_known_accounts(count: int) -> tuple[Account, ...]:
    """The first accounts of `MNEMONIC`, as every development chain derives them."""
    from eth_account import Account as Keys  # slow, and not needed before
    from eth_account.hdaccount import key_from_seed, seed_from_mnemonic

    seed = seed_from_mnemonic(MNEMONIC, "")
    keys = [key_from_seed(seed, f"m/44'/60'/0'/0/{index}") for index in range(count)]
    return tuple(Account(str(Keys.from_key(key).address), "0x" + key.hex()) for key in keys)
