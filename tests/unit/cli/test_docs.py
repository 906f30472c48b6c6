"""The page about the command line names what there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from bafl.cli.app import SECTIONS
from bafl.settings import FederationSettings, NodeSettings, RunTable

PAGE = Path("docs/cli.md").read_text("utf-8")


def test_every_verb_is_on_the_page() -> None:
    for verbs in SECTIONS.values():
        for verb in verbs:
            assert re.search(rf"`{verb}\b", PAGE), verb


def test_every_setting_is_on_the_page() -> None:
    for name in NodeSettings.model_fields:
        assert f"`{name}`" in PAGE or f"[{name}]" in PAGE or f"`{name}." in PAGE, name
    for name in RunTable.model_fields:
        assert f"`run.{name}`" in PAGE, name
    for name in FederationSettings.model_fields:
        assert f"`{name}`" in PAGE or f"`[{name}]`" in PAGE, name


def test_every_variable_on_the_page_is_read_somewhere() -> None:
    code = "".join(path.read_text("utf-8") for path in Path("bafl").rglob("*.py"))
    made = {f"BAFL_{name.upper()}" for name in NodeSettings.model_fields}
    for name in set(re.findall(r"BAFL_[A-Z_]+", PAGE)):
        assert name in code or name in made, name
