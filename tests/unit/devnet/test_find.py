from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from bafl.devnet import (
    BinaryMissingError,
    find,
    find_anvil,
    find_geth,
    find_hardhat,
    find_kubo,
    geth,
    kubo,
)
from bafl.devnet.find import cached
from bafl.devnet.hardhat import find_node

FINDERS = {
    "anvil": ("BAFL_ANVIL", find_anvil),
    "ipfs": ("BAFL_IPFS", find_kubo),
    "geth": ("BAFL_GETH", find_geth),
}
BUILT = {"ipfs": kubo.VERSION, "geth": geth.VERSION}
"""Programs that scripts build, and their versions."""


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any of the programs: returns its working folder."""
    work = tmp_path / "home" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for variable, _ in FINDERS.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(find, "__file__", str(tmp_path / "site" / "bafl" / "devnet" / "find.py"))
    return work


def npm_anvil(folder: Path) -> Path:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"anvil-{platform.system().lower()}-{machine}"
    return folder / "node_modules" / "@foundry-rs" / package / "bin" / "anvil"


def test_a_missing_anvil_says_how_to_get_one(bare: Path) -> None:
    with pytest.raises(BinaryMissingError, match=r"npm install @foundry-rs/anvil.*BAFL_ANVIL"):
        find_anvil()


def test_a_missing_kubo_says_how_to_get_one(bare: Path) -> None:
    with pytest.raises(BinaryMissingError, match=r"make kubo.*BAFL_IPFS"):
        find_kubo()


def test_a_missing_geth_says_how_to_get_one(bare: Path) -> None:
    with pytest.raises(BinaryMissingError, match=r"make geth.*BAFL_GETH"):
        find_geth()


def test_a_missing_hardhat_or_node_says_how_to_get_one(bare: Path) -> None:
    with pytest.raises(BinaryMissingError, match=r"make setup.*npm install hardhat"):
        find_hardhat()
    with pytest.raises(BinaryMissingError, match="install Node 22"):
        find_node()


def test_the_node_that_the_setup_installed_comes_first(bare: Path, tmp_path: Path) -> None:
    """The set-up installs one where the machine's own is too old for Hardhat."""
    on_path = program(tmp_path / "bin" / "node")
    assert find_node() == on_path
    own = program(tmp_path / "site/tools/node/node_modules/node/bin/node")
    assert find_node() == own


def test_anvil_is_found_in_node_modules_of_the_working_folder_or_above(bare: Path) -> None:
    above = program(npm_anvil(bare.parent))
    assert find_anvil() == above
    here = program(npm_anvil(bare))
    assert find_anvil() == here


def test_anvil_is_found_in_node_modules_of_the_source_tree(bare: Path, tmp_path: Path) -> None:
    tree = program(npm_anvil(tmp_path / "site"))
    assert find_anvil() == tree


def test_a_file_that_cannot_be_run_is_not_taken_for_anvil(bare: Path) -> None:
    program(npm_anvil(bare)).chmod(0o644)
    with pytest.raises(BinaryMissingError):
        find_anvil()


@pytest.mark.parametrize("name", BUILT)
def test_what_a_script_built_is_found(bare: Path, tmp_path: Path, name: str) -> None:
    kept = program(cached(name, BUILT[name]))
    assert kept.is_relative_to(tmp_path / "cache" / "bafl")
    _, find_it = FINDERS[name]
    assert find_it() == kept
    built = program(tmp_path / "site" / "build" / "tools" / name)
    assert find_it() == built


@pytest.mark.parametrize("name", FINDERS)
def test_programs_on_path_come_before_built_ones(bare: Path, tmp_path: Path, name: str) -> None:
    program(npm_anvil(bare))
    program(cached(name, BUILT.get(name, "")))
    on_path = program(tmp_path / "bin" / name)
    assert FINDERS[name][1]() == on_path


@pytest.mark.parametrize("name", FINDERS)
def test_the_environment_comes_first(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    variable, find_it = FINDERS[name]
    program(tmp_path / "bin" / name)
    chosen = program(tmp_path / "chosen")
    monkeypatch.setenv(variable, str(chosen))
    assert find_it() == chosen


@pytest.mark.parametrize("name", FINDERS)
@pytest.mark.parametrize("make_it", ["nothing", "folder", "text"])
def test_a_variable_that_names_no_program_is_refused_by_name(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, make_it: str
) -> None:
    path = tmp_path / "chosen"
    if make_it == "folder":
        path.mkdir()
    if make_it == "text":
        path.write_text("hello")
    variable, find_it = FINDERS[name]
    monkeypatch.setenv(variable, str(path))
    with pytest.raises(BinaryMissingError, match=f"{variable} is {path}, which is not a program"):
        find_it()


@pytest.mark.parametrize(
    ("tool", "requirement"),
    [
        ("kubo", f"github.com/ipfs/kubo v{kubo.VERSION}"),
        ("geth", f"github.com/ethereum/go-ethereum v{geth.VERSION}"),
    ],
)
def test_what_is_built_is_the_version_that_is_named(tool: str, requirement: str) -> None:
    module = Path(__file__).resolve().parents[3] / "tools" / tool / "go.mod"
    assert f"require {requirement}{os.linesep}" in module.read_text()
