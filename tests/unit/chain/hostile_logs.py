"""Logs that a lying RPC might give, and what must come of them: a refusal, or a sound history.

They are what `eth_getLogs` answers, of a whole small life; `bafl.chain` reads them as it reads an
RPC's. `tests/fuzz/logs.py` lets libFuzzer choose the lies.
"""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode

from bafl.chain.abi import checksum, interface
from bafl.chain.calls import pack_scores
from bafl.chain.connection import Block
from bafl.chain.fold import History
from bafl.chain.logs import LogReader, decode
from bafl.errors import BaflError
from bafl.types import DAG_PB, PPM, RAW, Root

FEDERATION = checksum("0x" + "ab" * 20)
GENESIS = Root(b"\x01" * 32, RAW)
MOST_MEMORY = 1 << 21
"""Bytes that reading one answer may take: some dozen times what an answer of this length has."""

Log = dict[str, Any]


def who(number: int) -> str:
    return "0x" + f"{number:02x}" * 20


def lanes(*numbers: int) -> bytes:
    return pack_scores(numbers).ljust(32, b"\0")


def _life() -> list[tuple[str, dict[str, Any]]]:
    """Three validators join; a window makes a version, and another is void."""
    three = [who(1), who(2), who(3)]
    told: list[tuple[str, dict[str, Any]]] = [("FederationCreated", {"model": GENESIS.digest})]
    for seat, each in enumerate(three):
        joined = {"roles": 3, "stake": 10**18, "profile": bytes(32)}
        told += [("Joined", {"participant": each, **joined})]
        told += [("SeatTaken", {"participant": each, "seat": seat})]
    for index, each in enumerate(three[:2]):
        update = {"updateId": 16 + index, "participant": each, "rootCodec": DAG_PB, "encoding": 1}
        told += [("UpdateSubmitted", update)]
    told += [
        ("WindowSealed", {"window": 1, "updates": 2}),
        ("TurnBegan", {"window": 1, "tag": 9, "active": 7, "weights": [3, 2, 2]}),
    ]
    in_1 = [{"window": 1, "validator": each} for each in three]
    told += [("ScoresCommitted", each) for each in in_1]
    told += [("ScoresRevealed", each | {"scores": lanes(120, -50), "keep": 2}) for each in in_1]
    tally = {"keep": 2, "consensus": lanes(120, -50), "verdicts": lanes(4, 3)}
    tally |= {
        "shares": b"".join(share.to_bytes(3, "big") for share in (600_000, 400_000)),
        "agreement": [-(2**31)] * 3,
    }
    told += [("WindowTallied", {"window": 1, **tally})]
    told += [("ModelAttested", each | {"rootDigest": b"\x02" * 32}) for each in in_1]
    told += [("VersionFinalized", {"version": 1, "window": 1, "rootDigest": b"\x02" * 32})]
    end = {"trainers": [5, 6], "trainerReputations": b"\0\1\2" * 2}
    end |= {"validators": [1, 2, 3], "validatorReputations": b"\3\4\5" * 3}
    told += [("WindowSettled", {"window": 1, "isFinal": True, **end})]
    last = {"updateId": 32, "participant": who(3), "baseVersion": 1, "rootCodec": RAW}
    told += [
        ("UpdateSubmitted", last),
        ("WindowVoided", {"window": 2, "reason": 0}),
        ("Slashed", {"participant": who(2), "window": 1, "fault": 0, "amount": 10**16}),
        ("Jailed", {"participant": who(2), "role": 2, "until": 2**33}),
        ("Claimed", {"participant": who(1), "amount": 6}),
        ("Withdrawn", {"participant": who(3), "amount": 10**18}),
        ("Closed", {}),
    ]
    return told


