"""The same federation, and the same sender, on the chains that people run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bafl.chain.connection import Connection
from bafl.chain.errors import InsufficientFunds, NonceTaken
from bafl.chain.sender import Sender, SignedTransaction
from bafl.devnet import Chain, Processes, wait_until
from tests.conftest import CLIENTS
from tests.e2e.clients import gift, offering
from tests.e2e.federation.stage import found

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

COUNT = 4
ETHER = 10**18
NewAccount = Callable[..., "LocalAccount"]


def soon() -> float:
    return time.time() + 60


@pytest.fixture(scope="module", params=CLIENTS)
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chain]:
    """A chain of each client in turn, for the tests of this module together."""
    if request.param == "geth":
        request.getfixturevalue("geth_binary")
    with CLIENTS[request.param](tmp_path_factory.mktemp(request.param) / "log") as chain:
        yield chain


@pytest.fixture
def sender(client: Chain, new_account: NewAccount) -> Iterator[Sender]:
    with Connection(client.url) as connection:
        yield Sender(connection, new_account(10, chain=client), stuck_after_s=0.5)


def test_a_federation_reaches_its_second_version(
    client: Chain, tmp_path: Path, new_account: NewAccount
) -> None:
    stage = found(client, f"local:{tmp_path / 'store'}", tmp_path / "stage", COUNT)
    accounts = [new_account(chain=client) for _ in range(COUNT)]
    with Processes(tmp_path / "logs") as nodes:
        for index, account in enumerate(accounts):
            stage.start(nodes, index, account)

        def there() -> bool:
            for node in nodes:
                node.require_running()
            return stage.federation.head().version >= 2

        wait_until(there, seconds=240, what="version 2")

    history, report = stage.history, stage.audit()
    assert report.ok, report
    assert len(report.versions) >= 2
    assert all(account.address in history.participants for account in accounts)
    assert not history.slashes


def test_sending_again_is_no_error_before_and_after_it_is_mined(sender: Sender) -> None:
    signed = sender.sign(gift())
    for _ in range(2):
        sender.broadcast(signed)
    assert sender.wait(signed, deadline_s=soon()).ok
    sender.broadcast(signed)
    assert sender.connection.nonce(sender.address) == 1


def test_a_nonce_used_elsewhere_is_named(sender: Sender) -> None:
    signed = sender.sign(gift())
    Sender(sender.connection, sender.account).send(gift(2))
    with pytest.raises(NonceTaken, match="same key in use elsewhere"):
        sender.broadcast(signed)


def test_money_spent_since_the_signing_is_missed(sender: Sender) -> None:
    first, second = sender.sign(gift(6 * ETHER)), sender.sign(gift(6 * ETHER))
    sender.broadcast(first)
    sender.wait(first, deadline_s=soon())
    with pytest.raises(InsufficientFunds, match="send it at least"):
        sender.broadcast(second)


def test_a_nonce_that_comes_too_early_is_not_taken_for_a_used_one(sender: Sender) -> None:
    first, second = sender.sign(gift()), sender.sign(gift(2))
    sender.broadcast(second)
    sender.broadcast(first)
    assert sender.wait(first, deadline_s=soon()).ok
    assert sender.wait(second, deadline_s=soon()).ok


@pytest.mark.parametrize("fee_wei", [1, 7])
def test_a_fee_from_before_fees_rose_is_replaced(sender: Sender, fee_wei: int) -> None:
    cheap, newer = offering(sender, fee_wei), list[SignedTransaction]()
    sender.broadcast(cheap)
    receipt = sender.wait(cheap, deadline_s=soon(), on_replace=newer.append)
    assert receipt.hash == newer[-1].hash != cheap.hash
    assert sender.receipt(cheap.hash) is None
