"""A chain and an IPFS daemon of one's own, under supervision: for the CLI, the demo and tests."""

from bafl.devnet.anvil import Anvil, find_anvil
from bafl.devnet.chain import Account, Chain
from bafl.devnet.geth import Geth, find_geth
from bafl.devnet.hardhat import Hardhat, find_hardhat
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
    "Chain",
    "Geth",
    "Hardhat",
    "Kubo",
    "NotReadyError",
    "PortTakenError",
    "ProcessFailedError",
    "Processes",
    "Supervised",
    "find_anvil",
    "find_geth",
    "find_hardhat",
    "find_kubo",
    "free_port",
    "wait_until",
]
