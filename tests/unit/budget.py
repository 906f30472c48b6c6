"""How many examples a property is tried on: few in CI, FUZZ_RUNS=100000 for a long form."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings


def examples(few: int) -> settings:
    """Hypothesis's settings for a test that a stranger's input goes into."""
    return settings(
        max_examples=max(few, int(os.environ.get("FUZZ_RUNS", "0"))),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
