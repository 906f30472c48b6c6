"""Who plays: participants as processes, each with an RPC of its own to be lied to by, and a log."""

from __future__ import annotations

import os
import re
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from bafl.chain.history import HistoryFile
from bafl.devnet import Anvil, Kubo, Processes, wait_until
from bafl.devnet.processes import NotReadyError, Supervised
from tests.e2e.federation.stage import Stage, found
from tests.faults.daemon import DaemonProxy
from tests.unit.chain.proxy import Proxy

COUNT = 4
PATIENCE_S = 60.0
"""How long a fault may take to come about, and a node to say so."""


class Log:
    """What a process says, line by line.

    A pipe, not a file: a process whose disk is full can still be heard.
    """

    def __init__(self, pipe: Path, copy: Path) -> None:
        self.lines: list[str] = []
        self._copy = copy
        os.mkfifo(pipe)
        # For writing too: so it neither waits for a writer nor ends with one.
        self._file = os.fdopen(os.open(pipe, os.O_RDWR), "rb", buffering=0)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        rest = b""
        with self._copy.open("ab", buffering=0) as copy:
            while piece := self._file.read(1 << 16):
                copy.write(piece)
                *whole, rest = (rest + piece).split(b"\n")
                self.lines += [line.decode(errors="replace") for line in whole]

    def said(self, pattern: str, since: int) -> str | None:
        """The first line from number `since` on that matches."""
        found = re.compile(pattern)
        return next((line for line in self.lines[since:] if found.search(line)), None)


@dataclass
class Actor:
    """One participant."""

    index: int
    account: LocalAccount
    stage: Stage
    rpc: Proxy
    processes: Processes
    log: Log
    daemon: DaemonProxy | None = None

    @property
    def name(self) -> str:
        return f"node{self.index}"

    @property
    def home(self) -> Path:
        return Path(self.stage.home) / f"home{self.index}"

    @property
    def process(self) -> Supervised:
        return self.processes[self.name]

    def start(self) -> None:
        """Start it, and return once it takes part."""
        since = len(self.log.lines)
        self.stage.start(self.processes, self.index, self.account)
        self.hears(r"node started", since)

    def hears(self, pattern: str, since: int, seconds: float = PATIENCE_S) -> str:
        """Wait for a line in its log. Raises NotReadyError, ProcessFailedError."""

        def there() -> bool:
            if self.log.said(pattern, since):
                return True
            self.process.require_running()
            return False

        try:
            wait_until(there, f"{self.name} to say {pattern!r}", seconds=seconds)
        except NotReadyError:
            self.process.send(signal.SIGUSR2)
            raise
        return self.log.said(pattern, since) or ""

    def order(self, what: str) -> None:
        """Let the process do something to itself; see tests.e2e.federation.participant."""
        (self.home / "order").write_text(what)
        self.process.send(signal.SIGUSR1)

    @contextmanager
    def no_room(self) -> Iterator[None]:
        """The process can write to no file: a full disk, without the disk."""
        _, most = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (0, most))
        try:
            yield
        finally:
            if self.process.running:
                resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (most, most))


@dataclass
class Cast:
    """A federation's participants, its chain, and its IPFS daemon if it has one."""

    chain: Anvil
    stage: Stage
    actors: list[Actor]
    kubo: Kubo | None = None
    history: HistoryFile = field(init=False)

    def __post_init__(self) -> None:
        self.history = HistoryFile(self.stage.federation)

    def require_running(self) -> None:
        for actor in self.actors:
            actor.process.require_running()


@contextmanager
def cast(folder: Path, keys: list[bytes], ahead_s: int, kubo: Kubo | None) -> Iterator[Cast]:
    """A federation at work. ahead_s: of the chain's clock before this machine's."""
    with ExitStack() as stack:
        options = () if not ahead_s else ("--timestamp", str(int(time.time()) + ahead_s))
        chain = stack.enter_context(
            Anvil(mine_every_s=1, log=folder / "anvil.log", options=options)
        )
        store = f"kubo:{kubo.multiaddr}" if kubo else f"local:{folder / 'store'}"
        stage = found(chain, store, folder / "stage", COUNT)
        processes = stack.enter_context(Processes(folder / "logs"))
        processes.logs.mkdir(parents=True)
        actors = []
        for index, key in enumerate(keys):
            account: LocalAccount = Account.from_key(key)
            chain.set_balance(account.address, 100 * 10**18)
            rpc = stack.enter_context(Proxy(chain.url))
            daemon = stack.enter_context(DaemonProxy(kubo.api_port)) if kubo else None
            its = replace(
                stage,
                rpc=rpc.url,
                store=f"kubo:{daemon.multiaddr}" if daemon else store,
                rpc_timeout_s=3.0,
                fetch_timeout_s=3.0,
            )
            log = Log(processes.logs / f"node{index}.log", processes.logs / f"node{index}.txt")
            actors.append(Actor(index, account, its, rpc, processes, log, daemon))
        for actor in actors:
            actor.stage.start(processes, actor.index, actor.account)
        for actor in actors:
            actor.hears("node started", 0)
        yield Cast(chain, stage, actors, kubo)
