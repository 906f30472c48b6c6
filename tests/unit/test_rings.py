"""Which rooms may know which, and what is slow to import is imported late."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SLOW = {"ipfshttpclient", "matplotlib", "numpy", "safetensors", "sklearn", "torch", "web3"}


def test_imports_point_inward_only() -> None:
    """The contracts are in pyproject.toml; a module that has no ring yet belongs there too."""
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as main; main()",
    ]
    done = subprocess.run(
        [*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", ["bafl", "bafl.types", "bafl.errors", "bafl.protocol"])
def test_importing_the_core_loads_nothing_slow(module: str) -> None:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "bafl" in loaded
    assert not loaded & SLOW