def _nothing(parameter: Any) -> Any:
    """The value of a parameter that the story does not tell."""
    kind = parameter["type"]
    if kind == "tuple":
        return tuple(map(_nothing, parameter["components"]))
    if kind.endswith("[]"):
        return []
    return {"address": who(9), "bytes32": bytes(32), "bytes": b"", "bool": False}.get(kind, 0)


def _type(parameter: Any) -> str:
    if parameter["type"] == "tuple":
        return f"({','.join(map(_type, parameter['components']))})"
    return str(parameter["type"])


def log_of(name: str, told: dict[str, Any], block: int) -> Log:
    """An event as an RPC gives it; what is not told is zero."""
    abi = interface("Federation")
    topic = abi.topic(name)
    topics, kinds, values = [topic], [], []
    for parameter in abi.events[topic]["inputs"]:
        value = told.get(parameter["name"], _nothing(parameter))
        if parameter["indexed"]:
            topics.append(encode([parameter["type"]], [value]))
        else:
            kinds.append(_type(parameter))
            values.append(value)
    return {
        "address": FEDERATION,
        "blockNumber": hex(block),
        "blockHash": "0x" + f"{block:064x}",
        "logIndex": "0x0",
        "transactionHash": "0x" + f"{block:064x}",
        "topics": ["0x" + each.hex() for each in topics],
        "data": "0x" + encode(kinds, values).hex(),
        "removed": False,
    }


LIFE = tuple(log_of(name, told, block) for block, (name, told) in enumerate(_life(), start=1))


@dataclass
class Liar:
    """A connection whose answer to `eth_getLogs` is given."""

    answer: Any
    name: str = "http://liar"

    def request(self, method: str, params: list[Any]) -> Any:
        assert method == "eth_getLogs"
        return self.answer

    def block(self, number: int) -> Block:
        return Block(number, number.to_bytes(32, "big"), bytes(32), 0, 1, 1)


def read(answer: Any) -> History:
    """What BAFL makes of an RPC's logs. Raises BaflError."""
    history = History(GENESIS)
    liar: Any = Liar(answer)
    for chunk in LogReader(liar, FEDERATION).read(1, len(LIFE)):
        for raw in chunk.logs:
            event = decode(interface("Federation"), raw)
            if event is not None:
                history.apply(event)
    return history


def judge(answer: Any) -> History | None:
    """Read logs; raise AssertionError unless they are refused, or make a history that is sound."""
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    refusal: BaflError | None = None
    history = None
    try:
        history = read(answer)
    except BaflError as error:
        refusal = error
    used = tracemalloc.get_traced_memory()[1] - before
    assert used <= MOST_MEMORY, f"{used} bytes of memory for {len(answer)} logs"
    if history is None:
        assert len(str(refusal)) < 2_000, "a refusal that repeats what a stranger wrote"
        return None
    check(history, len(answer))
    return history


def check(history: History, logs: int) -> None:
    """What holds of every history, whoever told it."""
    assert len(history.windows) <= logs
    assert len(history.versions) <= logs + 1
    assert history.versions[0].root == GENESIS
    assert [version.version for version in history.versions] == list(range(len(history.versions)))
    for window in history.windows:
        updates = history.updates(window)
        assert [update.id for update in updates] == [16 * window + i for i in range(len(updates))]
        tallied = history.tallied(window)
        if tallied is not None:
            assert len(tallied.verdicts) == len(tallied.shares_ppm) == len(updates)
            assert sum(tallied.shares_ppm) <= PPM
            assert len(tallied.agreement_ppm) == len(history.reveals(window))
        settled = history.settled(window)
        if settled is not None:
            assert len(settled.trainer_reputations) in (0, len(updates))
    for member in history.participants.values():
        assert member.stake_wei >= 0
    for version in history.versions[1:]:
        assert history.version_of(version.window) == version.version


# --- lies ---


def _entry(logs: list[Log], rng: random.Random) -> int:
    at = rng.randrange(len(logs))
    logs[at] = dict(logs[at])
    return at


