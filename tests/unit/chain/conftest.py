"""A connection to the run's chain, a proxy before it, and a probe contract of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bafl.chain.abi import Artifact, Interface
from bafl.chain.calls import Creation
from bafl.chain.compile import compile_contracts
from bafl.chain.connection import Connection
from bafl.chain.sender import Sender
from bafl.devnet import Anvil
from tests.foreign import ForeignCall
from tests.unit.chain.proxy import Proxy

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Probe:
    """tests/contracts/Probe.sol on a chain."""

    address: str
    interface: Interface
    block: int

    def call(self, name: str, *arguments: Any, value_wei: int = 0) -> Any:
        return ForeignCall(name, self.interface.encode(name, arguments), self.address, value_wei)

    def count(self, connection: Connection) -> int:
        answer = connection.call(self.address, self.interface.encode("count", ()))
        return int(self.interface.decode("count", answer)[0])


@pytest.fixture(scope="session")
def probe_artifact() -> Artifact:
    modules = ROOT / "node_modules"
    files = [ROOT / "tests" / "contracts" / "Probe.sol"]
    return compile_contracts(files, ["Probe"], modules=modules)["Probe"]


@pytest.fixture
def connection(anvil: Anvil) -> Iterator[Connection]:
    with Connection(anvil.url, patience_s=5) as opened:
        yield opened


@pytest.fixture
def sender(connection: Connection, new_account: Callable[..., LocalAccount]) -> Sender:
    return Sender(connection, new_account())


@pytest.fixture
def deploy_probe(probe_artifact: Artifact) -> Callable[[Sender], Probe]:
    def deploy(sender: Sender) -> Probe:
        receipt = sender.send(Creation("Probe", probe_artifact.initcode({})))
        assert receipt.contract is not None
        return Probe(receipt.contract, Interface(probe_artifact.abi), receipt.block)

    return deploy


@pytest.fixture
def probe(deploy_probe: Callable[[Sender], Probe], sender: Sender) -> Probe:
    return deploy_probe(sender)


@pytest.fixture
def proxy(anvil: Anvil) -> Iterator[Proxy]:
    with Proxy(anvil.url) as running:
        yield running
