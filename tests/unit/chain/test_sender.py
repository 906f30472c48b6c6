"""A transaction is simulated, signed, sent, followed and replaced; none is lost or made twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from bafl.chain import errors
from bafl.chain.calls import Call
from bafl.chain.connection import Connection
from bafl.chain.errors import (
    FeesTooHigh,
    InsufficientFunds,
    NonceTaken,
    NotMined,
    RpcError,
    UnexplainedRefusal,
)
from bafl.chain.fees import MAX_TRANSACTION_GAS
from bafl.chain.sender import Sender, SignedTransaction
from bafl.devnet import Anvil
from bafl.errors import ChainError, ContractRefusal, UsageError
from tests.unit.chain.conftest import Probe
from tests.unit.chain.proxy import Drop, Forward, Json, Proxy, error, only, result

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

DEADLINE_S = 60


def soon() -> float:
    return time.time() + DEADLINE_S


def test_a_transaction_is_simulated_before_it_is_signed(sender: Sender, probe: Probe) -> None:
    with pytest.raises(errors.BaseTooStale, match="train on version 7 or newer") as caught:
        sender.sign(probe.call("refuse"))
    assert caught.value.name == "BaseTooStale"
    assert dict(caught.value.arguments) == {"base": 3, "oldest": 7}
    assert isinstance(caught.value, ContractRefusal)


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        ("refuseUnheard", (), "unknown error 0x"),
        ("refuseInWords", (), "in words"),
        ("refuseSilently", (), "without a reason"),
        ("panic", (0,), "Panic.*18"),
    ],
)
def test_any_revert_is_a_refusal(
    sender: Sender, probe: Probe, function: str, arguments: tuple[int, ...], said: str
) -> None:
    with pytest.raises(ContractRefusal, match=said):
        sender.sign(probe.call(function, *arguments))


def test_a_refused_call_takes_no_nonce(sender: Sender, probe: Probe) -> None:
    before = sender.connection.nonce(sender.address)
    with pytest.raises(ContractRefusal):
        sender.send(probe.call("refuse"))
    assert sender.sign(probe.call("setGate", 1)).nonce == before


def test_signing_sends_nothing(sender: Sender, probe: Probe) -> None:
    signed = sender.sign(probe.call("setGate", 1))
    assert sender.receipt(signed.hash) is None
    assert sender.connection.nonce(sender.address, "pending") == signed.nonce


def test_a_journalled_transaction_outlives_its_sender(sender: Sender, probe: Probe) -> None:
    raw = sender.sign(probe.call("emitMany", 1)).raw
    reborn = Sender(sender.connection, sender.account)
    signed = reborn.restore(raw, "emitMany")
    assert reborn.sign(probe.call("emitMany", 1)).nonce == signed.nonce + 1
    reborn.broadcast(signed)
    reborn.broadcast(signed)
    assert reborn.wait(signed, deadline_s=soon()).ok
    reborn.broadcast(signed)
    assert probe.count(sender.connection) == 1


def test_bytes_of_another_account_are_not_restored(
    sender: Sender, probe: Probe, new_account: Callable[..., LocalAccount]
) -> None:
    raw = sender.sign(probe.call("emitMany", 1)).raw
    with pytest.raises(UsageError, match="signed by"):
        Sender(sender.connection, new_account()).restore(raw)
    with pytest.raises(UsageError, match="no transaction"):
        sender.restore(b"\x02junk")


def test_a_forgotten_transaction_frees_its_nonce(sender: Sender, probe: Probe) -> None:
    first = sender.sign(probe.call("setGate", 1))
    second = sender.sign(probe.call("setGate", 2))
    assert second.nonce == first.nonce + 1
    sender.forget(second)
    sender.forget(first)
    assert sender.sign(probe.call("setGate", 3)).nonce == first.nonce


def test_many_threads_send_without_collision(sender: Sender, probe: Probe) -> None:
    failures: list[Exception] = []

    def send() -> None:
        try:
            for _ in range(4):
                sender.send(probe.call("emitMany", 1))
        except ChainError as failure:
            failures.append(failure)

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert probe.count(sender.connection) == 24


def test_a_lost_answer_makes_no_second_transaction(
    proxy: Proxy, sender: Sender, probe: Probe
) -> None:
    """The RPC took it and the answer got lost: the second sending finds it known."""
    with Connection(proxy.url) as connection:
        through = Sender(connection, sender.account)
        lost = threading.Event()

        def lose(request: Json, forward: Forward) -> Json:
            answer = forward()
            if not lost.is_set():
                lost.set()
                raise Drop
            return answer

        proxy.rule = only("eth_sendRawTransaction", lose)
        assert through.send(probe.call("emitMany", 1)).ok
    assert proxy.methods().count("eth_sendRawTransaction") == 2
    assert probe.count(sender.connection) == 1


@pytest.mark.parametrize(
    "message", ["already known", "ALREADY_EXISTS: already known", "nonce too low"]
)
def test_what_is_there_already_counts_as_sent(
    proxy: Proxy, sender: Sender, probe: Probe, message: str
) -> None:
    with Connection(proxy.url) as connection:
        through = Sender(connection, sender.account)

        def known(request: Json, forward: Forward) -> Json:
            forward()
            return error(request, -32000, message)

        proxy.rule = only("eth_sendRawTransaction", known)
        assert through.send(probe.call("setGate", 1)).ok


def test_a_nonce_used_elsewhere_is_named(sender: Sender, probe: Probe) -> None:
    signed = sender.sign(probe.call("setGate", 1))
    Sender(sender.connection, sender.account).send(probe.call("setGate", 2))
    with pytest.raises(NonceTaken, match="same key in use elsewhere"):
        sender.broadcast(signed)
    with pytest.raises(NonceTaken, match="in its place"):
        sender.wait(signed, deadline_s=soon())


def test_an_account_without_funds_is_told_what_is_missing(
    connection: Connection, probe: Probe, new_account: Callable[..., LocalAccount]
) -> None:
    poor = Sender(connection, new_account(0.0000001))
    with pytest.raises(InsufficientFunds, match="send it at least") as caught:
        poor.sign(probe.call("setGate", 1))
    assert caught.value.address == poor.address
    assert caught.value.needed_wei > caught.value.balance_wei == 100_000_000_000


def test_a_value_beyond_the_balance_is_told_the_same_way(
    connection: Connection, probe: Probe, new_account: Callable[..., LocalAccount]
) -> None:
    poor = Sender(connection, new_account(1))
    with pytest.raises(InsufficientFunds):
        poor.sign(probe.call("emitOne", [], [], value_wei=2 * 10**18))


def test_headroom_is_not_asked_for_where_it_cannot_be_paid(
    connection: Connection, new_account: Callable[..., LocalAccount]
) -> None:
    """Submitting has headroom worth more than this account has, and costs a tenth of that."""
    needed = Sender(connection, new_account(1))
    probe = new_account(0).address

    class Submission:
        name, value_wei, to = "submitUpdate", 0, probe

        def data(self) -> bytes:
            return b""

    plenty = needed.sign(Submission())  # type: ignore[arg-type]
    scarce = Sender(connection, new_account(plenty.max_fee_wei / 10 / 10**18))
    signed = scarce.sign(Submission())  # type: ignore[arg-type]
    assert signed.max_fee_wei <= plenty.max_fee_wei // 10
    scarce.broadcast(signed)
    assert scarce.wait(signed, deadline_s=soon()).ok


def test_a_call_without_a_contract_is_wrong_usage(sender: Sender) -> None:
    with pytest.raises(UsageError, match="names a contract"):
        sender.sign(Call("seal"))


def test_a_reverted_transaction_says_why(sender: Sender, probe: Probe, own_chain: OwnChain) -> None:
    """It passed when it was signed; another transaction came first."""
    mine, theirs, there = own_chain.sender(), own_chain.sender(), own_chain.probe()
    own_chain.hold()
    signed = mine.sign(there.call("passBefore", 5))
    theirs.broadcast(theirs.sign(there.call("setGate", 9)))
    own_chain.mine()
    mine.broadcast(signed)
    # In the same block, after it: the block's last state no longer shows the reason.
    theirs.broadcast(theirs.sign(there.call("setGate", 0)))
    own_chain.mine()
    with pytest.raises(errors.BaseTooStale) as caught:
        mine.wait(signed, deadline_s=soon())
    assert dict(caught.value.arguments) == {"base": 9, "oldest": 5}


def test_gas_that_runs_out_is_said_to(own_chain: OwnChain) -> None:
    mine, theirs, there = own_chain.sender(), own_chain.sender(), own_chain.probe()
    own_chain.hold()
    signed = mine.sign(there.call("heavy"))
    theirs.broadcast(theirs.sign(there.call("setGate", 50)))
    own_chain.mine()
    mine.broadcast(signed)
    own_chain.mine()
    with pytest.raises(UnexplainedRefusal, match="heavy ran out of gas"):
        mine.wait(signed, deadline_s=soon())


def test_a_stuck_transaction_is_replaced_at_a_higher_fee(own_chain: OwnChain) -> None:
    sender, probe = own_chain.sender(stuck_after_s=0.1), own_chain.probe()
    own_chain.hold()
    signed = sender.sign(probe.call("emitMany", 1))
    sender.broadcast(signed)
    own_chain.base_fee(50 * 10**9)
    journal: list[SignedTransaction] = []

    def replaced(newer: SignedTransaction) -> None:
        known = sender.connection.request("eth_getTransactionByHash", ["0x" + newer.hash.hex()])
        assert known is None, "journalled before it is sent"
        journal.append(newer)

    with own_chain.mining():
        receipt = sender.wait(signed, deadline_s=soon(), on_replace=replaced)
    assert journal
    assert receipt.hash == journal[-1].hash != signed.hash
    assert {each.nonce for each in journal} == {signed.nonce}
    for before, after in pairwise([signed, *journal]):
        assert after.max_fee_wei * 8 >= before.max_fee_wei * 9
    assert probe.count(sender.connection) == 1


def test_a_fee_from_before_fees_rose_is_replaced_at_once(own_chain: OwnChain) -> None:
    """As after a long crash: the journal's transaction is worth less than a block asks."""
    sender, probe = own_chain.sender(stuck_after_s=3600), own_chain.probe()
    signed = sender.sign(probe.call("emitMany", 1))
    own_chain.base_fee(50 * 10**9)
    sender.broadcast(signed)
    receipt = sender.wait(signed, deadline_s=soon())
    assert receipt.hash != signed.hash
    assert probe.count(sender.connection) == 1


