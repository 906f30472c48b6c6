"""The contract's log: in ranges that fit the RPC, anchored to blocks, decoded and in order."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from eth_abi.abi import decode as abi_decode
from eth_abi.exceptions import DecodingError

from bafl.chain.abi import checksum, decode_values
from bafl.chain.connection import quantity, unaddress, unhex
from bafl.chain.errors import Inconsistent, RpcError
from bafl.errors import ChainError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bafl.chain.abi import Interface
    from bafl.chain.connection import Block, Connection

log = logging.getLogger(__name__)

FIRST_RANGE = 4_096
WIDEST_RANGE = 1 << 20
FORGET_LIMIT_AFTER = 32
"""Answers after which a wider range is tried again: a limit may have been on a crowded stretch."""

NO_SMALLER = frozenset({-32601, 401, 403, 404})
"""Errors that a smaller range does not mend: no such method, no leave."""


@dataclass(frozen=True, slots=True)
class RawLog:
    """A log as the chain has it; `decode` reads it."""

    block: int
    block_hash: bytes
    index: int
    transaction: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded log. arguments: by name; addresses checksummed, bytes as bytes."""

    name: str
    arguments: Mapping[str, Any]
    block: int
    index: int
    transaction: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """The logs up to and including block `end`, all of the chain that has this block."""

    logs: tuple[RawLog, ...]
    end: Block


class LogReader:
    """Reads one contract's logs.

    The range of blocks asked for at once halves when the RPC refuses or is too slow, and doubles
    again up to what it was seen to allow.
    """

    def __init__(self, connection: Connection, address: str) -> None:
        self.connection = connection
        self.address = address
        self.range = FIRST_RANGE
        self._limit = WIDEST_RANGE
        self._answers = 0

    def read(self, first: int, last: int) -> Iterator[Chunk]:
        """All logs from block `first` to `last`, in chunks that end where a range does.

        Raises Inconsistent when a reorg came in between, ChainError for logs that are malformed,
        out of order or another contract's, or when the RPC refuses even a single block.
        """
        while first <= last:
            end = min(last, first + self.range - 1)
            anchor = self._anchor(end)
            logs = self._logs(first, end)
            if logs is None:
                continue
            # A block's hash fixes all blocks before it: the same hash after the reading as before
            # means that every log is of this one chain.
            if self._anchor(end).hash != anchor.hash:
                raise Inconsistent(f"a reorg replaced block {end} during the reading of its logs")
            yield Chunk(self._checked(logs, first, end), anchor)
            first = end + 1

    def _anchor(self, number: int) -> Block:
        block = self.connection.block(number)
        if block is None:
            raise Inconsistent(
                f"{self.connection.name} knew block {number} and does not any more: a reorg, or "
                "several machines behind one URL of which one lags"
            )
        return block

    def _logs(self, first: int, last: int) -> list[Any] | None:
        """The raw logs; None when the range was refused and is now smaller."""
        query = {"address": self.address, "fromBlock": hex(first), "toBlock": hex(last)}
        try:
            logs = self.connection.request("eth_getLogs", [query])
        except RpcError as error:
            if last == first or error.code in NO_SMALLER:
                raise
            self._limit = last - first + 1
            self._answers = 0
            self.range = max(1, self._limit // 2)
            log.info("%s; asking for the logs of %d blocks at once", error, self.range)
            return None
        if not isinstance(logs, list):
            raise ChainError(f"{self.connection.name}: eth_getLogs gave no list")
        self._answers += 1
        if self._answers >= FORGET_LIMIT_AFTER:
            self._limit, self._answers = WIDEST_RANGE, 0
        if last - first + 1 == self.range and 2 * self.range < self._limit:
            self.range *= 2
        return logs

    def _checked(self, logs: list[Any], first: int, last: int) -> tuple[RawLog, ...]:
        checked: list[RawLog] = []
        for entry in logs:
            if isinstance(entry, dict) and entry.get("removed") is True:
                continue
            found = _raw_log(entry)
            if unaddress(entry.get("address"), "log.address") != self.address:
                raise ChainError(f"{self.connection.name} gave a log of another contract")
            if not first <= found.block <= last:
                raise ChainError(f"a log of block {found.block}, not of {first} to {last}")
            if checked:
                before = checked[-1]
                if found == before:
                    continue
                if (found.block, found.index) <= (before.block, before.index):
                    raise Inconsistent(
                        f"{self.connection.name} gave log {found.index} of block {found.block} "
                        f"after log {before.index} of block {before.block}"
                    )
                if found.block == before.block and found.block_hash != before.block_hash:
                    raise Inconsistent(f"logs of two different blocks {found.block}")
            checked.append(found)
        return tuple(checked)


def decode(interface: Interface, raw: RawLog) -> Event | None:
    """A log as an event; None if the ABI does not know it. Raises ChainError if malformed."""
    entry = interface.events.get(raw.topics[0]) if raw.topics else None
    if entry is None:
        return None
    where = f"{entry['name']} in block {raw.block}"
    indexed = [p for p in entry["inputs"] if p["indexed"]]
    others = [p for p in entry["inputs"] if not p["indexed"]]
    if len(indexed) != len(raw.topics) - 1:
        raise ChainError(f"{where}: {len(raw.topics)} topics, not {len(indexed) + 1}")
    arguments: dict[str, Any] = {}
    for parameter, topic in zip(indexed, raw.topics[1:], strict=True):
        try:
            (arguments[parameter["name"]],) = abi_decode([parameter["type"]], topic)
        except (DecodingError, ValueError) as error:
            raise ChainError(f"{where}: {parameter['name']} is malformed: {error}") from error
    values = decode_values(where, others, raw.data)
    arguments |= {p["name"]: value for p, value in zip(others, values, strict=True)}
    for parameter in entry["inputs"]:
        name, kind = parameter["name"], parameter["type"]
        if kind == "address":
            arguments[name] = checksum(arguments[name])
        elif kind == "address[]":
            arguments[name] = tuple(map(checksum, arguments[name]))
    return Event(entry["name"], MappingProxyType(arguments), raw.block, raw.index, raw.transaction)


def _raw_log(entry: Any) -> RawLog:
    if not isinstance(entry, dict) or not isinstance(entry.get("topics"), list):
        raise ChainError("a log that is none")
    topics = entry["topics"]
    if len(topics) > 4:
        raise ChainError(f"a log with {len(topics)} topics")
    return RawLog(
        block=quantity(entry.get("blockNumber"), "log.blockNumber", 48),
        block_hash=unhex(entry.get("blockHash"), "log.blockHash", 32),
        index=quantity(entry.get("logIndex"), "log.logIndex", 32),
        transaction=unhex(entry.get("transactionHash"), "log.transactionHash", 32),
        topics=tuple(unhex(topic, "log.topics", 32) for topic in topics),
        data=unhex(entry.get("data"), "log.data"),
    )
