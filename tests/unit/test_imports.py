"""The package is light until something is asked of it, and its public names are all there."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

import bafl
from bafl.cli.app import SECTIONS

HEAVY = ("torch", "web3", "numpy", "sklearn", "ipfshttpclient", "matplotlib", "pydantic")


def loaded_after(statement: str) -> list[str]:
    """Which heavy libraries a new interpreter has loaded after a statement."""
    script = (
        "import sys, json, contextlib, io\n"
        f"with contextlib.redirect_stdout(io.StringIO()):\n    {statement}\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded: list[str] = json.loads(done.stdout)
    return loaded


def test_the_check_itself_sees_a_heavy_library() -> None:
    assert loaded_after("import numpy") == ["numpy"]


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import bafl") == []


def test_help_loads_nothing_heavy() -> None:
    assert loaded_after("from bafl.cli import main; main(['--help'])") == []


def test_the_help_of_no_verb_loads_anything_heavy() -> None:
    verbs = [verb for verbs in SECTIONS.values() for verb in verbs]
    calls = "; ".join(f"main(['{verb}', '--help'])" for verb in verbs)
    assert loaded_after(f"from bafl.cli import main; {calls}") == []


@pytest.mark.parametrize("name", bafl.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(bafl, name) is not None
    assert name in dir(bafl)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Fedration'"):
        _ = bafl.Fedration


@pytest.mark.parametrize("name", bafl.__all__)
def test_no_public_name_is_hidden_by_a_module_of_the_same_name(name: str) -> None:
    """Importing `bafl.<name>` would put the module in the place of what the name promises."""
    assert importlib.util.find_spec(f"bafl.{name}") is None
