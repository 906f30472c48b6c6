"""The faults, each by name: how it is brought about, and what a node has to say of it.

A fault ends before its function returns, and has then been seen to happen.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bafl.chain.abi import interface
from bafl.devnet import wait_until
from bafl.devnet.processes import NotReadyError, Supervised
from tests.e2e.federation.doom import MOMENTS
from tests.faults.cast import PATIENCE_S, Actor, Cast
from tests.unit.chain.proxy import Drop, Forward, Json, Raw, Rule, error, result

OUTAGE_S = 3.0
DEEPEST = 3
NOTICED_S = 8.0
"""How long nodes may take over noticing a reorg: they look for a lost transaction every 5 s."""

# What nodes say.
_LOST_LOGS = r"drops logs|has a gap|RPC's log (shows|has|lacks)"
_NO_ROOM = r"free some space"
_NO_DAEMON = r"no IPFS daemon answers .* start it"
_NOT_THERE = r"no peer gave it in time.*again"
_FALSE = r"again in .*was asked for, .* came|was asked for, .* came .*asking again"
_LIMITED = r"asking for the logs of \d+ blocks at once"
_NONSENSE = r"not with JSON-RPC.*trying again|has to wait \(again in"
_BUSY = r"429; trying again"
_BEHIND = r"the RPC is behind what it said before"
_REORG = r"a reorg.*(going back|reading)|waits nowhere: sending it"
_DROPPED = r"no answer from .*trying again"
_RUNS_ALREADY = r"another node is running with the journal .*stop it first"

Fault = Callable[[Cast, Actor, random.Random], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault. says: what the node's log must show; None where a node has nothing to notice.

    needs_kubo: whether it is about the daemon. to_all: whether any node may be the one to notice.
    """

    name: str
    bring: Fault
    says: str | None
    needs_kubo: bool = False
    to_all: bool = False


# --- kill ---


def _kill_at(moment: str) -> Fault:
    def bring(cast: Cast, actor: Actor, draw: random.Random) -> None:
        actor.order(f"die {moment}")
        try:
            wait_until(lambda: not actor.process.running, moment, seconds=PATIENCE_S)
        except NotReadyError:
            # Its turn for that did not come; then it dies wherever it stands.
            actor.process.kill()
        actor.start()

    return bring


# --- the RPC ---


@contextmanager
def _rule(actor: Actor, rule: Rule) -> Iterator[None]:
    actor.rpc.requests.clear()
    actor.rpc.rule = rule
    try:
        yield
    finally:
        actor.rpc.rule = None


def _until_said(pattern: str, rule: Callable[[Cast, random.Random], Rule]) -> Fault:
    """A rule that holds for a while, and until the node says what it makes of it."""

    def bring(cast: Cast, actor: Actor, draw: random.Random) -> None:
        since = len(actor.log.lines)
        with _rule(actor, rule(cast, draw)):
            time.sleep(OUTAGE_S * draw.uniform(0.5, 1.0))
            actor.hears(pattern, since)

    return bring


def _stop_rpc(cast: Cast, actor: Actor, draw: random.Random) -> None:
    actor.rpc.stop()
    time.sleep(OUTAGE_S * draw.uniform(0.3, 1.0))
    actor.rpc.restart()


def _drops(cast: Cast, draw: random.Random) -> Rule:
    def rule(request: Json, forward: Forward) -> Json | Raw:
        if draw.random() < 0.5:
            raise Drop
        return forward()

    return rule


def _silent_after_sending(cast: Cast, actor: Actor, draw: random.Random) -> None:
    passed_on: list[Json] = []

    def rule(request: Json, forward: Forward) -> Json | Raw:
        answer = forward()
        if request["method"] == "eth_sendRawTransaction" and not passed_on:
            passed_on.append(request)
            time.sleep(actor.stage.rpc_timeout_s + 0.5)
            raise Drop
        return answer

    since = len(actor.log.lines)
    with _rule(actor, rule):
        actor.hears("no whole answer from .* to eth_sendRawTransaction", since)


