"""A real mempool: fees that rise while a transaction waits, and what takes another's place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bafl.chain.connection import Connection
from bafl.chain.errors import FeesTooHigh, RpcError
from bafl.chain.fees import GWEI, MAX_TRANSACTION_GAS
from bafl.chain.sender import Sender, SignedTransaction
from bafl.devnet import Geth, wait_until
from tests.e2e.clients import gift, offering

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

FOREVER = "0x5b600056"
"""Code that loops until its gas is used up."""


@pytest.fixture
def crowded(geth_binary: Path, tmp_path: Path) -> Iterator[Geth]:
    """A chain with a block each second, which one transaction of all its gas fills."""
    with Geth(
        block_time_s=1, gas_limit=MAX_TRANSACTION_GAS, accounts=1, log=tmp_path / "geth.log"
    ) as chain:
        yield chain


@pytest.fixture
def sender(crowded: Geth, new_account: Callable[..., LocalAccount]) -> Iterator[Sender]:
    with Connection(crowded.url) as connection:
        yield Sender(connection, new_account(10, chain=crowded), stuck_after_s=1.0)


def crowd(chain: Geth, blocks: int) -> None:
    """Fill the next blocks with what tips more than anybody: an eighth on the base fee for each."""
    (developer,) = chain.rpc("eth_accounts")
    for _ in range(blocks):
        chain.rpc(
            "eth_sendTransaction",
            {
                "from": developer,
                "data": FOREVER,
                "gas": hex(MAX_TRANSACTION_GAS),
                "maxFeePerGas": hex(40 * GWEI),
                "maxPriorityFeePerGas": hex(10 * GWEI),
            },
        )


def offered(sender: Sender, signed: SignedTransaction) -> tuple[int, int, bool]:
    """A transaction's fee and tip, and whether it waits, as geth has it."""
    raw: Any = sender.connection.request("eth_getTransactionByHash", ["0x" + signed.hash.hex()])
    assert raw is not None, "geth does not have it"
    fee, tip = int(raw["maxFeePerGas"], 16), int(raw["maxPriorityFeePerGas"], 16)
    return fee, tip, raw["blockNumber"] is None


def soon() -> float:
    return time.time() + 60


def test_a_transaction_is_replaced_when_fees_rise_while_it_waits(
    crowded: Geth, sender: Sender
) -> None:
    signed, newer = sender.sign(gift()), list[SignedTransaction]()
    crowd(crowded, 8)
    sender.broadcast(signed)
    fee, _, waits = offered(sender, signed)
    assert waits
    assert sender.includable(signed), "at first what it offers is enough"
    receipt = sender.wait(signed, deadline_s=soon(), on_replace=newer.append)

    assert receipt.ok
    assert receipt.hash in {each.hash for each in newer}
    block = sender.connection.block(receipt.block)
    assert block is not None
    assert block.base_fee_wei > fee, "it could not have been mined as it was"
    assert all(sender.receipt(e.hash) is None for e in (signed, *newer) if e.hash != receipt.hash)
    assert sender.connection.nonce(sender.address) == 1
    assert crowded.rpc("txpool_status") == {"pending": "0x0", "queued": "0x0"}


def test_what_offers_a_little_more_takes_no_place_and_our_replacement_does(sender: Sender) -> None:
    """A pool takes a replacement at a tenth more, in the fee and in the tip, and no less."""
    fee, tip = 10_000, 1_000
    waiting = offering(sender, fee, tip)
    sender.broadcast(waiting)
    for little in (offering(sender, fee * 109 // 100, 2 * tip), offering(sender, 2 * fee, tip)):
        with pytest.raises(RpcError, match="replacement transaction underpriced"):
            sender.connection.request("eth_sendRawTransaction", ["0x" + little.raw.hex()])
        sender.broadcast(little)  # for a sender no error: what waits is replaced when it is stuck
    assert offered(sender, waiting) == (fee, tip, True)

    ours = sender.replace(waiting)
    sender.broadcast(ours)
    assert sender.receipt(ours.hash, timeout_s=10) is not None
    assert sender.receipt(waiting.hash) is None


def test_above_its_limit_a_transaction_waits_until_fees_fall(crowded: Geth, sender: Sender) -> None:
    base = sender.connection.latest().base_fee_wei
    signed = offering(sender, base * 6 // 5)
    sender.fee_limit_wei = base * 6 // 5
    crowd(crowded, 4)
    sender.broadcast(signed)
    wait_until(lambda: not sender.includable(signed), "fees to rise")
    with pytest.raises(FeesTooHigh):
        sender.replace(signed)
    assert sender.wait(signed, deadline_s=soon()).hash == signed.hash
