"""Transactions: simulate, sign, and (apart, so that a journal fits between) send and follow."""

from __future__ import annotations

import logging
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from bafl.chain.abi import checksum
from bafl.chain.connection import quantity, unaddress, unhex
from bafl.chain.errors import (
    FeesTooHigh,
    InsufficientFunds,
    NonceTaken,
    RpcError,
    decode_revert,
)
from bafl.chain.fees import GWEI, RAISE_LIMIT, gas_of, suggested
from bafl.errors import ChainError, ContractRefusal, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from eth_account.signers.local import LocalAccount

    from bafl.chain.calls import Call, Creation
    from bafl.chain.connection import Connection

log = logging.getLogger(__name__)

RECEIPT_LAG_S = 3.0

_KNOWN = re.compile(
    r"already known|already imported|known transaction|already exists", re.IGNORECASE
)
_TAKEN = re.compile(
    r"nonce.{0,20}too low|nonce.{0,40}(used|expected)|old nonce|oldnonce", re.IGNORECASE
)
_POOR = re.compile(r"insufficient (funds|balance)|insufficientfunds|enough funds", re.IGNORECASE)
_CHEAP = re.compile(
    r"underpriced|less than block base fee|fee too low|max ?fee ?per ?gas|gas price below minimum",
    re.IGNORECASE,
)
_EARLY = re.compile(r"nonce.{0,20}too high", re.IGNORECASE)
"""Some clients keep nothing that has to wait for an earlier nonce."""


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """All that must survive a crash to send, follow and replace a transaction.

    hash: 32 bytes. name: of the contract's function. max_fee_wei: the most it can cost, value
    included.
    """

    raw: bytes
    hash: bytes
    nonce: int
    name: str
    max_fee_wei: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction in a block. contract: the address it created, if any."""

    hash: bytes
    block: int
    block_hash: bytes
    ok: bool
    gas_used: int
    gas_price_wei: int
    contract: str | None

    @property
    def fee_wei(self) -> int:
        """What it cost, without the value sent."""
        return self.gas_used * self.gas_price_wei


class Sender:
    """One account's transactions; thread-safe.

    contract: where calls without an address of their own go. fee_limit_wei: the most per gas that
    is ever offered, whatever the RPC suggests. stuck_after_s: how long a transaction may wait
    before it is replaced at a higher fee.
    """

    def __init__(
        self,
        connection: Connection,
        account: LocalAccount,
        contract: str | None = None,
        *,
        fee_limit_wei: int = 200 * GWEI,
        stuck_after_s: float = 60.0,
    ) -> None:
        self.connection = connection
        self.account = account
        self.address: str = checksum(account.address)
        self.contract = contract
        self.fee_limit_wei = fee_limit_wei
        self.stuck_after_s = stuck_after_s
        self._lock = threading.Lock()
        self._signed: dict[int, bytes] = {}
        self._floor = 0

    # --- signing ---

    def sign(self, call: Call | Creation, nonce: int | None = None) -> SignedTransaction:
        """Simulate a call at the pending block and sign it, with the next free nonce.

        Raises ContractRefusal where it would revert now, InsufficientFunds, FeesTooHigh, or
        ChainError; then no nonce is taken. A transaction that is signed and never sent blocks
        the ones after it: `forget` it.
        """
        data = call.data()
        to = self._to(call)
        block = self.connection.latest()
        max_fee, tip = suggested(self.connection, block, self.fee_limit_wei)
        balance = self.connection.balance(self.address)
        if balance <= call.value_wei:
            needed = call.value_wei + max_fee * 100_000
            raise InsufficientFunds(self.address, balance, needed, call.name)
        least, most = gas_of(self.connection, call, to, self.address, block)
        if balance < call.value_wei + least * max_fee:
            cost = call.value_wei + least * max_fee
            raise InsufficientFunds(self.address, balance, cost, call.name)
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self.connection.chain_id,
            "data": data,
            "value": call.value_wei,
            # Headroom that the account cannot pay for is left out rather than asked for.
            "gas": min(most, (balance - call.value_wei) // max_fee),
            "maxFeePerGas": max_fee,
            "maxPriorityFeePerGas": tip,
        }
        if to is not None:
            fields["to"] = to
        with self._lock:
            fields["nonce"] = self._free_nonce() if nonce is None else nonce
            signed = self._signed_transaction(fields, call.name)
            self._signed[signed.nonce] = signed.hash
        return signed

    def restore(self, raw: bytes, name: str = "an earlier transaction") -> SignedTransaction:
        """A transaction of an earlier run, from the journal; its nonce is taken from now on.

        Raises UsageError if the bytes are none, or of another chain or account.
        """
        fields = self._fields(raw, name)
        signer = Account.recover_transaction(HexBytes(raw))
        if checksum(signer) != self.address:
            raise UsageError(f"{name} was signed by {signer}, not by {self.address}")
        cost = int(fields["value"]) + int(fields["gas"]) * int(fields["maxFeePerGas"])
        signed = SignedTransaction(raw, keccak(raw), int(fields["nonce"]), name, cost)
        with self._lock:
            self._signed[signed.nonce] = signed.hash
        return signed

    def forget(self, signed: SignedTransaction) -> None:
        """Free the nonce of a transaction that was signed and will never be sent."""
        with self._lock:
            if self._signed.get(signed.nonce) == signed.hash:
                del self._signed[signed.nonce]

    def replace(self, signed: SignedTransaction) -> SignedTransaction:
        """The same transaction at a fee that takes its place: an eighth more, or today's if higher.

        Raises FeesTooHigh when that is above the limit.
        """
        fields = self._fields(signed.raw, signed.name)
        old_fee, old_tip = int(fields["maxFeePerGas"]), int(fields["maxPriorityFeePerGas"])
        latest = self.connection.latest()
        now_fee, now_tip = suggested(self.connection, latest, self.fee_limit_wei)
        fee, tip = max(now_fee, old_fee * 9 // 8 + 1), max(now_tip, old_tip * 9 // 8 + 1)
        if fee > self.fee_limit_wei:
            raise FeesTooHigh(
                f"replacing {signed.name} takes {fee / GWEI:.2f} gwei per gas, above the limit of "
                f"{self.fee_limit_wei / GWEI:.2f}: wait, or {RAISE_LIMIT}"
            )
        new = {
            "type": 2,
            "chainId": fields["chainId"],
            "nonce": fields["nonce"],
            "data": bytes(fields["data"]),
            "value": fields["value"],
            "gas": fields["gas"],
            "maxFeePerGas": max(fee, tip),
            "maxPriorityFeePerGas": tip,
        }
        if fields.get("to"):
            new["to"] = checksum(bytes(fields["to"]))
        replaced = self._signed_transaction(new, signed.name)
        with self._lock:
            self._signed[replaced.nonce] = replaced.hash
        return replaced

    # --- sending and following ---

    def broadcast(self, signed: SignedTransaction) -> None:
        """Hand a signed transaction to the network; again as often as one likes.

        One whose fee is too low now is no error: `wait` replaces it. Nor is one that comes before
        an earlier nonce: `wait` sends it again.
        Raises NonceTaken when another transaction is in its place, InsufficientFunds, ChainError.
        """
        with self._lock:
            self._signed.setdefault(signed.nonce, signed.hash)
        try:
            raw = self.connection.request("eth_sendRawTransaction", ["0x" + signed.raw.hex()])
        except RpcError as error:
            self._not_taken(signed, error)
            return
        if unhex(raw, "eth_sendRawTransaction's answer", 32) != signed.hash:
            raise ChainError(f"{self.connection.name} answers {signed.name} with another hash")

    def _not_taken(self, signed: SignedTransaction, error: RpcError) -> None:
        if _KNOWN.search(error.message):
            return
        if _CHEAP.search(error.message) or _EARLY.search(error.message):
            log.info("%s is not taken yet: %s", signed.name, error.message)
            return
        if _TAKEN.search(error.message):
            # Its own earlier sending may have been mined; the receipt comes a little later.
            if self.receipt(signed.hash, RECEIPT_LAG_S) is not None:
                return
            raise NonceTaken(
                f"{signed.name}: nonce {signed.nonce} of {self.address} was used by another "
                "transaction; is the same key in use elsewhere?"
            ) from error
        if _POOR.search(error.message):
            balance = self.connection.balance(self.address)
            raise InsufficientFunds(
                self.address, balance, max(signed.max_fee_wei, balance + 1), signed.name
            ) from error
        raise error

    def receipt(self, hash_: bytes, timeout_s: float = 0.0) -> Receipt | None:
        """A transaction's receipt; None if it is in no block within `timeout_s`."""
        ends = time.monotonic() + timeout_s
        pause = 0.02
        while True:
            raw = self.connection.request("eth_getTransactionReceipt", ["0x" + hash_.hex()])
            if raw is not None:
                return _receipt(raw, hash_)
            left = ends - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(pause, left))
            pause = min(1.5 * pause, 2.0)

    def wait(
        self,
        signed: SignedTransaction,
        *,
        deadline_s: float,
        confirmations: int = 0,
        on_replace: Callable[[SignedTransaction], object] | None = None,
    ) -> Receipt:
        """Follow a transaction that was sent until it is `confirmations` blocks deep.

        It is sent again when forgotten, and replaced when stuck; `on_replace` gets each replacement
        before it is sent (journal it there). deadline_s: seconds since 1970.
        Raises NotMined at the deadline, NonceTaken, or, when it reverted, its reason as a
        ContractRefusal.
        """
        from bafl.chain.follow import follow

        return follow(self, signed, deadline_s, confirmations, on_replace)

    def send(self, call: Call | Creation, timeout_s: float = 120.0) -> Receipt:
        """Sign, broadcast and wait: for where no journal is kept."""
        signed = self.sign(call)
        try:
            self.broadcast(signed)
        except (RpcError, InsufficientFunds):
            self.forget(signed)
            raise
        return self.wait(signed, deadline_s=time.time() + timeout_s)

    def includable(self, signed: SignedTransaction) -> bool:
        """Whether the newest block's base fee is within what a transaction offers."""
        fields = self._fields(signed.raw, signed.name)
        return int(fields["maxFeePerGas"]) > self.connection.latest().base_fee_wei

    def mined(self, nonce: int) -> None:
        """Note that a nonce is used for good; called by whoever saw the receipt."""
        with self._lock:
            self._floor = max(self._floor, nonce + 1)

    def gap(self, signed: SignedTransaction) -> bool:
        """Whether a transaction waits for an earlier nonce that nothing fills any more.

        A reorg may take a transaction for good. Nonces then count from the chain's again.
        """
        waiting = self.connection.nonce(self.address, "pending")
        if waiting >= signed.nonce:
            return False
        with self._lock:
            self._floor = 0
            self._signed = {n: hash_ for n, hash_ in self._signed.items() if n < waiting}
        return True

    def reason(self, signed: SignedTransaction, receipt: Receipt) -> ContractRefusal:
        """Why a mined transaction reverted, by replaying it on the state around its block."""
        fields = self._fields(signed.raw, signed.name)
        to = checksum(bytes(fields["to"])) if fields.get("to") else None
        gas = int(fields["gas"])
        for block in (receipt.block - 1, receipt.block):
            try:
                self.connection.call(
                    to,
                    bytes(fields["data"]),
                    block=block,
                    sender=self.address,
                    value_wei=int(fields["value"]),
                    gas=gas,
                )
            except ContractRefusal as refusal:
                if refusal.name:
                    return refusal
            except ChainError as error:
                log.info("%s: cannot replay at block %d: %s", signed.name, block, error)
        if receipt.gas_used >= gas * 63 // 64:
            return decode_revert(None, f"{signed.name} ran out of gas ({gas})")
        return decode_revert(None, f"{signed.name} reverted in block {receipt.block}")

    # --- parts ---

    def _to(self, call: Call | Creation) -> str | None:
        from bafl.chain.calls import Creation

        if isinstance(call, Creation):
            return None
        to = call.to or self.contract
        if to is None:
            raise UsageError(f"{call.name}: neither the call nor the sender names a contract")
        return to

    def _free_nonce(self) -> int:
        used = self.connection.nonce(self.address, "latest")
        waiting = self.connection.nonce(self.address, "pending")
        for nonce in [n for n in self._signed if n < used]:
            del self._signed[nonce]
        nonce = max(used, waiting, self._floor)
        while nonce in self._signed:
            nonce += 1
        return nonce

    def _signed_transaction(self, fields: dict[str, Any], name: str) -> SignedTransaction:
        signed = self.account.sign_transaction(fields)
        return SignedTransaction(
            raw=bytes(signed.raw_transaction),
            hash=bytes(signed.hash),
            nonce=int(fields["nonce"]),
            name=name,
            max_fee_wei=int(fields["value"]) + int(fields["gas"]) * int(fields["maxFeePerGas"]),
        )

    def _fields(self, raw: bytes, name: str) -> dict[str, Any]:
        try:
            fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        except Exception as error:
            raise UsageError(f"{name}: its bytes are no transaction: {error}") from error
        if int(fields["chainId"]) != self.connection.chain_id:
            raise UsageError(
                f"{name} was signed for chain {fields['chainId']}, not {self.connection.chain_id}"
            )
        return fields


def _receipt(raw: Any, hash_: bytes) -> Receipt:
    if not isinstance(raw, dict) or unhex(raw.get("transactionHash"), "receipt", 32) != hash_:
        raise ChainError("the RPC gave the receipt of another transaction")
    created = raw.get("contractAddress")
    return Receipt(
        hash=hash_,
        block=quantity(raw.get("blockNumber"), "receipt.blockNumber", 48),
        block_hash=unhex(raw.get("blockHash"), "receipt.blockHash", 32),
        ok=quantity(raw.get("status"), "receipt.status", 1) == 1,
        gas_used=quantity(raw.get("gasUsed"), "receipt.gasUsed", 64),
        gas_price_wei=quantity(raw.get("effectiveGasPrice"), "receipt.effectiveGasPrice", 128),
        contract=None if created is None else unaddress(created, "receipt.contractAddress"),
    )
