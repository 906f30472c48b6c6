"""A node within this process, on a real chain: what it does when it is stopped, lied to or late."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bafl import protocol
from bafl.chain import calls
from bafl.chain.abi import interface
from bafl.chain.connection import Connection
from bafl.chain.federation import Federation
from bafl.chain.history import HistoryFile
from bafl.chain.sender import Sender
from bafl.devnet import Anvil, Kubo, wait_until
from bafl.errors import DiskError, ManifestError, TrainingError
from bafl.journal import Journal, SignedNote
from bafl.judge import Verdicts
from bafl.judge.rules import ALONE_MIN
from bafl.node import Node, NodeOptions
from bafl.protocol import Options, Trained
from bafl.store.cid import cid
from bafl.store.kubo import KuboStore
from bafl.store.local import LocalStore
from bafl.tasks.base import TrainContext
from bafl.types import RAW, Phase, Role, Root, View, VoidReason
from bafl.work import Bench, honest
from tests.e2e.federation.softmax import Model, Softmax
from tests.e2e.federation.stage import SETTINGS, Stage, found
from tests.e2e.test_kubo_store import collect
from tests.unit.chain.proxy import Forward, Json, Proxy, Raw, only, result

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

NewAccount = Callable[..., "LocalAccount"]

BOTH = Role.TRAINER | Role.VALIDATOR
ALONE = SETTINGS.replace("= 3", "= 1") + "min_validators = 1\n"
HASTY = ALONE.replace('commit_period = "60s"', 'commit_period = "4s"')
WAITING = SETTINGS.replace('"1h"', '"30d"').replace('max_wait = "10s"', 'max_wait = "1h"')
DEADLINE_S = 120
QUICK = NodeOptions(
    Options(slot_s=0.0), poll_s=0.05, confirmations=0, retry_s=0.1, stop_grace_s=1.0
)


class Holding(LocalStore):
    """A store that, while it is held, answers nothing."""

    def __init__(self, directory: Path, owner: str) -> None:
        super().__init__(directory, owner)
        self.free = threading.Event()
        self.free.set()
        self.held = threading.Event()

    def put(self, path: Path) -> Root:
        self.held.set()
        self.free.wait()
        return super().put(path)


@dataclass
class Player:
    """A participant whose node can be started and stopped."""

    stage: Stage
    sender: Sender
    store: Holding
    task: Softmax
    home: Path

    def node(
        self, rpc: str | None = None, task: Softmax | None = None, stuck_after_s: float = 60.0
    ) -> Node:
        federation = Federation(
            Connection(rpc or self.stage.rpc, patience_s=DEADLINE_S), self.stage.address
        )
        return Node(
            federation=federation,
            sender=federation.sender(self.sender.account, stuck_after_s=stuck_after_s),
            store=self.store,
            task=task or self.task,
            manifest=self.stage.manifest,
            home=self.home,
            options=QUICK,
        )

    @property
    def updates(self) -> int:
        return len(self.stage.history.updates_by(self.sender.address))


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Anvil]:
    with Anvil(mine_every_s=1, log=tmp_path / "anvil.log") as chain:
        yield chain


@pytest.fixture
def settings() -> str:
    """A federation in which one update makes a version, and one validator is enough."""
    return ALONE


@pytest.fixture
def stage(chain: Anvil, tmp_path: Path, settings: str) -> Stage:
    return found(chain, f"local:{tmp_path / 'store'}", tmp_path / "stage", 4, settings)


@pytest.fixture
def join(
    chain: Anvil, stage: Stage, tmp_path: Path, new_account: NewAccount
) -> Iterator[Callable[..., Player]]:
    players: list[Player] = []

    def make(roles: Role = BOTH) -> Player:
        number = len(players)
        sender = stage.federation.sender(new_account(chain=chain))
        sender.send(calls.join(roles, stage.federation.parameters.min_stake_wei))
        store = Holding(tmp_path / "store", f"player{number}")
        player = Player(stage, sender, store, Softmax(number, 4), tmp_path / f"home{number}")
        players.append(player)
        return player

    yield make
    for player in players:
        player.store.free.set()


@contextlib.asynccontextmanager
async def running(node: Node) -> AsyncIterator[Callable[..., Any]]:
    """A node at work; gives a way to wait for something while it is. It ends in time."""
    stop = asyncio.Event()
    run = asyncio.create_task(node.run(stop))

    async def until(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not await asyncio.to_thread(condition):
                if run.done():
                    run.result()
                    pytest.fail("the node ended by itself")
                await asyncio.sleep(0.05)

    try:
        yield until
    finally:
        stop.set()
        await asyncio.wait_for(run, DEADLINE_S / 4)


def sign_without_sending(player: Player) -> Trained:
    """Train and sign a submission, and be killed before it is sent."""
    node = player.node()
    node.work.see(node.federation.view(node.address), node.history_file.sync())
    node.work.train(protocol.Train(0))
    update = node.journal.notes(0, 0, {}, frozenset()).trained
    assert update is not None
    call = calls.submit_update(0, update.root, update.encoding, update.samples)
    node.outbox.sign("submit", call)
    node.history_file.close()
    node.journal.close()
    return update


async def test_one_alone_makes_version_after_version(join: Callable[..., Player]) -> None:
    player = join()
    async with running(player.node()) as until:
        await until(lambda: player.stage.federation.head().version >= 3)
    assert player.stage.audit().ok
    assert not player.stage.history.slashes


async def test_a_daemon_keeps_what_versions_rest_on_and_lets_go_of_the_rest(
    chain: Anvil, own_kubo: Kubo, tmp_path: Path, new_account: NewAccount
) -> None:
    stage = found(chain, f"kubo:{own_kubo.multiaddr}", tmp_path / "stage", 4, ALONE)
    sender = stage.federation.sender(new_account(chain=chain))
    sender.send(calls.join(BOTH, stage.federation.parameters.min_stake_wei))
    store = KuboStore(own_kubo.multiaddr)
    judged: list[Bench] = []

    def strict_at_first(bench: Bench) -> Verdicts:
        judged.append(bench)
        return honest(bench) if len(judged) > 1 else Verdicts((ALONE_MIN,), 0)

    def pinned(root: Root) -> bool:
        return cid(root) in own_kubo.rpc("pin/ls")["Keys"]

    node = Node(
        federation=stage.federation,
        sender=sender,
        store=store,
        task=Softmax(0, 4),
        manifest=stage.manifest,
        home=tmp_path / "home",
        options=QUICK,
        judge=strict_at_first,
    )
    async with running(node) as until:
        await until(lambda: stage.history.voided(1) is VoidReason.BARREN)
        (refused,) = (record.root for record in stage.history.updates(1))
        await until(lambda: pinned(refused))
        await until(lambda: stage.federation.head().open_window > protocol.RING)
        await until(lambda: not pinned(refused))
        history = stage.history
        updates = [record for v in history.versions[1:] for record in history.updates(v.window)]
        kept = {stage.federation.genesis.manifest}
        kept |= {version.root for version in history.versions}
        kept |= {update.root for update in updates}
        await until(lambda: all(map(pinned, kept)))
    assert len(kept) > 2 * (protocol.RING - 2)
    collect(own_kubo)
    assert all(map(store.has, kept))
    assert not store.has(refused)
    report = stage.audit()
    assert all(version.ok for version in report.versions[: len(history.versions) - 1])


async def test_an_update_that_was_signed_long_ago_is_not_lost(join: Callable[..., Player]) -> None:
    """Killed after signing; meanwhile others made versions, so it could not be signed again."""
    late, other = join(Role.TRAINER), join()
    update = sign_without_sending(late)
    async with running(other.node()) as until:
        await until(lambda: late.stage.federation.head().version >= 2)
    async with running(late.node()) as until:
        await until(lambda: late.store.has(update.root))
    (first, *_) = late.stage.history.updates_by(late.sender.address)
    assert (first.base_version, first.root) == (0, update.root)


async def test_a_transaction_whose_fee_became_too_low_is_replaced(
    chain: Anvil, join: Callable[..., Player]
) -> None:
    player = join(Role.TRAINER)
    sign_without_sending(player)
    chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(50 * 10**9))
    chain.mine()
    node = player.node()
    (cheap,) = node.journal.unsettled()
    async with running(node) as until:
        await until(lambda: player.updates)
    assert player.sender.receipt(cheap.hash) is None


@pytest.mark.parametrize("settings", [WAITING])
async def test_stops_soon_while_a_transaction_waits(
    chain: Anvil, join: Callable[..., Player]
) -> None:
    player = join(Role.TRAINER)
    chain.rpc("evm_setIntervalMining", 0)
    chain.rpc("evm_setAutomine", False)
    node = player.node()
    async with running(node) as until:
        await until(node.journal.unsettled)
        pending = player.stage.federation.connection
        await until(lambda: pending.nonce(node.address, "pending") > pending.nonce(node.address))
    chain.rpc("evm_setAutomine", True)
    chain.mine()
    async with running(player.node()) as until:
        await until(lambda: player.updates)
    (record,) = player.stage.history.updates_by(node.address)
    assert player.store.has(record.root)


async def test_stops_soon_while_the_chain_does_not_answer(join: Callable[..., Player]) -> None:
    player, hangs, free = join(), threading.Event(), threading.Event()

    def hang(request: Json, forward: Forward) -> Json | Raw:
        if hangs.is_set():
            free.wait(DEADLINE_S)
        return forward()

    with Proxy(player.stage.rpc) as proxy:
        proxy.rule = hang
        try:
            async with running(player.node(proxy.url)) as until:
                await until(lambda: player.stage.federation.head().version)
                hangs.set()
                seen = len(proxy.requests)
                await until(lambda: len(proxy.requests) > seen)
        finally:
            free.set()


@pytest.mark.parametrize("settings", [HASTY])
async def test_a_store_that_hangs_holds_up_neither_the_chain_nor_the_end(
    join: Callable[..., Player],
) -> None:
    hung, other = join(Role.TRAINER), join()
    hung.store.free.clear()
    async with running(hung.node()) as until:
        await until(hung.store.held.is_set)
        async with running(other.node()):
            # Its window ends without its payload, and it goes on: a second update.
            await until(lambda: hung.updates >= 2)


@pytest.mark.parametrize("settings", [WAITING])
async def test_an_older_view_than_one_seen_before_makes_nothing_happen_twice(
    join: Callable[..., Player],
) -> None:
    player = join(Role.TRAINER)
    blocks: dict[str, int] = {"mined": 0}

    def lag(request: Json, forward: Forward) -> Json | Raw:
        # One machine of several behind the URL does not know the newest blocks yet.
        if request["method"] == "eth_call" and blocks["mined"]:
            request["params"][1] = hex(blocks["mined"] - 1)
            blocks["answers"] = blocks.get("answers", 0) + 1
            if blocks["answers"] >= 3:
                blocks["mined"] = 0
        answer = forward()
        if request["method"] == "eth_getTransactionReceipt" and answer["result"]:
            blocks["mined"] = int(answer["result"]["blockNumber"], 16)
        return answer

    with Proxy(player.stage.rpc) as proxy:
        proxy.rule = lag
        node = player.node(proxy.url)
        async with running(node) as until:
            await until(lambda: blocks.get("answers", 0) >= 3)
            seen = len(proxy.requests)
            await until(lambda: len(proxy.requests) > seen + 10)
            assert node.journal.trainings() == 1
    assert player.updates == 1


@pytest.mark.parametrize("settings", [WAITING])
async def test_an_update_that_a_reorg_took_is_submitted_again(
    chain: Anvil, join: Callable[..., Player]
) -> None:
    player = join(Role.TRAINER)
    node = player.node(stuck_after_s=1.0)
    async with running(node) as until:
        before = int(chain.rpc("eth_blockNumber"), 16)
        await until(lambda: player.updates)
        (record,) = player.stage.history.updates_by(node.address)
        await until(lambda: player.store.has(record.root))
        depth = int(chain.rpc("eth_blockNumber"), 16) - before
        chain.rpc("anvil_reorg", depth, [])

        def submitted_again() -> bool:
            found = player.stage.history.updates_by(node.address)
            return any(update.block > record.block for update in found)

        await until(submitted_again)
    (again,) = player.stage.history.updates_by(node.address)
    assert (again.root, again.base_version) == (record.root, record.base_version)


SUBMITTED = "0x" + interface("Federation").topic("UpdateSubmitted").hex()


def without_submissions(answer: Json) -> Json:
    """An answer to eth_getLogs from which those of submissions are missing."""
    return {**answer, "result": [log for log in answer["result"] if log["topics"][0] != SUBMITTED]}


@pytest.mark.parametrize("settings", [WAITING])
async def test_an_update_whose_log_the_rpc_leaves_out_is_not_given_up(
    join: Callable[..., Player],
) -> None:
    """The contract has it, the log has not: the contract is believed."""
    player, lost = join(Role.TRAINER), threading.Event()

    def forgetful(request: Json, forward: Forward) -> Json | Raw:
        answer = forward()
        if request["method"] == "eth_getLogs" and not lost.is_set():
            kept = without_submissions(answer)
            if kept != answer:
                lost.set()
            return kept
        return answer

    with Proxy(player.stage.rpc) as proxy:
        proxy.rule = forgetful
        async with running(player.node(proxy.url)) as until:
            await until(lambda: player.updates)
            (record,) = player.stage.history.updates_by(player.sender.address)
            await until(lambda: player.store.has(record.root))
    assert lost.is_set()


@pytest.mark.parametrize("settings", [WAITING])
async def test_an_rpc_that_never_gives_a_log_is_asked_for_all_ever_more_rarely(
    join: Callable[..., Player], monkeypatch: pytest.MonkeyPatch
) -> None:
    player = join(Role.TRAINER)
    looks: list[bool] = []
    agree, reread = Node._agree, HistoryFile.reread

    def looked(node: Node, *given: Any) -> bool:
        agreed = agree(node, *given)
        if not agreed:
            looks.append(False)
        return agreed

    def read_anew(file: HistoryFile) -> None:
        looks.append(True)
        reread(file)

    monkeypatch.setattr(Node, "_agree", looked)
    monkeypatch.setattr(HistoryFile, "reread", read_anew)
    with Proxy(player.stage.rpc) as proxy:
        proxy.rule = only("eth_getLogs", lambda request, forward: without_submissions(forward()))
        async with running(player.node(proxy.url)) as until:
            await until(lambda: looks.count(False) >= 9)
    assert player.updates == 1
    seen = "".join("anew " if anew else "look " for anew in looks)
    assert seen.startswith("look anew look look anew look look look look anew look"), seen


async def test_updates_that_the_tag_is_not_made_of_are_not_judged(
    join: Callable[..., Player], caplog: pytest.LogCaptureFixture
) -> None:
    """An RPC shows every update with other terms than the chain has; all else is true."""
    player, lying = join(BOTH), threading.Event()
    lying.set()

    def with_other_samples(request: Json, forward: Forward) -> Json:
        answer = forward()
        for log in answer["result"] if lying.is_set() else ():
            if log["topics"][0] == SUBMITTED:
                log["data"] = log["data"][:-64] + f"{int(log['data'][-64:], 16) + 1:064x}"
        return answer

    with Proxy(player.stage.rpc) as proxy:
        proxy.rule = only("eth_getLogs", with_other_samples)
        async with running(player.node(proxy.url)) as until:
            await until(lambda: "lacks the updates of window 1 as the contract has" in caplog.text)
            assert not player.stage.history.commitments(1)
            lying.clear()
            await until(lambda: len(player.stage.history.versions) > 1)


@pytest.mark.parametrize("settings", [WAITING])
async def test_a_version_is_not_trained_again_by_a_look_from_before_its_submission(
    join: Callable[..., Player], chain: Anvil
) -> None:
    """The log has the update, the view has not, and the receipt is not there yet."""
    player, free = join(Role.TRAINER), threading.Event()
    before: list[str] = []
    old_views: list[Json] = []

    def lagging(request: Json, forward: Forward) -> Json | Raw:
        method = request["method"]
        if method == "eth_sendRawTransaction" and not before:
            before.append(chain.rpc("eth_blockNumber"))
        if before and not free.is_set():
            if method in {"eth_call", "eth_getTransactionCount"}:
                request["params"][1] = before[0]
                old_views.append(request)
            if method == "eth_getTransactionReceipt":
                return result(request, None)
        return forward()

    with Proxy(player.stage.rpc) as proxy:
        proxy.rule = lagging
        node = player.node(proxy.url)
        async with running(node) as until:
            await until(lambda: player.updates and len(old_views) > 20)
            assert node.journal.trainings() == 1
            free.set()
            (record,) = player.stage.history.updates_by(player.sender.address)
            await until(lambda: player.store.has(record.root))


@pytest.mark.parametrize("settings", [WAITING])
async def test_an_update_of_a_model_that_a_reorg_took_is_trained_anew(
    join: Callable[..., Player],
) -> None:
    player = join(Role.TRAINER)
    node = player.node()
    node.work.see(node.federation.view(node.address), node.history_file.sync())
    node.work.train(protocol.Train(0))
    foreign = replace(last_trained(node), root=Root(b"\x07" * 32, RAW), base_digest=bytes(32))
    node.journal.drop(last_trained(node))
    node.journal.train(foreign, "none.npy")
    async with running(node) as until:
        await until(lambda: player.updates)
    (record,) = player.stage.history.updates_by(node.address)
    assert record.root != foreign.root


def last_trained(node: Node) -> Trained:
    trained = node.journal.notes(0, 0, {}, frozenset()).trained
    assert trained is not None
    return trained


async def test_a_full_disk_is_waited_out(
    join: Callable[..., Player], monkeypatch: pytest.MonkeyPatch
) -> None:
    player, sign = join(), Journal.sign
    refused: list[SignedNote] = []

    def no_room(journal: Journal, note: SignedNote) -> None:
        if len(refused) < 3:
            refused.append(note)
            raise DiskError("no room")
        sign(journal, note)

    monkeypatch.setattr(Journal, "sign", no_room)
    async with running(player.node()) as until:
        await until(lambda: player.stage.federation.head().version)
    assert len({note.nonce for note in refused}) == 1, "a nonce that nothing fills holds up all"


async def test_one_that_stops_with_scores_not_revealed_says_until_when_and_for_how_much(
    join: Callable[..., Player], caplog: pytest.LogCaptureFixture
) -> None:
    player, _other = join(), join(Role.VALIDATOR)
    async with running(player.node()) as until:
        await until(lambda: player.stage.federation.view(player.sender.address).judging.committed)
    assert re.search(
        r"window 1: scores committed, not revealed: start again before \d\d:\d\d:\d\d "
        r"\(in 0:0\d:\d\d\), or 0\.0\d+ ether is slashed",
        caplog.text,
    )


async def test_one_that_stops_lets_go_of_its_journal_whatever_the_contract_says(
    join: Callable[..., Player], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    player = join()
    view = player.stage.federation.view(player.sender.address)
    far = replace(view.judging, phase=Phase.REVEAL, committed=1, active=1, deadline_s=2**40 - 1)
    owing = replace(view, judging=far, participant=replace(view.participant, seat=0))
    monkeypatch.setattr(Federation, "view", lambda *_: owing)
    await player.node()._wind_up(None)
    assert "scores committed, not revealed" in caplog.text

    def fail(*_: object) -> None:
        raise ArithmeticError

    monkeypatch.setattr(Federation, "view", fail)
    node = player.node()
    with pytest.raises(ArithmeticError):
        await node._wind_up(None)
    next_run = player.node()
    next_run.journal.close()
    next_run.history_file.close()


async def test_stops_soon_while_a_task_does_not_listen(join: Callable[..., Player]) -> None:
    began, free = threading.Event(), threading.Event()

    class Deaf(Softmax):
        def train(self, model: Model, context: TrainContext) -> None:
            began.set()
            free.wait()

    player = join(Role.TRAINER)
    async with running(player.node(task=Deaf(0, 4))) as until:
        await until(began.is_set)
    free.set()
    async with running(player.node()) as until:
        await until(lambda: player.updates)


async def test_what_ends_during_a_look_is_looked_at_soon(join: Callable[..., Player]) -> None:
    """That look's view may not show it, and the next one is long in coming."""
    began, free = threading.Event(), threading.Event()
    looks: list[View] = []

    class Slow(Softmax):
        def train(self, model: Model, context: TrainContext) -> None:
            began.set()
            free.wait()
            super().train(model, context)

    player = join(Role.TRAINER)
    node = player.node(task=Slow(0, 4))
    node.options = replace(QUICK, poll_s=10 * DEADLINE_S)
    read = node._read

    def reading() -> View | None:
        view = read()
        assert view is not None
        looks.append(view)
        if len(looks) == 2:
            free.set()
            wait_until(lambda: not node._busy, "the job to end", seconds=DEADLINE_S)
        return view

    node._read = reading  # type: ignore[method-assign]
    try:
        async with running(node) as until:
            await until(began.is_set)
            node._wake.set()
            await until(lambda: player.updates)
    finally:
        free.set()


async def test_a_loss_that_is_not_finite_ends_the_node_and_nothing_else(
    join: Callable[..., Player],
) -> None:
    class Exploding(Softmax):
        def train(self, model: Model, context: TrainContext) -> None:
            raise TrainingError("the loss is nan")

    player = join()
    with pytest.raises(TrainingError, match="nan"):
        await asyncio.wait_for(player.node(task=Exploding(0, 4)).run(asyncio.Event()), DEADLINE_S)
    async with running(player.node()) as until:
        await until(lambda: player.updates)


def test_a_node_that_could_not_be_made_holds_nothing(
    join: Callable[..., Player], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Foreign(Softmax):
        def model(self) -> Model:
            return {"other": super().model()["w"]}

    closed: list[HistoryFile] = []
    close = HistoryFile.close

    def closing(file: HistoryFile) -> None:
        closed.append(file)
        close(file)

    monkeypatch.setattr(HistoryFile, "close", closing)
    player = join()
    with pytest.raises(ManifestError, match=r"another model .* lacks the tensor 'b'"):
        player.node(task=Foreign(0, 4))
    assert len(closed) == 1
    node = player.node()
    node.journal.close()
    node.history_file.close()
