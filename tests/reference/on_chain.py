"""The contract's own tally, asked on an Anvil."""

from __future__ import annotations

from typing import Final

from eth_abi.abi import decode, encode
from eth_account import Account
from eth_utils.crypto import keccak

from bafl.chain.abi import artifact
from bafl.chain.calls import Creation
from bafl.chain.connection import Connection
from bafl.chain.sender import Sender
from bafl.devnet import Anvil
from tests.reference.tally import Input, Output, Verdict, pack_scores

# A library names its structs in the text that its selectors are hashes of.
_SELECTOR: Final = keccak(text="tally(Tally.Input)")[:4]
_INPUT: Final = (
    "(uint256[],uint256[],uint256[],uint256[],uint256,uint256[],uint256[],uint256[],uint256[],"
    "uint256[],bool,int256)"
)
_OUTPUT: Final = "(int256[],uint256[],uint256[],uint256,int256[],uint256)"
GAS_LIMIT: Final = 3_000_000 + 600_000
"""What a tally may cost at most; 600,000 for the call and its calldata."""


class ChainTally:
    """The shipped Tally library, deployed once; calling this object asks it for verdicts."""

    def __init__(self, anvil: Anvil) -> None:
        """Deploy on `anvil`, which must be running."""
        self._anvil = anvil
        deployer = Sender(Connection(anvil.url), Account.from_key(anvil.accounts[0].key))
        created = deployer.send(Creation("Tally", artifact("Tally").initcode({})))
        self._address = created.contract

    def __call__(self, window: Input) -> Output:
        """Return the contract's verdicts of a window."""
        values = (
            [pack_scores(row) for row in window.scores],
            window.weights,
            window.keeps,
            window.seats,
            window.active_weight,
            window.author_seat,
            window.author_weight,
            window.reputations,
            window.samples,
            window.staleness,
            window.trust_samples,
            window.reject_below,
        )
        data = _SELECTOR + encode([_INPUT], [values])
        call = {"to": self._address, "data": "0x" + data.hex(), "gas": hex(GAS_LIMIT)}
        answer = bytes.fromhex(self._anvil.rpc("eth_call", call, "latest")[2:])
        (found,) = decode([_OUTPUT], answer)
        consensus, verdicts, shares, keep, agreement, overruled = found
        return Output(
            consensus=consensus,
            verdicts=tuple(Verdict(v) for v in verdicts),
            shares=shares,
            keep=keep,
            agreement=agreement,
            overruled=overruled,
        )
