"""Waiting is patient, capped and visible; nothing else is retried."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from bafl.retry import retry


class Later(Exception):
    pass


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def failing(times: int) -> Callable[[], int]:
    left = iter(range(times))

    def operation() -> int:
        if next(left, None) is not None:
            raise Later("not yet")
        return 42

    return operation


def run(operation: Callable[[], int], clock: Clock, patience_s: float = 100.0) -> int:
    return retry(
        operation,
        on=Later,
        patience_s=patience_s,
        what="the test",
        sleep=clock.sleep,
        clock=clock,
    )


def test_what_works_is_done_once() -> None:
    clock = Clock()
    assert run(failing(0), clock) == 42
    assert clock.pauses == []


def test_pauses_double_up_to_the_cap() -> None:
    clock = Clock()
    assert run(failing(10), clock) == 42
    assert clock.pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 8.0, 8.0, 8.0]


def test_patience_ends_with_the_last_error_and_not_before() -> None:
    clock = Clock()
    with pytest.raises(Later):
        run(failing(10**6), clock, patience_s=20)
    assert clock.now == pytest.approx(120)


def test_no_patience_means_one_try() -> None:
    clock = Clock()
    with pytest.raises(Later):
        run(failing(1), clock, patience_s=0)
    assert clock.pauses == []


def test_other_errors_pass_through_at_once() -> None:
    def wrong() -> int:
        raise ValueError

    clock = Clock()
    with pytest.raises(ValueError):  # noqa: PT011 - any
        run(wrong, clock)
    assert clock.pauses == []


def test_each_wait_is_told_and_can_be_ended() -> None:
    clock, told = Clock(), list[float]()

    def tell(error: Exception, seconds: float) -> None:
        told.append(seconds)
        if len(told) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retry(
            failing(9),
            on=Later,
            patience_s=99,
            what="it",
            on_wait=tell,
            sleep=clock.sleep,
            clock=clock,
        )
    assert told == [0.1, 0.2, 0.4]


def test_a_long_wait_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    clock = Clock()
    run(failing(40), clock, patience_s=1000)
    waited = clock.now - 100
    lines = [record.message for record in caplog.records]
    assert "the test: not yet" in lines[0]
    assert "works again" in lines[-1]
    assert len(lines) == pytest.approx(2 + waited / 60, abs=1)