def test_a_replacement_offers_enough_more_for_any_pool(own_chain: OwnChain) -> None:
    sender, probe = own_chain.sender(), own_chain.probe()
    own_chain.hold()
    signed = sender.sign(probe.call("emitMany", 1))
    sender.broadcast(signed)
    replaced = sender.replace(signed)
    assert replaced.nonce == signed.nonce
    assert replaced.max_fee_wei * 8 >= signed.max_fee_wei * 9
    sender.broadcast(replaced)
    own_chain.mine()
    assert sender.receipt(replaced.hash) is not None
    assert sender.receipt(signed.hash) is None


def test_replacing_stops_at_the_fee_limit(own_chain: OwnChain) -> None:
    sender, probe = own_chain.sender(fee_limit_wei=5 * 10**9), own_chain.probe()
    signed = sender.sign(probe.call("emitMany", 1))
    own_chain.base_fee(50 * 10**9)
    own_chain.mine()
    with pytest.raises(FeesTooHigh, match=r"above the limit of 5\.00: .*`fee_limit`"):
        sender.replace(signed)
    with pytest.raises(FeesTooHigh, match="gwei per gas"):
        sender.sign(probe.call("emitMany", 1))


def test_an_absurd_tip_is_not_paid(proxy: Proxy, sender: Sender, probe: Probe) -> None:
    """The RPC names the fee, and could name all the account has."""
    with Connection(proxy.url) as connection:
        proxy.rule = only(
            "eth_maxPriorityFeePerGas", lambda request, forward: result(request, hex(10**15))
        )
        with pytest.raises(FeesTooHigh):
            Sender(connection, sender.account).sign(probe.call("setGate", 1))


