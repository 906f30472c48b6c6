"""What `status` says of a standing is for people."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from bafl.chain.abi import interface, signature
from bafl.cli.verbs.status import _can_submit, _counted
from tests.unit.views import IDLE, view

REFUSALS = (
    *("IsClosed", "IsPaused", "NotTrainer", "JailedUntil", "StakeBelowMinimum"),
    *("BaseNotNewer", "AlreadyInWindow", "TooManyPending", "QueueFull"),
)
"""All that the lens gives as the reason."""


def selector(name: str) -> bytes:
    (found,) = [e for e in interface("Federation").errors.values() if e["name"] == name]
    return keccak(text=signature(found))[:4]


@pytest.mark.parametrize("name", REFUSALS)
def test_no_refusal_is_shown_by_its_name(name: str) -> None:
    told = _can_submit(view(replace(IDLE, submit_refusal=selector(name))))
    assert told.startswith("no: ")
    assert name not in told


def test_who_leaves_or_has_submitted_is_told_so() -> None:
    leaving = view(replace(IDLE, submit_refusal=selector("NotTrainer")))
    assert _can_submit(leaving) == "no: not a trainer"
    leaving = replace(leaving, participant=replace(leaving.participant, exit_at_s=5))
    assert _can_submit(leaving) == "no: leaving"
    submitted = view(replace(IDLE, submit_refusal=selector("BaseNotNewer")))
    assert "already has an update on the latest version" in _can_submit(submitted)
    assert _can_submit(view(replace(IDLE, can_submit=True))) == "yes, on the latest version"


def test_one_is_no_plural() -> None:
    assert [_counted(n, "trainer") for n in (0, 1, 2)] == ["0 trainers", "1 trainer", "2 trainers"]
