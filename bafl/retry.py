"""The one retry helper: patient, capped, visible."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

log = logging.getLogger(__name__)

LOG_EVERY_S = 60.0


def retry(
    operation: Callable[[], T],
    *,
    on: type[Exception] | tuple[type[Exception], ...],
    patience_s: float,
    what: str,
    first_s: float = 0.1,
    cap_s: float = 8.0,
    on_wait: Callable[[Exception, float], object] | None = None,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Call `operation` until it returns; only for what may safely run twice.

    on: the exceptions worth another try; any other passes through at once.
    patience_s: seconds after the first failure in which new tries may begin; then the last
        exception is raised. 0 never retries.
    what: the thing waited for, for the log: a warning at the first failure, then one a minute,
        and one line when it worked again.
    first_s, cap_s: the first pause, doubled up to the cap.
    on_wait: called with the exception and the coming pause in seconds, before each pause; what it
        raises ends the retrying (a shutdown, say).
    """
    began: float | None = None
    logged = 0.0
    pause = first_s
    while True:
        try:
            result = operation()
        except on as error:
            now = clock()
            if began is None:
                began = now
            left = began + patience_s - now
            if left <= 0:
                raise
            if not logged or now - logged >= LOG_EVERY_S:
                log.warning("%s: %s; trying again for %.0f s", what, error, left)
                logged = now
            wait = min(pause, left)
            if on_wait is not None:
                on_wait(error, wait)
            sleep(wait)
            pause = min(2 * pause, cap_s)
        else:
            if began is not None:
                log.warning("%s: works again after %.1f s", what, clock() - began)
            return result
