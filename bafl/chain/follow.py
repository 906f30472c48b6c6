"""Following a sent transaction: sent again when forgotten, replaced when stuck."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from bafl.chain.errors import FeesTooHigh, NonceTaken, NotMined, RpcError, Underpriced

if TYPE_CHECKING:
    from collections.abc import Callable

    from bafl.chain.sender import Receipt, Sender, SignedTransaction

log = logging.getLogger(__name__)

FIRST_POLL_S = 0.02
SLOWEST_POLL_S = 2.0
TAKEN_AFTER_POLLS = 5
"""A receipt may lag behind the account's nonce, where several machines answer one URL."""


def follow(
    sender: Sender,
    signed: SignedTransaction,
    deadline_s: float,
    confirmations: int,
    on_replace: Callable[[SignedTransaction], object] | None,
) -> Receipt:
    """See `Sender.wait`."""
    attempts = [signed]
    timeout_s = deadline_s - time.time()
    ends = time.monotonic() + timeout_s
    moved = time.monotonic()
    pause = FIRST_POLL_S
    taken = 0
    while True:
        attempt, receipt = _mined(sender, attempts)
        if receipt is not None:
            taken = 0
            if not confirmations or _deep(sender, receipt, confirmations):
                sender.mined(receipt, attempt.nonce)
                if not receipt.ok:
                    raise sender.reason(attempt, receipt)
                return receipt
        elif sender.connection.nonce(sender.address) > signed.nonce:
            taken += 1
            if taken >= TAKEN_AFTER_POLLS:
                raise NonceTaken(
                    f"{signed.name}: another transaction of {sender.address} with nonce "
                    f"{signed.nonce} is in its place; is the same key in use elsewhere?"
                )
        elif time.monotonic() - moved >= sender.stuck_after_s:
            _move(sender, attempts, on_replace)
            moved = time.monotonic()
            pause = FIRST_POLL_S
        left = ends - time.monotonic()
        if left <= 0:
            raise NotMined(
                f"{signed.name} (0x{attempts[-1].hash.hex()}) is not confirmed after "
                f"{timeout_s:.0f} s; it may still be: look again before sending another"
            )
        time.sleep(min(pause, left))
        pause = min(1.5 * pause, SLOWEST_POLL_S)


def _mined(
    sender: Sender, attempts: list[SignedTransaction]
) -> tuple[SignedTransaction, Receipt | None]:
    for attempt in reversed(attempts):
        receipt = sender.receipt(attempt.hash)
        if receipt is not None:
            return attempt, receipt
    return attempts[-1], None


def _deep(sender: Sender, receipt: Receipt, confirmations: int) -> bool:
    return sender.connection.latest().number >= receipt.block + confirmations


def _move(
    sender: Sender,
    attempts: list[SignedTransaction],
    on_replace: Callable[[SignedTransaction], object] | None,
) -> None:
    """Offer more; where the limit forbids that, send the last one again."""
    try:
        newer = sender.replace(attempts[-1])
    except FeesTooHigh as error:
        log.warning("%s", error)
        newer = attempts[-1]
    else:
        log.warning(
            "%s (nonce %d) is stuck: offering up to %.6f ether in all",
            newer.name,
            newer.nonce,
            newer.max_fee_wei / 10**18,
        )
        if on_replace is not None:
            on_replace(newer)
        attempts.append(newer)
    try:
        sender.broadcast(newer)
    except (NonceTaken, Underpriced, RpcError) as error:
        # An earlier attempt was mined meanwhile, or waits beside it: the next look will tell.
        log.info("%s: %s", newer.name, error)
