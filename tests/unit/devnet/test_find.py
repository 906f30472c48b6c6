from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from bafl.devnet import BinaryMissingError, anvil, find_anvil, find_kubo, kubo
from bafl.devnet.kubo import VERSION, cached_kubo


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
    for variable in ("BAFL_ANVIL", "BAFL_IPFS"):
        monkeypatch.delenv(variable, raising=False)
    for module in (anvil, kubo):
        monkeypatch.setattr(module, "__file__", str(tmp_path / "site" / "bafl" / "devnet" / "x.py"))
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


def test_kubo_is_found_where_it_was_built(bare: Path, tmp_path: Path) -> None:
    cached = program(cached_kubo())
    assert cached.is_relative_to(tmp_path / "cache" / "bafl")
    assert find_kubo() == cached
    built = program(tmp_path / "site" / "build" / "tools" / "ipfs")
    assert find_kubo() == built


def test_programs_on_path_come_before_built_ones(bare: Path, tmp_path: Path) -> None:
    program(npm_anvil(bare))
    program(cached_kubo())
    on_path = [program(tmp_path / "bin" / name) for name in ("anvil", "ipfs")]
    assert [find_anvil(), find_kubo()] == on_path


def test_the_environment_comes_first(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = program(tmp_path / "chosen")
    for name, variable in (("anvil", "BAFL_ANVIL"), ("ipfs", "BAFL_IPFS")):
        program(tmp_path / "bin" / name)
        monkeypatch.setenv(variable, str(chosen))
    assert find_anvil() == find_kubo() == chosen


@pytest.mark.parametrize("variable", ["BAFL_ANVIL", "BAFL_IPFS"])
@pytest.mark.parametrize("make_it", ["nothing", "folder", "text"])
def test_a_variable_that_names_no_program_is_refused_by_name(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, make_it: str
) -> None:
    path = tmp_path / "chosen"
    if make_it == "folder":
        path.mkdir()
    if make_it == "text":
        path.write_text("hello")
    monkeypatch.setenv(variable, str(path))
    with pytest.raises(BinaryMissingError, match=f"{variable} is {path}, which is not a program"):
        (find_anvil if variable == "BAFL_ANVIL" else find_kubo)()


def test_the_kubo_that_is_built_is_the_version_that_is_named() -> None:
    module = Path(__file__).resolve().parents[3] / "tools" / "kubo" / "go.mod"
    assert f"github.com/ipfs/kubo v{VERSION}{os.linesep}" in module.read_text()