def test_an_absurd_estimate_is_refused(proxy: Proxy, sender: Sender, probe: Probe) -> None:
    with Connection(proxy.url) as connection:
        proxy.rule = only(
            "eth_estimateGas",
            lambda request, forward: result(request, hex(MAX_TRANSACTION_GAS + 1)),
        )
        with pytest.raises(ChainError, match="a transaction may take 16,777,216"):
            Sender(connection, sender.account).sign(probe.call("setGate", 1))


def test_a_deadline_passes_with_a_clear_error(own_chain: OwnChain) -> None:
    sender, probe = own_chain.sender(), own_chain.probe()
    own_chain.hold()
    signed = sender.sign(probe.call("emitMany", 1))
    sender.broadcast(signed)
    with pytest.raises(NotMined, match="it may still be: look again"):
        sender.wait(signed, deadline_s=time.time() + 0.2)
    own_chain.mine()
    assert sender.wait(signed, deadline_s=soon()).ok


def test_confirmations_are_waited_for(own_chain: OwnChain) -> None:
    sender, probe = own_chain.sender(), own_chain.probe()
    own_chain.hold()
    signed = sender.sign(probe.call("emitMany", 1))
    sender.broadcast(signed)
    own_chain.mine()
    with pytest.raises(NotMined):
        sender.wait(signed, deadline_s=time.time() + 0.2, confirmations=2)
    with own_chain.mining():
        receipt = sender.wait(signed, deadline_s=soon(), confirmations=2)
    assert sender.connection.latest().number >= receipt.block + 2


