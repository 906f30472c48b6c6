"""Ends process groups when the process that owns them is gone, however it went.

Started by `bafl.devnet.processes` as a script of its own (standard library only, so it is up in
some 20 ms). Reads lines from standard input: `+PID` takes a process group into care, `-PID`
releases it. The owner holds the only other end of that pipe, and the kernel closes it even when the
owner gets SIGKILL: then every group in care gets SIGTERM and, after a grace period, SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sys
import time

GRACE_S = 3.0


def alive(group: int) -> bool:
    """Whether any process of a group is left. One that is not ours to signal is not ours."""
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


def end(groups: set[int]) -> None:
    """Send SIGTERM to every group, SIGKILL to those that are there after the grace period."""
    deadline = time.monotonic() + GRACE_S
    for sent in (signal.SIGTERM, signal.SIGKILL):
        for group in groups:
            try:
                os.killpg(group, sent)
            except OSError:
                continue
        while any(map(alive, groups)) and time.monotonic() < deadline:
            time.sleep(0.02)


def main() -> None:
    """Follow the owner until its end of the pipe closes."""
    # A Ctrl-C in the terminal is the owner's to handle.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    end(groups)


if __name__ == "__main__":
    main()