def _old_blocks(cast: Cast, draw: random.Random) -> Rule:
    """As a machine behind the URL that has stopped following the chain."""
    newest = max(1, int(cast.chain.rpc("eth_blockNumber"), 16) - draw.randint(1, 3))
    honest_looks = 2

    def rule(request: Json, forward: Forward) -> Json | Raw:
        nonlocal honest_looks
        method, params = request["method"], request["params"]
        if honest_looks:
            # First the node has to see a block after the one that it is then set back to.
            honest_looks -= (method, params[:1]) == ("eth_getBlockByNumber", ["latest"])
            return forward()
        for at, value in enumerate(params):
            if value in ("latest", "pending"):
                params[at] = hex(newest)
        if method == "eth_getBlockByNumber" and int(params[0], 16) > newest:
            return result(request, None)
        if method == "eth_getLogs":
            params[0]["toBlock"] = hex(min(newest, int(params[0]["toBlock"], 16)))
            if int(params[0]["fromBlock"], 16) > newest:
                return result(request, [])
        answer = forward()
        receipt = answer.get("result") if method == "eth_getTransactionReceipt" else None
        if receipt and int(receipt["blockNumber"], 16) > newest:
            return result(request, None)
        return answer

    return rule


def _topic(event: str) -> str:
    (topic,) = (t for t, e in interface("Federation").events.items() if e["name"] == event)
    return "0x" + topic.hex()


def _loses_logs(cast: Cast, actor: Actor, draw: random.Random) -> None:
    submitted = _topic("UpdateSubmitted")
    lost: list[Json] = []

    def rule(request: Json, forward: Forward) -> Json | Raw:
        answer = forward()
        if request["method"] == "eth_getLogs" and answer.get("result") and len(lost) < 2:
            kept = [log for log in answer["result"] if log["topics"][0] != submitted]
            if len(kept) < len(answer["result"]):
                lost.append(request)
                return result(request, kept)
        return answer

    since = len(actor.log.lines)
    with _rule(actor, rule):
        wait_until(lambda: bool(lost), "a submission to lose", seconds=PATIENCE_S)
        actor.hears(_LOST_LOGS, since)


def _limits_logs(cast: Cast, draw: random.Random) -> Rule:
    held_until = time.monotonic() + OUTAGE_S

    def rule(request: Json, forward: Forward) -> Json | Raw:
        if time.monotonic() < held_until:
            raise Drop  # so that there is more than a block to catch up with
        if request["method"] == "eth_getLogs":
            query = request["params"][0]
            if query["fromBlock"] != query["toBlock"]:
                return error(request, -32005, "query exceeds the range of 1 block")
        return forward()

    return rule


def _busy(cast: Cast, draw: random.Random) -> Rule:
    return lambda request, forward: Raw(b"slow down", 429)


def _garbage(cast: Cast, draw: random.Random) -> Rule:
    nonsense: tuple[Callable[[Json], Json | Raw], ...] = (
        lambda request: Raw(b"<html>welcome</html>"),
        lambda request: Raw(b"{}"),
        lambda request: Raw(b'{"jsonrpc": "2.0", "id": 1, "result"'),
        lambda request: result(request, "0x"),
        lambda request: result(request, {"number": "0x1"}),
        lambda request: result(request, ["\u0000" * 9]),
        lambda request: result(request, None),
        lambda request: error(request, -32603, "internal error"),
    )
    return lambda request, forward: draw.choice(nonsense)(request)


# --- reorgs ---


def _reorg(event: str) -> Fault:
    """Undo the next such event, at most `DEEPEST` blocks deep, until a node has seen what it undid.

    A reorg of a block that nobody had read yet is none to anybody.
    """

    def bring(cast: Cast, actor: Actor, draw: random.Random) -> None:
        topic, wanted = _topic(event), draw.randint(1, DEEPEST)
        since = [len(one.log.lines) for one in cast.actors]

        def undo() -> bool:
            head = int(cast.chain.rpc("eth_blockNumber"), 16)
            query = {"address": cast.stage.address, "topics": [topic]}
            query["fromBlock"] = hex(head - wanted + 1)
            logs: list[dict[str, Any]] = cast.chain.rpc("eth_getLogs", query)
            depths = [head - int(log["blockNumber"], 16) + 1 for log in logs]
            if wanted in depths:
                cast.chain.rpc("anvil_reorg", wanted, [])
            return wanted in depths

        def noticed() -> bool:
            ends = time.monotonic() + NOTICED_S
            while time.monotonic() < ends:
                for one, first in zip(cast.actors, since, strict=True):
                    if one.log.said(_REORG, first):
                        return True
                time.sleep(0.1)
            return False

        wait_until(undo, f"a {event} to undo", seconds=2 * PATIENCE_S)
        while not noticed():
            wait_until(undo, f"another {event} to undo", seconds=2 * PATIENCE_S)

    return bring


# --- this machine ---


