"""Whole federations: real processes, a real chain, a real IPFS daemon, real data."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bafl.codec.model import read_model
from bafl.devnet import Anvil, Kubo, Processes, wait_until
from bafl.replay import Federal, model
from bafl.store.base import open_store
from tests.e2e.federation.softmax import Softmax
from tests.e2e.federation.stage import Stage, found

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

COUNT = 4
NewAccount = Callable[..., "LocalAccount"]


@pytest.fixture
def ticking(tmp_path: Path) -> Iterator[Anvil]:
    """A chain on which time passes by itself."""
    with Anvil(mine_every_s=1, log=tmp_path / "anvil.log") as chain:
        yield chain


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "logs") as group:
        yield group


def reach(stage: Stage, processes: Processes, version: int, seconds: float = 240) -> None:
    """Wait until a version is final; a participant that ended by itself fails the test."""

    def there() -> bool:
        for process in processes:
            process.require_running()
        return stage.federation.head().version >= version

    wait_until(there, seconds=seconds, what=f"version {version}")


def test_a_federation_reaches_its_third_version_over_kubo(
    ticking: Anvil, kubo: Kubo, processes: Processes, tmp_path: Path, new_account: NewAccount
) -> None:
    stage = found(ticking, f"kubo:{kubo.multiaddr}", tmp_path / "stage", COUNT)
    accounts = [new_account(chain=ticking) for _ in range(COUNT)]
    for index, account in enumerate(accounts):
        stage.start(processes, index, account)
    reach(stage, processes, 3)
    processes.stop()

    history, report = stage.history, stage.audit()
    assert report.ok, report
    assert len(report.versions) >= 3
    assert all(account.address in history.participants for account in accounts)
    assert not history.slashes
    task, federal = Softmax(0, COUNT), Federal(stage.chain_id, stage.address, stage.manifest)
    accuracy = [
        task.test(dict(read_model(path, stage.manifest).tensors)).metric
        for path in (model(federal, history, v, stage.shelf("tests")) for v in (0, 3))
    ]
    assert accuracy[1] > accuracy[0] + 0.3


def test_payloads_travel_between_the_daemons_of_a_federation(
    ticking: Anvil,
    kubo_binary: Path,
    processes: Processes,
    tmp_path: Path,
    new_account: NewAccount,
) -> None:
    with (
        Kubo(tmp_path / "a", online=True) as first,
        Kubo(tmp_path / "b", online=True) as second,
    ):
        second.connect(first.peer_multiaddr)
        here = found(ticking, f"kubo:{first.multiaddr}", tmp_path / "here", COUNT)
        there = replace(here, store=f"kubo:{second.multiaddr}", home=str(tmp_path / "there"))
        Path(there.home).mkdir()
        assert [open_store(s.store).has(here.history.genesis) for s in (here, there)] == [1, 0]
        accounts = [new_account(chain=ticking) for _ in range(COUNT)]
        for index, account in enumerate(accounts):
            (here, there)[index % 2].start(processes, index, account)
        reach(here, processes, 2)
        processes.stop()

        history = here.history
        for stage, daemon, strangers in (
            (here, first, accounts[1::2]),
            (there, second, accounts[::2]),
        ):
            made = {record.root for a in strangers for record in history.updates_by(a.address)}
            came = {root for root in made if open_store(stage.store).has(root)}
            assert came  # each of them one block
            assert daemon.rpc("bitswap/stat")["BlocksReceived"] >= len(came)
        # Each daemon alone has all that the audit needs.
        for stage, other in ((here, second), (there, first)):
            other.stop()
            report = stage.audit()
            other.start()
            assert report.ok, report
            assert len(report.versions) >= 2


@pytest.mark.parametrize("seed", [1, 2])
def test_a_node_killed_at_any_boundary_goes_on_without_loss_or_doubling(
    ticking: Anvil, processes: Processes, tmp_path: Path, new_account: NewAccount, seed: int
) -> None:
    stage = found(ticking, f"local:{tmp_path / 'store'}", tmp_path / "stage", COUNT)
    accounts = [new_account(chain=ticking) for _ in range(COUNT)]
    for index, account in enumerate(accounts[1:], start=1):
        stage.start(processes, index, account)
    fate, doomed = random.Random(seed), accounts[0]
    for _ in range(8):
        stage.start(processes, 0, doomed, dies_at=fate.randint(1, 12))
        wait_until(lambda: not processes["node0"].running, seconds=120, what="the node to die")
    stage.start(processes, 0, doomed)
    reach(stage, processes, stage.federation.head().version + 2)
    processes.stop()

    history = stage.history
    mine = history.updates_by(doomed.address)
    assert mine
    assert len({record.root for record in mine}) == len(mine), "an update was submitted twice"
    assert len({record.base_version for record in mine}) == len(mine), "a base was trained twice"
    assert not history.slashes
    report = stage.audit()
    assert report.ok, report
    store = open_store(stage.store, "tests")
    settled = [record for record in mine if history.ended(record.window)]
    assert all(store.has(record.root) for record in settled)
