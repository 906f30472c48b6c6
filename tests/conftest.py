"""What tests share: one Anvil and one Kubo a run, other chains, and accounts of a test's own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bafl.devnet import (
    Anvil,
    BinaryMissingError,
    Chain,
    Geth,
    Hardhat,
    Kubo,
    find_geth,
    find_kubo,
)

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

    def make(ether: float = 100, chain: Chain = anvil) -> LocalAccount:
        from eth_account import Account

        account: LocalAccount = Account.from_key(secrets.token_bytes(32))
        chain.fund(account.address, int(ether * ETHER))
        return account

    return make


def insist_in_ci(find: Callable[[], Path], name: str) -> Path:
    """A program. Without it: a failure in CI, elsewhere a skip that says how to get it."""
    try:
        return find()
    except BinaryMissingError as missing:
        if os.environ.get("CI"):
            pytest.fail(f"CI needs {name}: {missing}", pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def kubo_binary() -> Path:
    """Kubo's program; see `insist_in_ci`."""
    return insist_in_ci(find_kubo, "Kubo")


@pytest.fixture(scope="session")
def geth_binary() -> Path:
    """geth's program; see `insist_in_ci`."""
    return insist_in_ci(find_geth, "geth")


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


CLIENTS: dict[str, Callable[[Path], Chain]] = {
    "anvil": lambda log: Anvil(mine_every_s=1, log=log),
    "hardhat": lambda log: Hardhat(mine_every_s=1, log=log),
    "geth": lambda log: Geth(block_time_s=1, log=log),
}


@pytest.fixture(params=CLIENTS)
def any_chain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Chain]:
    """A chain for one test, of each client in turn; time passes on it by itself."""
    if request.param == "geth":
        request.getfixturevalue("geth_binary")
    with CLIENTS[request.param](tmp_path / "chain.log") as chain:
        yield chain
