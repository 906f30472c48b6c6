"""Threads beside the loop: none waits for another, and none is waited for at the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from bafl.threads import in_thread


async def test_gives_what_the_work_gives() -> None:
    assert await in_thread(lambda: threading.current_thread().daemon)


async def test_raises_what_the_work_raises() -> None:
    def fail() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        await in_thread(fail)


async def test_any_number_that_hang_keep_no_other_waiting() -> None:
    free = threading.Event()
    hanging = [asyncio.create_task(in_thread(free.wait)) for _ in range(100)]
    assert await in_thread(lambda: 7) == 7
    free.set()
    assert all(await asyncio.gather(*hanging))


async def test_work_that_nobody_waits_for_any_more_ends_quietly() -> None:
    began, free, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        free.wait()
        ended.set()

    waiting = asyncio.create_task(in_thread(work))
    await in_thread(began.wait)
    waiting.cancel()
    free.set()
    assert await in_thread(ended.wait)
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_what_hangs_does_not_keep_the_process_from_ending() -> None:
    code = (
        "import asyncio, threading\n"
        "from bafl.threads import in_thread\n"
        "async def main():\n"
        "    asyncio.create_task(in_thread(threading.Event().wait))\n"
        "    await in_thread(lambda: None)\n"
        "    print('over')\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "over\n", "")
