"""Transactions of no contract, for looking at how a client takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bafl.chain.calls import Call
from bafl.chain.sender import Sender, SignedTransaction

STRANGER = "0x000000000000000000000000000000000000dEaD"


@dataclass(frozen=True, slots=True)
class Gift:
    """Money for a stranger: a call of no contract, which `Call` cannot name."""

    value_wei: int = 1
    name: str = "gift"
    to: str = STRANGER

    def data(self) -> bytes:
        return b""


def gift(wei: int = 1) -> Call:
    given: Any = Gift(wei)
    return given  # type: ignore[no-any-return]


def offering(sender: Sender, fee_wei: int, tip_wei: int = 1) -> SignedTransaction:
    """A gift with fees of one's own choice, as if it had been signed at another time."""
    fields: dict[str, Any] = {
        "type": 2,
        "chainId": sender.connection.chain_id,
        "nonce": sender.connection.nonce(sender.address),
        "to": STRANGER,
        "value": 1,
        "gas": 21_000,
        "maxFeePerGas": fee_wei,
        "maxPriorityFeePerGas": tip_wei,
        "data": b"",
    }
    signed = sender.account.sign_transaction(fields)
    return sender.restore(bytes(signed.raw_transaction), "gift")
