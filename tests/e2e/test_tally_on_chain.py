"""The tally that is deployed decides what its slow reference decides, for any window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, event, given, settings

from bafl.chain.abi import artifact
from bafl.devnet import Anvil, wait_until
from tests.reference.tally import (
    NO_AGREEMENT,
    PPM,
    Input,
    Output,
    Verdict,
    pack_scores,
    tally,
)
from tests.reference.windows import windows

# A library's struct enters the selector by its name, and its values as a tuple.
SELECTOR = keccak(text="tally(Tally.Input)")[:4]
INPUT = (
    "(uint256[],uint256[],uint256[],uint256[],uint256,"
    "uint256[],uint256[],uint256[],uint256[],uint256[],bool,int256)"
)
OUTPUT = "(int256[],uint256[],uint256[],uint256,int256[],uint256)"
GAS_LIMIT = 3_000_000 + 600_000  # what a tally may cost at most; 600,000 for call and calldata
SHARE_TOLERANCE_PPM = 2

Tally = Callable[[Input], Output]


@pytest.fixture(scope="module")
def chain_tally(anvil: Anvil) -> Tally:
    """The library as deployed from the package's artifact, called over RPC."""
    sender = anvil.accounts[0].address
    creation = {"from": sender, "data": "0x" + artifact("Tally").initcode({}).hex()}
    sent = anvil.rpc("eth_sendTransaction", creation)
    receipts: list[Any] = []  # Anvil mines at once, but after its answer

    def is_mined() -> bool:
        receipts.append(anvil.rpc("eth_getTransactionReceipt", sent))
        return receipts[-1] is not None

    wait_until(is_mined, "the library")
    address = receipts[-1]["contractAddress"]

    def call(window: Input) -> Output:
        data = "0x" + (SELECTOR + encode([INPUT], [_values(window)])).hex()
        message = {"to": address, "data": data, "gas": hex(GAS_LIMIT)}
        raw = bytes.fromhex(anvil.rpc("eth_call", message, "latest")[2:])
        consensus, verdicts, shares, keep, agreement, overruled = decode([OUTPUT], raw)[0]
        return Output(consensus, tuple(map(Verdict, verdicts)), shares, keep, agreement, overruled)

    return call


def _values(window: Input) -> tuple[object, ...]:
    return (
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


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(window=windows())
def test_the_deployed_tally_decides_what_the_reference_does(
    chain_tally: Tally, window: Input
) -> None:
    given_, expected = chain_tally(window), tally(window)
    event(f"best verdict {max(expected.verdicts).name}")
    event(f"agreements exist: {any(rho != NO_AGREEMENT for rho in expected.agreement)}")
    event(f"overruled: {expected.overruled != 0}")
    assert given_.consensus == expected.consensus
    assert given_.verdicts == expected.verdicts
    assert given_.keep == expected.keep
    assert given_.agreement == expected.agreement
    assert given_.overruled == expected.overruled
    assert sum(given_.shares) <= PPM
    for share, reference in zip(given_.shares, expected.shares, strict=True):
        assert abs(share - reference) <= SHARE_TOLERANCE_PPM
