"""The example files are valid, and their tasks take their settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bafl.settings import FederationSettings, NodeSettings

EXAMPLES = sorted(Path("examples").glob("*/federation.toml"))
PAIRS = [path for path in EXAMPLES if (path.parent / "node.toml").exists()]


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.parent.name)
def test_an_example_is_valid(path: Path) -> None:
    from bafl.tasks import ready

    federation = FederationSettings.load(path)
    node = NodeSettings.load(path.parent / "node.toml")
    given: dict[str, Any] = {**federation.task.settings, **node.task.settings}
    settings = ready.ReadySettings(**given)
    assert federation.task.name in ready.names()
    assert settings.participant == 0


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_unbonding_outlasts_the_ring(path: Path) -> None:
    """The contract would refuse it otherwise; see `IFederation.Parameters`."""
    p = FederationSettings.load(path).parameters
    life = 2 * p.max_wait + 8 * (p.commit_period + p.reveal_period + 3 * p.attest_period)
    assert p.unbonding_period >= life


def test_there_are_examples() -> None:
    assert {path.parent.name for path in PAIRS} == {"digits", "heart"}
