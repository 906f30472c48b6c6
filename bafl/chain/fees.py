"""What a transaction offers: fees by today's base fee, gas by a simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bafl.chain.connection import quantity
from bafl.chain.errors import FeesTooHigh, RpcError
from bafl.errors import ChainError, ContractRefusal

if TYPE_CHECKING:
    from bafl.chain.calls import Call, Creation
    from bafl.chain.connection import Block, Connection

GWEI = 10**9

RAISE_LIMIT = "raise `fee_limit` under [run] in the node file (--config)"

MAX_TRANSACTION_GAS = 2**24
"""EIP-7825: no transaction takes more, on mainnet and on what follows it."""

GAS_HEADROOM = {
    "submitUpdate": 1_500_000,
    "seal": 1_500_000,
    "commitScores": 150_000,
    "revealScores": 250_000,
    "tally": 2_000_000,
    "attestModel": 2_000_000,
    "settle": 2_000_000,
    "discard": 2_000_000,
}
"""Gas beyond the estimate: between it and the block, other transactions can make this one the
last of its phase, which then also begins the next. What is not used is not paid."""


def suggested(connection: Connection, block: Block, limit_wei: int) -> tuple[int, int]:
    """The fee and the tip to offer per gas: room for the base fee to double.

    Raises FeesTooHigh where even the present base fee and the tip are above `limit_wei`: the RPC
    names the tip, and could name all that an account has.
    """
    try:
        raw = connection.request("eth_maxPriorityFeePerGas", [])
        tip = quantity(raw, "eth_maxPriorityFeePerGas's answer")
    except RpcError:
        tip = GWEI
    if block.base_fee_wei + tip > limit_wei:
        raise FeesTooHigh(
            f"{connection.name} asks for {(block.base_fee_wei + tip) / GWEI:.2f} gwei per gas, "
            f"above the limit of {limit_wei / GWEI:.2f}: wait, or {RAISE_LIMIT}"
        )
    return min(2 * block.base_fee_wei + tip, limit_wei), tip


def gas_of(
    connection: Connection, call: Call | Creation, to: str | None, sender: str, block: Block
) -> tuple[int, int]:
    """Gas that a call takes as things are, and what it is best given.

    Raises ContractRefusal where it would revert, ChainError where no transaction may take so much.
    """
    data, value = call.data(), call.value_wei
    # At the pending block: its time is now, where the latest block's may be long ago.
    for at in ("pending", "latest"):
        try:
            used = connection.estimate_gas(to, data, sender=sender, value_wei=value, block=at)
            break
        except ContractRefusal as refusal:
            if refusal.name:
                raise
            # Some nodes drop the reason from an estimate but not from a call.
            connection.call(to, data, sender=sender, value_wei=value, block=at)
            raise
        except RpcError:
            if at == "latest":
                raise
    most = min(block.gas_limit, MAX_TRANSACTION_GAS)
    if used > most:
        raise ChainError(f"{call.name} takes {used:,} gas; a transaction may take {most:,}")
    least = min(used + used // 4, most)
    return least, min(least + GAS_HEADROOM.get(call.name, 0), most)
