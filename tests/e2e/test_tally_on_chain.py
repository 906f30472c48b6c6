"""The tally that is deployed decides what its slow reference decides, for any window."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, event, given, settings

from bafl.devnet import Anvil
from tests.reference.on_chain import ChainTally
from tests.reference.tally import NO_AGREEMENT, PPM, Input, tally
from tests.reference.windows import windows

SHARE_TOLERANCE_PPM = 2


@pytest.fixture(scope="module")
def chain_tally(anvil: Anvil) -> ChainTally:
    return ChainTally(anvil)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(window=windows())
def test_the_deployed_tally_decides_what_the_reference_does(
    chain_tally: ChainTally, window: Input
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
