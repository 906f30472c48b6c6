"""Putting federations on a chain, and finding where one began."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from eth_utils.crypto import keccak

from bafl.chain.abi import address_of, artifact, checksum, interface, plain
from bafl.chain.calls import Call, Creation
from bafl.chain.errors import RpcError
from bafl.errors import ChainError

if TYPE_CHECKING:
    from bafl.chain.connection import Connection
    from bafl.chain.sender import Sender
    from bafl.types import Genesis, Parameters


@dataclass(frozen=True, slots=True)
class Support:
    """Contracts that all federations of a chain share; addresses."""

    members: str
    judging: str
    lens: str
    registry: str


_ARTIFACTS = {
    "members": "Members",
    "judging": "Judging",
    "lens": "FederationLens",
    "registry": "FederationRegistry",
}
"""The contract of each field of `Support`."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A federation that was just created. block: where its log begins."""

    address: str
    block: int


def deploy_support(sender: Sender, known: Support | None = None) -> Support:
    """Deploy libraries, lens and registry, once a chain; those of `known` are checked and reused.

    Raises ChainError where `known` names an address without code.
    """
    if known is not None:
        for name, address in asdict(known).items():
            if not sender.connection.code(address_of(address, name)):
                raise ChainError(
                    f"{name} {address}: no contract is there; deploy the supporting contracts again"
                )
        return known
    created = [_create(sender, creation) for creation in creations()]
    return Support(**dict(zip(_ARTIFACTS, created, strict=True)))


def creations() -> list[Creation]:
    """What `deploy_support` sends, in its order."""
    return [Creation(name, artifact(name).initcode({})) for name in _ARTIFACTS.values()]


def is_current(connection: Connection, support: Support) -> bool:
    """Whether these contracts are on the chain, and are those that this BAFL ships."""
    for field, address in asdict(support).items():
        runtime = artifact(_ARTIFACTS[field]).runtime
        if runtime is None or not runtime.matches(connection.code(address)):
            return False
    return True


def federation_initcode(
    support: Support, owner: str, genesis: Genesis, parameters: Parameters
) -> bytes:
    """A federation's creation code, for `deploy_federation` or for a deployment by other means."""
    return artifact("Federation").initcode(
        {"Members": support.members, "Judging": support.judging},
        address_of(owner, "owner"),
        support.lens,
        (genesis.manifest.digest, genesis.model.digest, genesis.model.codec),
        plain(parameters),
    )


def deploy_federation(
    sender: Sender,
    support: Support,
    owner: str,
    genesis: Genesis,
    parameters: Parameters,
    salt: bytes,
) -> Deployed:
    """Create a federation through the registry, which also announces it.

    salt: 32 bytes; the same sender, salt and arguments give the same address, and only once.
    Raises ContractRefusal (ParameterOutOfRange, …), InsufficientFunds, ChainError.
    """
    initcode = federation_initcode(support, owner, genesis, parameters)
    call = Call("deploy", (salt, initcode), to=support.registry, contract="FederationRegistry")
    abi = interface("FederationRegistry")
    of = abi.encode("addressOf", (sender.address, salt, keccak(initcode)))
    address = checksum(abi.decode("addressOf", sender.connection.call(support.registry, of))[0])
    receipt = sender.send(call)
    if not sender.connection.code(address, receipt.block):
        raise ChainError(
            f"the registry {support.registry} created no contract at {address}: is it BAFL's?"
        )
    return Deployed(address, receipt.block)


def find_creation_block(connection: Connection, address: str) -> int:
    """The first block in which a contract exists, by binary search on its code.

    Where the node keeps no state of old blocks: the first block whose state it has and in which
    the contract is missing, plus one; 0 if there is none such (its whole log is read then).
    """
    low, high = 0, connection.latest().number
    if not connection.code(address, high):
        raise ChainError(f"there is no contract at {address} on chain {connection.chain_id}")
    while low < high:
        middle = (low + high) // 2
        try:
            there = bool(connection.code(address, middle))
        except RpcError:
            # It answered the same for the newest block, so state this old is pruned: nothing tells
            # what was there, so begin at the beginning.
            return low
        if there:
            high = middle
        else:
            low = middle + 1
    return low


def _create(sender: Sender, creation: Creation) -> str:
    receipt = sender.send(creation)
    if receipt.contract is None or not sender.connection.code(receipt.contract):
        raise ChainError(f"{creation.name}: the transaction created no contract")
    return receipt.contract
