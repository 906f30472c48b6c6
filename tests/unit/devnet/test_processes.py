from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bafl.devnet.processes import (
    NotReadyError,
    PortTakenError,
    Processes,
    ProcessFailedError,
    Supervised,
    free_port,
    require_free,
    wait_until,
)
from bafl.errors import DevnetError

SLEEPER = "import signal, sys; print('up', flush=True); signal.pause()"
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('up', flush=True);\nwhile True: signal.pause()"
)
# Starts a child of its own, says its process id, and waits.
PARENT = (
    "import subprocess, sys, signal;"
    f"child = subprocess.Popen([sys.executable, '-c', {SLEEPER!r}], stdout=subprocess.DEVNULL);"
    "print(child.pid, flush=True); signal.pause()"
)


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie that waits for its parent has."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def says(child: Supervised, text: str = "") -> Callable[[], bool]:
    """Whether the child has written a whole line that has this text."""
    return lambda: text in child.last_lines() and "\n" in child.log.read_text()


@pytest.fixture
def sleeper(tmp_path: Path) -> Supervised:
    return Supervised("sleeper", python(SLEEPER), log=tmp_path / "sleeper.log")


def test_a_child_runs_and_stops_on_leaving_its_context(sleeper: Supervised) -> None:
    with sleeper:
        wait_until(says(sleeper, "up"), "its line")
        assert sleeper.running
        pid = sleeper.pid
    assert not sleeper.running
    assert sleeper.returncode == -signal.SIGTERM
    assert gone(pid)


def test_a_child_is_stopped_when_its_context_ends_with_an_error(sleeper: Supervised) -> None:
    with pytest.raises(KeyboardInterrupt), sleeper:
        raise KeyboardInterrupt
    assert not sleeper.running


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    stubborn = Supervised("stubborn", python(STUBBORN), log=tmp_path / "log")
    stubborn.start()
    wait_until(says(stubborn, "up"), "its line")
    stubborn.stop(grace_s=0.1)
    assert stubborn.returncode == -signal.SIGKILL


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_a_child_started_ends_with_it(tmp_path: Path, end: str) -> None:
    parent = Supervised("parent", python(PARENT), log=tmp_path / "log")
    parent.start()
    wait_until(says(parent), "its child")
    grandchild = int(parent.last_lines())
    assert not gone(grandchild)
    getattr(parent, end)()
    wait_until(lambda: gone(grandchild), "the grandchild's end")


def test_what_a_child_leaves_behind_ends_when_it_is_noticed(tmp_path: Path) -> None:
    parent = Supervised("parent", python(PARENT.replace("signal.pause()", "0")), log=tmp_path / "l")
    parent.start()
    assert parent.wait(30) == 0
    grandchild = int(parent.last_lines())
    wait_until(lambda: gone(grandchild), "the grandchild's end")


def test_a_killed_child_starts_again_and_appends_to_its_log(sleeper: Supervised) -> None:
    with sleeper:
        wait_until(says(sleeper, "up"), "its line")
        first = sleeper.pid
        sleeper.kill()
        assert sleeper.returncode == -signal.SIGKILL
        sleeper.start()
        assert sleeper.pid != first
        wait_until(lambda: sleeper.log.read_text() == "up\nup\n", "its second line")


def test_starting_a_child_that_runs_is_refused(sleeper: Supervised) -> None:
    with sleeper, pytest.raises(ProcessFailedError, match="sleeper runs already"):
        sleeper.start()


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailedError, match="cannot start ghost: /no/such/program: No such"):
        Supervised("ghost", ["/no/such/program"], log=tmp_path / "log").start()


def test_asking_a_child_that_was_never_started_is_refused(sleeper: Supervised) -> None:
    assert not sleeper.running
    sleeper.stop()
    with pytest.raises(ProcessFailedError, match="sleeper has not been started"):
        _ = sleeper.pid


def test_a_child_that_dies_early_shows_its_last_lines(tmp_path: Path) -> None:
    code = "import sys; print('one'); sys.exit('the disk is full')"
    child = Supervised("child", python(code), log=tmp_path / "log")
    child.start()
    with pytest.raises(ProcessFailedError, match=r"child ended with status 1[^$]*disk is full"):
        child.wait_ready(lambda: False)


def test_a_child_that_never_answers_is_given_up_on(sleeper: Supervised) -> None:
    with sleeper, pytest.raises(NotReadyError, match=r"sleeper does not answer after 0\.05 s"):
        sleeper.wait_ready(lambda: False, seconds=0.05)


