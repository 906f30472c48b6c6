"""Following a sent transaction: sent again when forgotten, replaced when stuck."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from bafl.chain.errors import FeesTooHigh, NonceTaken, NotMined, RpcError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bafl.chain.sender import Receipt, Sender, SignedTransaction

log = logging.getLogger(__name__)

FIRST_POLL_S = 0.02
SLOWEST_POLL_S = 2.0
CHECK_EVERY_S = 5.0
"""A reorg or a full pool may drop a transaction or one before it, and a deadline is near."""

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
    moved = checked = time.monotonic()
    pause = FIRST_POLL_S
    taken = 0
    again = True
    first = True
    while True:
        attempt, receipt = _mined(sender, attempts)
        if receipt is not None:
            taken = 0
            if not confirmations or _deep(sender, receipt, confirmations):
                sender.mined(attempt.nonce)
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
        elif first and not sender.includable(signed):
            # From an earlier run, perhaps: fees have risen since, so waiting is in vain.
            _offer_more(sender, attempts, on_replace)
        elif time.monotonic() - moved >= sender.stuck_after_s:
            _refuse_gap(sender, signed)
            if again and sender.includable(attempts[-1]):
                # Dropped by a reorg or a full pool, perhaps: the same again costs nothing.
                _broadcast(sender, attempts[-1])
            else:
                _offer_more(sender, attempts, on_replace)
            again = not again
            moved = checked = time.monotonic()
            pause = FIRST_POLL_S
        elif time.monotonic() - checked >= CHECK_EVERY_S:
            _refuse_gap(sender, signed)
            if sender.connection.nonce(sender.address, "pending") <= signed.nonce:
                log.info("%s (nonce %d) waits nowhere: sending it again", signed.name, signed.nonce)
                _broadcast(sender, attempts[-1])
                pause = FIRST_POLL_S
            checked = time.monotonic()
        first = False
        left = ends - time.monotonic()
        if left <= 0:
            raise NotMined(
                f"{signed.name} (0x{attempts[-1].hash.hex()}) is not confirmed after "
                f"{timeout_s:.0f} s; it may still be: look again before sending another"
            )
        time.sleep(min(pause, left))
        pause = min(1.5 * pause, SLOWEST_POLL_S)


def _refuse_gap(sender: Sender, signed: SignedTransaction) -> None:
    if sender.gap(signed):
        raise NonceTaken(
            f"{signed.name} cannot be mined: it waits for a nonce below {signed.nonce} of "
            f"{sender.address} that a reorg took; sign it anew"
        )


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


def _offer_more(
    sender: Sender,
    attempts: list[SignedTransaction],
    on_replace: Callable[[SignedTransaction], object] | None,
) -> None:
    try:
        newer = sender.replace(attempts[-1])
    except FeesTooHigh as error:
        log.warning("%s", error)
        _broadcast(sender, attempts[-1])
        return
    log.warning(
        "%s (nonce %d) is stuck: offering up to %.6f ether in all",
        newer.name,
        newer.nonce,
        newer.max_fee_wei / 10**18,
    )
    if on_replace is not None:
        on_replace(newer)
    attempts.append(newer)
    _broadcast(sender, newer)


def _broadcast(sender: Sender, signed: SignedTransaction) -> None:
    try:
        sender.broadcast(signed)
    except (NonceTaken, RpcError) as error:
        # An earlier attempt was mined meanwhile, or waits beside it: the next look will tell.
        log.info("%s: %s", signed.name, error)