def drop(logs: list[Log], rng: random.Random) -> None:
    del logs[rng.randrange(len(logs))]


def repeat(logs: list[Log], rng: random.Random) -> None:
    logs.insert(rng.randrange(len(logs) + 1), rng.choice(logs))


def tell_again(logs: list[Log], rng: random.Random) -> None:
    """Another log with the same contents: a block has room for many."""
    at = _entry(logs, rng)
    logs.insert(at + 1, logs[at] | {"logIndex": hex(int(logs[at]["logIndex"], 16) + 1)})


def swap(logs: list[Log], rng: random.Random) -> None:
    i, j = rng.randrange(len(logs)), rng.randrange(len(logs))
    logs[i], logs[j] = logs[j], logs[i]


def exchange(logs: list[Log], rng: random.Random) -> None:
    """Two events in each other's place: all numbers ascend, the story does not."""
    i, j = _entry(logs, rng), _entry(logs, rng)
    for key in ("topics", "data"):
        logs[i][key], logs[j][key] = logs[j][key], logs[i][key]


WORDS = (
    0,
    1,
    2,
    3,
    16,
    31,
    32,
    33,
    64,
    96,
    2**16,
    2**32,
    2**63,
    2**64,
    2**160 - 1,
    2**255,
    2**256 - 1,
)


def lie_in_a_word(logs: list[Log], rng: random.Random) -> None:
    """Pointers past the end, huge lengths, numbers past their type."""
    entry = logs[_entry(logs, rng)]
    text = entry["data"][2:]
    if not text:
        return
    at = 64 * rng.randrange(len(text) // 64 or 1)
    entry["data"] = f"0x{text[:at]}{rng.choice(WORDS):064x}{text[at + 64 :]}"


def lie_in_a_topic(logs: list[Log], rng: random.Random) -> None:
    entry = logs[_entry(logs, rng)]
    topics = list(entry["topics"])
    match rng.randrange(4):
        case 0:
            topics[rng.randrange(len(topics))] = f"0x{rng.choice(WORDS):064x}"
        case 1:
            topics.pop()
        case 2:
            topics.append(f"0x{rng.choice(WORDS):064x}")
        case _:
            topics[0] = rng.choice(LIFE)["topics"][0]
    entry["topics"] = topics


def cut(logs: list[Log], rng: random.Random) -> None:
    entry = logs[_entry(logs, rng)]
    entry["data"] = entry["data"][: rng.randrange(2, len(entry["data"]) + 1)]


def prolong(logs: list[Log], rng: random.Random) -> None:
    entry = logs[_entry(logs, rng)]
    entry["data"] += rng.randbytes(rng.choice((1, 32, 4096))).hex()


ODD: tuple[Any, ...] = (
    None,
    "",
    "0x",
    "0xzz",
    "0x0",
    "0x" + "f" * 64,
    "0x" + "00" * 20,
    -1,
    2**70,
    [],
    {},
    True,
)


def lie_in_a_field(logs: list[Log], rng: random.Random) -> None:
    entry = logs[_entry(logs, rng)]
    entry[rng.choice(sorted(entry))] = rng.choice(ODD)


def no_log(logs: list[Any], rng: random.Random) -> None:
    logs[rng.randrange(len(logs))] = rng.choice(ODD)


LIES: tuple[Callable[[list[Any], random.Random], None], ...] = (
    drop, repeat, tell_again, swap, exchange, lie_in_a_word, lie_in_a_word, lie_in_a_topic, cut,
    prolong, lie_in_a_field, no_log,
)  # fmt: skip


def hostile(rng: random.Random) -> list[Any]:
    """A life with a lie in it, or a few."""
    logs: list[Any] = list(LIFE)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if logs and all(isinstance(each, dict) for each in logs):
            try:
                rng.choice(LIES)(logs, rng)
            except (TypeError, KeyError, ValueError, IndexError):
                break  # nothing left there to lie about
    return logs
