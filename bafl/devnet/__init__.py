"""A chain and an IPFS daemon of one's own, under supervision: for the CLI, the demo and tests."""

from bafl.devnet.anvil import Account, Anvil, find_anvil
from bafl.devnet.kubo import Kubo, find_kubo
from bafl.devnet.processes import (
    BinaryMissingError,
    NotReadyError,
    PortTakenError,
    Processes,
    ProcessFailedError,
    Supervised,
    free_port,
    wait_until,
)

__all__ = [
    "Account",
    "Anvil",
    "BinaryMissingError",
    "Kubo",
    "NotReadyError",
    "PortTakenError",
    "ProcessFailedError",
    "Processes",
    "Supervised",
    "find_anvil",
    "find_kubo",
    "free_port",
    "wait_until",
]