def test_after_a_reorg_took_a_transaction_for_good_nonces_have_no_gap(
    own_chain: OwnChain,
) -> None:
    sender, probe = own_chain.sender(stuck_after_s=0.1), own_chain.probe()
    before = own_chain.snapshot()
    sender.send(probe.call("emitMany", 1))
    own_chain.revert(before)
    behind = sender.sign(probe.call("emitMany", 1))
    sender.broadcast(behind)
    with pytest.raises(NonceTaken, match="sign it anew"):
        sender.wait(behind, deadline_s=soon())
    assert sender.send(probe.call("setGate", 1)).ok


def test_a_transaction_that_a_reorg_dropped_is_sent_again(own_chain: OwnChain) -> None:
    sender, probe = own_chain.sender(stuck_after_s=0.1), own_chain.probe()
    own_chain.hold()
    before = own_chain.snapshot()
    signed = sender.sign(probe.call("emitMany", 1))
    sender.broadcast(signed)
    own_chain.mine()
    assert sender.receipt(signed.hash) is not None
    own_chain.revert(before)
    assert sender.receipt(signed.hash) is None
    with own_chain.mining():
        receipt = sender.wait(signed, deadline_s=soon(), confirmations=1)
    assert receipt.hash == signed.hash, "and not for a higher fee"
    assert probe.count(sender.connection) == 1


@pytest.mark.parametrize("lost", ["it", "the one before"])
def test_what_a_reorg_dropped_is_missed_long_before_it_counts_as_stuck(
    own_chain: OwnChain, lost: str
) -> None:
    """A commitment is waiting to be revealed: an hour later would cost stake."""
    sender, probe = own_chain.sender(stuck_after_s=3600), own_chain.probe()
    own_chain.hold()
    before = own_chain.snapshot()
    signed = sender.sign(probe.call("emitMany", 1))
    sender.broadcast(signed)
    if lost == "the one before":
        own_chain.mine()
        sender.wait(signed, deadline_s=soon())
        behind = sender.sign(probe.call("emitMany", 1))
    own_chain.revert(before)
    with own_chain.mining():
        if lost == "it":
            assert sender.wait(signed, deadline_s=soon()).hash == signed.hash
        else:
            sender.broadcast(behind)
            with pytest.raises(NonceTaken, match="a reorg took"):
                sender.wait(behind, deadline_s=soon())