def _full_disk(cast: Cast, actor: Actor, draw: random.Random) -> None:
    since = len(actor.log.lines)
    with actor.no_room():
        actor.hears(_NO_ROOM, since)
        time.sleep(OUTAGE_S * draw.uniform(0, 1.0))


def _clock_jumps(cast: Cast, actor: Actor, draw: random.Random) -> None:
    actor.order(f"clock {draw.choice([-9, -2, 3, 7])}")


def _second_copy(cast: Cast, actor: Actor, draw: random.Random) -> None:
    copy = Supervised(
        f"{actor.name} again",
        actor.process.command,
        log=actor.processes.logs / f"{actor.name}-again.log",
        env=actor.process._env,
        cwd=actor.process._cwd,
    )
    copy.log.unlink(missing_ok=True)
    with copy:
        status = copy.wait(PATIENCE_S)
    if not status:
        raise AssertionError("a second copy ended as if all were well")
    actor.log.lines += copy.log.read_text().splitlines()


# --- the IPFS daemon ---


def _stop_kubo(cast: Cast, actor: Actor, draw: random.Random) -> None:
    assert cast.kubo is not None
    since = [len(one.log.lines) for one in cast.actors]
    cast.kubo.kill()
    wait_until(
        lambda: any(
            one.log.said(_NO_DAEMON, first) for one, first in zip(cast.actors, since, strict=True)
        ),
        "a node to miss the daemon",
        seconds=PATIENCE_S,
    )
    time.sleep(OUTAGE_S * draw.uniform(0, 1))
    cast.kubo.start()


def _restart_kubo(cast: Cast, actor: Actor, draw: random.Random) -> None:
    assert cast.kubo is not None
    cast.kubo.restart()


def _collect_kubo(cast: Cast, actor: Actor, draw: random.Random) -> None:
    assert cast.kubo is not None
    cast.kubo.rpc("repo/gc")


def _slow_kubo(cast: Cast, actor: Actor, draw: random.Random) -> None:
    assert actor.daemon is not None
    since = len(actor.log.lines)
    actor.daemon.stall_s = actor.stage.fetch_timeout_s + 1
    try:
        actor.hears(_NOT_THERE, since)
    finally:
        actor.daemon.stall_s = 0


def _false_kubo(cast: Cast, actor: Actor, draw: random.Random) -> None:
    assert actor.daemon is not None
    since = len(actor.log.lines)
    actor.daemon.false = True
    try:
        actor.hears(_FALSE, since)
    finally:
        actor.daemon.false = False


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        *(
            Kind(f"kill {moment}", _kill_at(moment), r"the last run was cut off.*; going on with")
            for moment in MOMENTS
        ),
        Kind("rpc stops", _stop_rpc, _DROPPED),
        Kind("rpc drops connections", _until_said(_DROPPED, _drops), _DROPPED),
        Kind("rpc silent after sending", _silent_after_sending, r"eth_sendRawTransaction.*again"),
        Kind("rpc answers with old blocks", _until_said(_BEHIND, _old_blocks), _BEHIND),
        Kind("rpc loses logs", _loses_logs, _LOST_LOGS),
        Kind("rpc limits log ranges", _until_said(_LIMITED, _limits_logs), _LIMITED),
        Kind("rpc limits rates", _until_said(_BUSY, _busy), _BUSY),
        Kind("rpc answers nonsense", _until_said(_NONSENSE, _garbage), _NONSENSE),
        *(
            Kind(
                f"reorg undoes {event}",
                _reorg(event),
                _REORG,
                to_all=True,
            )
            for event in (
                *("UpdateSubmitted", "ScoresCommitted", "ScoresRevealed", "WindowTallied"),
                *("ModelAttested", "VersionFinalized"),
            )
        ),
        Kind("disk full", _full_disk, _NO_ROOM),
        Kind("clock jumps", _clock_jumps, r"the chain's clock is .* this machine's.*; deadlines"),
        Kind("second copy", _second_copy, _RUNS_ALREADY),
        Kind("kubo stops", _stop_kubo, _NO_DAEMON, needs_kubo=True, to_all=True),
        Kind("kubo restarts", _restart_kubo, None, needs_kubo=True),
        Kind("kubo collects garbage", _collect_kubo, None, needs_kubo=True),
        Kind("kubo is slow", _slow_kubo, _NOT_THERE, needs_kubo=True),
        Kind("kubo gives false bytes", _false_kubo, _FALSE, needs_kubo=True),
    )
}
