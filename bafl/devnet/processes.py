"""Child processes that never outlive their owner, with a log file each.

POSIX only. Every child leads a process group of its own, so that what it starts ends with it and a
Ctrl-C in the terminal reaches only the owner, who then stops the children in order.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from bafl.devnet import watchdog
from bafl.errors import DevnetError

STOP_GRACE_S = 10.0
"""How long a process may take to end after SIGTERM before it gets SIGKILL."""


class BinaryMissingError(DevnetError):
    """A program that is needed is nowhere to be found."""


class PortTakenError(DevnetError):
    """Something else listens on the port that was asked for."""


class ProcessFailedError(DevnetError):
    """A process ended that should run, or could not be started; the message has its last lines."""


class NotReadyError(DevnetError):
    """A process runs but does not answer within its deadline."""


def wait_until(
    condition: Callable[[], bool], what: str, *, seconds: float = 30.0, pause_s: float = 0.02
) -> None:
    """Return when `condition()` is true. Raises NotReadyError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NotReadyError(f"waited {seconds:g} s for {what}, in vain")
        time.sleep(pause_s)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int, what: str, remedy: str) -> None:
    """Raise PortTakenError, naming `what` wanted the port, if something listens on it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as cause:
            raise PortTakenError(
                f"{what} cannot listen on 127.0.0.1:{port}: {cause.strerror or cause}. "
                f"Stop what uses that port, or {remedy}."
            ) from cause


class _Watchdog:
    """The one watchdog of this process; started with the first child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pipe = -1  # never closed: that it closes with us is the point
        self._owner = 0
        self._in_care: set[int] = set()

    def take(self, group: int) -> None:
        with self._lock:
            if self._owner != os.getpid():  # after a fork the children are the other process's
                self._in_care.clear()
                self._start()
            self._in_care.add(group)
            self._tell(f"+{group}\n")

    def release(self, group: int) -> None:
        with self._lock:
            if self._owner == os.getpid():
                self._in_care.discard(group)
                self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        try:
            os.write(self._pipe, line.encode())
        except BrokenPipeError:  # somebody killed it: another one learns all there is to know
            os.close(self._pipe)
            self._start()

    def _start(self) -> None:
        read, self._pipe = os.pipe()
        self._owner = os.getpid()
        subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__],
            stdin=read,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ).returncode = 0  # it ends right after us: there is no waiting for it
        os.close(read)
        for group in self._in_care:
            os.write(self._pipe, f"+{group}\n".encode())


_watchdog = _Watchdog()


class Supervised:
    """One child process: started, watched, stopped, killed, restarted.

    name: for messages. command: program and arguments. log: file that standard output and error are
    appended to. env: the whole environment, by default ours. cwd: by default ours.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self._env = dict(env) if env is not None else None
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._in_care = False

    def __enter__(self) -> Self:
        if self._process is None:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id. Raises ProcessFailedError if it was never started."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self.returncode is None

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal as in `subprocess`; None while it runs."""
        process = self._started()
        if process.poll() is not None and self._in_care:
            self._in_care = False
            self._signal_group(signal.SIGKILL)  # what it started and left behind
            _watchdog.release(process.pid)
        return process.returncode

    def start(self) -> None:
        """Start it. Raises ProcessFailedError if it runs already or the program cannot be run."""
        if self.running:
            raise ProcessFailedError(f"{self.name} runs already (process {self.pid})")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    cwd=self._cwd,
                    start_new_session=True,
                )
            except OSError as cause:
                raise ProcessFailedError(
                    f"cannot start {self.name}: {self.command[0]}: {cause.strerror or cause}"
                ) from cause
        self._in_care = True
        _watchdog.take(self._process.pid)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it and to everything it started; nothing if it has ended."""
        if self.running:
            self._signal_group(number)

    def kill(self) -> None:
        """SIGKILL, at once, for it and everything it started."""
        self.send(signal.SIGKILL)
        self._finish(None)

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """SIGTERM, then SIGKILL after `grace_s`. Nothing if it was never started or has ended."""
        self.send(signal.SIGTERM)
        self._finish(grace_s)

    def restart(self) -> None:
        """Stop it if it runs, and start it with the same command and log."""
        self.stop()
        self.start()

    def wait(self, seconds: float) -> int:
        """Its exit status once it ends. Raises NotReadyError if it runs on after `seconds`."""
        try:
            status = self._started().wait(seconds)
        except subprocess.TimeoutExpired:
            raise NotReadyError(
                f"{self.name} still runs after {seconds:g} s; its log is {self.log}"
            ) from None
        return self.returncode or status

    def last_lines(self, count: int = 10) -> str:
        """The end of its log, for an error message."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 400 * count))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-count:])

    def wait_ready(self, ready: Callable[[], bool], *, seconds: float = 30.0) -> None:
        """Return when `ready()` is true.

        Raises ProcessFailedError if it ends first, NotReadyError after `seconds`.
        """

        def answered() -> bool:
            self.require_running()
            return ready()

        try:
            wait_until(answered, self.name, seconds=seconds)
        except NotReadyError as cause:
            raise NotReadyError(
                f"{self.name} does not answer after {seconds:g} s; its log is {self.log}"
            ) from cause

    def require_running(self) -> None:
        """Raise ProcessFailedError, with the last lines of its log, if it has ended."""
        if not self.running:
            raise ProcessFailedError(
                f"{self.name} ended {_how(self.returncode)}. "
                f"The last lines of {self.log}:\n{self.last_lines()}"
            )

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ProcessFailedError(f"{self.name} has not been started")
        return self._process

    def _finish(self, grace_s: float | None) -> None:
        if not self.running:
            return
        process = self._started()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._signal_group(signal.SIGKILL)
            process.wait()
        _ = self.returncode

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._started().pid, number)


class Processes:
    """A group of children by name; on leaving its context all of them are stopped."""

    def __init__(self, logs: Path) -> None:
        """logs: folder that gets `NAME.log` for each process."""
        self.logs = logs
        self._members: dict[str, Supervised] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __iter__(self) -> Iterator[Supervised]:
        return iter(self._members.values())

    def __getitem__(self, name: str) -> Supervised:
        return self._members[name]

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Supervised:
        """Start a process and keep it. Raises ProcessFailedError if one of that name runs."""
        if name in self._members and self._members[name].running:
            raise ProcessFailedError(f"{name} runs already (process {self._members[name].pid})")
        child = Supervised(name, command, log=self.logs / f"{name}.log", env=env, cwd=cwd)
        child.start()
        self._members[name] = child
        return child

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Stop all at once: SIGTERM to each, one grace period for them together, then SIGKILL."""
        deadline = time.monotonic() + grace_s
        for child in self:
            child.send(signal.SIGTERM)
        for child in self:
            child._finish(max(0.0, deadline - time.monotonic()))


def _how(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        return f"by {signal.Signals(-returncode).name}"
    return f"with status {returncode}"