def test_a_receipt_that_lags_behind_the_nonce_is_waited_for(
    proxy: Proxy, sender: Sender, probe: Probe
) -> None:
    """Several machines behind one URL: one knows the nonce, another not yet the receipt."""
    with Connection(proxy.url) as connection:
        through = Sender(connection, sender.account)
        unseen = iter(range(3))

        def late(request: Json, forward: Forward) -> Json:
            return result(request, None) if next(unseen, None) is not None else forward()

        proxy.rule = only("eth_getTransactionReceipt", late)
        assert through.send(probe.call("setGate", 1)).ok


def test_a_foreign_receipt_is_refused(proxy: Proxy, sender: Sender, probe: Probe) -> None:
    with Connection(proxy.url) as connection:
        through = Sender(connection, sender.account)

        def foreign(request: Json, forward: Forward) -> Json:
            answer = forward()
            if answer["result"]:
                answer["result"]["transactionHash"] = "0x" + "11" * 32
            return answer

        proxy.rule = only("eth_getTransactionReceipt", foreign)
        with pytest.raises(ChainError, match="another transaction"):
            through.send(probe.call("setGate", 1))


def test_an_rpc_without_pending_state_will_do(proxy: Proxy, sender: Sender, probe: Probe) -> None:
    with Connection(proxy.url) as connection:

        def no_pending(request: Json, forward: Forward) -> Json:
            if request["params"][1] == "pending":
                return error(request, -32602, "pending is not supported")
            return forward()

        proxy.rule = only("eth_estimateGas", no_pending)
        assert Sender(connection, sender.account).send(probe.call("setGate", 1)).ok


def test_a_refusal_by_the_pool_is_passed_on_and_frees_the_nonce(
    proxy: Proxy, sender: Sender, probe: Probe
) -> None:
    with Connection(proxy.url) as connection:
        through = Sender(connection, sender.account)
        proxy.rule = only(
            "eth_sendRawTransaction",
            lambda request, forward: error(request, -32000, "transaction type not supported"),
        )
        with pytest.raises(RpcError, match="type not supported"):
            through.send(probe.call("setGate", 1))
        proxy.rule = None
        assert through.send(probe.call("setGate", 1)).ok


class OwnChain:
    """A chain that mines when told, and the things that tests of waiting need."""

    def __init__(
        self,
        anvil: Anvil,
        connection: Connection,
        account: Callable[..., LocalAccount],
        deploy: Callable[[Sender], Probe],
    ) -> None:
        self._anvil = anvil
        self._connection = connection
        self._account = account
        self._deploy = deploy
        self._probe: Probe | None = None

    def sender(self, **options: object) -> Sender:
        return Sender(self._connection, self._account(chain=self._anvil), **options)  # type: ignore[arg-type]

    def probe(self) -> Probe:
        if self._probe is None:
            self._probe = self._deploy(self.sender())
        return self._probe

    def hold(self) -> None:
        self._connection.request("evm_setAutomine", [False])

    def mine(self) -> None:
        self._connection.request("evm_mine", [])

    def base_fee(self, wei: int) -> None:
        self._connection.request("anvil_setNextBlockBaseFeePerGas", [hex(wei)])
        self.mine()

    def snapshot(self) -> str:
        return str(self._connection.request("evm_snapshot", []))

    def revert(self, to: str) -> None:
        assert self._connection.request("evm_revert", [to]) is True

    def mining(self) -> Mining:
        return Mining(self)


class Mining:
    """Mines on and on in a thread."""

    def __init__(self, chain: OwnChain) -> None:
        self._chain = chain
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            self._chain.mine()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def own_chain(
    own_anvil: Anvil,
    new_account: Callable[..., LocalAccount],
    deploy_probe: Callable[[Sender], Probe],
) -> object:
    with Connection(own_anvil.url, patience_s=5) as connection:
        yield OwnChain(own_anvil, connection, new_account, deploy_probe)