def test_waiting_for_a_child_that_runs_on_is_given_up_on(sleeper: Supervised) -> None:
    with sleeper, pytest.raises(NotReadyError, match="sleeper still runs"):
        sleeper.wait(0.05)


def test_the_end_of_a_long_log_is_shown(tmp_path: Path) -> None:
    child = Supervised("child", python("print('x' * 100000); print('last')"), log=tmp_path / "log")
    child.start()
    child.wait(30)
    assert child.last_lines(1) == "last"


OWNER = """
import signal, sys
from pathlib import Path
from bafl.devnet.processes import Processes
children = Processes(Path(sys.argv[1]))
for name in ("a", "b"):
    children.start(name, [sys.executable, "-I", "-c", sys.argv[2]])
print(*(child.pid for child in children), flush=True)
signal.pause()
"""


@pytest.mark.parametrize(
    ("death", "code"),
    [
        pytest.param(signal.SIGTERM, SLEEPER, id="terminated"),
        pytest.param(signal.SIGINT, SLEEPER, id="interrupted"),
        pytest.param(signal.SIGKILL, SLEEPER, id="killed"),
        pytest.param(signal.SIGKILL, STUBBORN, id="killed, with children that ignore SIGTERM"),
    ],
)
def test_children_end_with_their_owner_however_it_dies(
    tmp_path: Path, death: signal.Signals, code: str
) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path), code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as owner:
        assert owner.stdout is not None
        children = [int(pid) for pid in owner.stdout.readline().split()]
        assert len(children) == 2
        for name in ("a", "b"):
            log = tmp_path / f"{name}.log"
            wait_until(lambda log=log: log.read_text() == "up\n", "the children")  # type: ignore[misc]
        owner.send_signal(death)
        owner.wait()
    wait_until(lambda: all(map(gone, children)), "the children's end")


FORGETFUL = """
import os, signal, sys
from pathlib import Path
from bafl.devnet.processes import Supervised, wait_until
first = Supervised("first", [sys.executable, "-I", "-c", sys.argv[2]], log=Path(sys.argv[1], "a"))
first.start()
ours = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
[watchdog] = {int(pid) for pid in ours} - {first.pid}
os.kill(watchdog, signal.SIGKILL)
os.waitpid(watchdog, 0)
second = Supervised("second", first.command, log=Path(sys.argv[1], "b"))
second.start()
print(first.pid, second.pid, flush=True)
signal.pause()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="finds the watchdog through /proc")
def test_a_watchdog_that_was_killed_is_replaced(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORGETFUL, str(tmp_path), SLEEPER]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        children = [int(pid) for pid in owner.stdout.readline().split()]
        assert len(children) == 2
        assert not any(map(gone, children))
        owner.kill()
    wait_until(lambda: all(map(gone, children)), "the children's end")


def test_a_group_starts_finds_and_stops_its_processes(tmp_path: Path) -> None:
    with Processes(tmp_path) as group:
        a = group.start("a", python(SLEEPER))
        b = group.start("b", python(STUBBORN))
        assert group["a"] is a
        assert list(group) == [a, b]
        wait_until(says(b, "up"), "the stubborn one")
        with pytest.raises(ProcessFailedError, match="a runs already"):
            group.start("a", python(SLEEPER))
        group.stop(grace_s=0.2)
        assert (a.returncode, b.returncode) == (-signal.SIGTERM, -signal.SIGKILL)
        again = group.start("a", python(SLEEPER))
    assert not again.running
    assert (tmp_path / "a.log").exists()


def test_a_child_gets_the_environment_and_the_folder_it_was_given(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    code = "import os; print(os.environ['WHO'], os.getcwd(), os.environ.get('HOME'))"
    child = Supervised("child", python(code), log=tmp_path / "log", env={"WHO": "carl"}, cwd=folder)
    child.start()
    assert child.wait(30) == 0
    assert child.last_lines() == f"carl {folder} None"


def test_a_port_that_is_taken_is_named_with_the_remedy() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"127\.0\.0\.1:{port}.* or use --port") as caught:
            require_free(port, "The chain", "use --port")
        assert isinstance(caught.value, DevnetError)
    require_free(port, "The chain", "use --port")


def test_free_ports_can_be_listened_on() -> None:
    require_free(free_port(), "The chain", "use another one")


def test_waiting_ends_with_what_was_waited_for() -> None:
    with pytest.raises(NotReadyError, match=r"waited 0\.03 s for the flood, in vain"):
        wait_until(lambda: False, "the flood", seconds=0.03)
