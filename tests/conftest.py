"""What tests share: one Anvil and one Kubo a run, and accounts of a test's own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bafl.devnet import Anvil, BinaryMissingError, Kubo, find_kubo

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

ETHER = 10**18
TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in tests/e2e, and run it after everything else."""
    for item in items:
        if item.path.is_relative_to(TESTS / "e2e"):
            item.add_marker("e2e")
    items.sort(key=lambda item: item.get_closest_marker("e2e") is not None)


@pytest.fixture(scope="session")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    """A chain for the whole run, a block a transaction. Nobody moves its clock: `own_anvil`."""
    with Anvil(log=tmp_path_factory.mktemp("anvil") / "anvil.log") as chain:
        yield chain


@pytest.fixture
def own_anvil(tmp_path: Path) -> Iterator[Anvil]:
    """A chain for one test, which may move its clock, kill it and start it again."""
    with Anvil(state=tmp_path / "chain" / "state.json", log=tmp_path / "anvil.log") as chain:
        yield chain


@pytest.fixture
def new_account(anvil: Anvil) -> Callable[..., LocalAccount]:
    """`new_account(ether=100)`: a key nobody else has, with money on the chain of the run."""

    def make(ether: float = 100, chain: Anvil = anvil) -> LocalAccount:
        from eth_account import Account

        account: LocalAccount = Account.from_key(secrets.token_bytes(32))
        chain.set_balance(account.address, int(ether * ETHER))
        return account

    return make


@pytest.fixture(scope="session")
def kubo_binary() -> Path:
    """Kubo's program. Without one: a failure in CI, elsewhere a skip that says how to get it."""
    try:
        return find_kubo()
    except BinaryMissingError as missing:
        if os.environ.get("CI"):
            pytest.fail(f"CI needs Kubo: {missing}", pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def kubo(kubo_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubo]:
    """An IPFS daemon for the whole run, offline."""
    with Kubo(tmp_path_factory.mktemp("kubo") / "repo") as daemon:
        yield daemon


@pytest.fixture
def own_kubo(kubo_binary: Path, tmp_path: Path) -> Iterator[Kubo]:
    """An IPFS daemon for one test, which may kill it and start it again."""
    with Kubo(tmp_path / "repo") as daemon:
        yield daemon
