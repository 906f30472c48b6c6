"""The set-up scripts, run in a checkout of their own on a machine that has only what is listed."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASICS = [
    *("bash", "cat", "cksum", "cp", "cut", "dirname", "env", "head", "mkdir", "mv", "rm", "sed"),
    *("sort", "tail", "tr", "uname"),
]


@dataclass
class Machine:
    """A bare machine with a checkout. Programs that are added write their calls to a list."""

    folder: Path

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    @property
    def calls(self) -> list[str]:
        """What the added programs were called with, oldest first."""
        record = self.folder / "calls"
        return record.read_text().splitlines() if record.exists() else []

    def forget(self) -> None:
        (self.folder / "calls").unlink(missing_ok=True)

    def add(self, name: str, script: str, folder: Path | None = None) -> Path:
        """A program that does this and notes its arguments; on PATH unless a folder is given."""
        path = (folder or self.folder / "bin") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/usr/bin/env bash\necho "{name} $*" >>{self.folder}/calls\n{script}\n')
        path.chmod(0o755)
        return path

    def run(self, script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        home = {"PATH": str(self.folder / "bin"), "HOME": str(self.folder)}
        return subprocess.run(
            [str(self.checkout / "scripts" / script), *arguments],
            env=home | env,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "bin").mkdir()
    for name in BASICS:
        program = shutil.which(name)
        assert program, name
        (tmp_path / "bin" / name).symlink_to(program)
    for file in (
        *("scripts/setup", "scripts/kubo", "scripts/geth", "scripts/go-tool"),
        *("requirements.lock", "pyproject.toml", "package-lock.json"),
        *("tools/node/package-lock.json", "tools/kubo/go.mod", "tools/geth/go.mod"),
    ):
        (tmp_path / "checkout" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / "checkout" / file)
    return Machine(tmp_path)


def add_python(machine: Machine, pip: str = "exit 0") -> None:
    """A Python that is new enough and makes an environment with itself in it."""
    script = (
        'case "$*" in --version) echo Python 3.12.1;; '
        f'"-m pip"*) {pip};; '
        '"-m venv"*) mkdir -p $3/bin; cp "$0" $3/bin/python;; esac'
    )
    machine.add("python3", script)


def add_node(machine: Machine, version: str = "v22.13.0") -> None:
    major, minor, _ = version.removeprefix("v").split(".")
    new = int(int(major) < 22 or (int(major) == 22 and int(minor) < 13))
    machine.add("node", f'case "$1" in --version) echo {version};; -e) exit {new};; esac')
    machine.add("npm", 'd=.; [ "$2" != --prefix ] || d=$3; mkdir -p $d/node_modules')


# ----- scripts/setup -----


def test_setup_installs_what_is_pinned_once(machine: Machine) -> None:
    add_python(machine)
    add_node(machine)
    first = machine.run("setup")
    assert first.returncode == 0, first.stderr
    pip = [call for call in machine.calls if "pip install" in call]
    assert len(pip) == 2
    assert "--require-hashes -r requirements.lock" in pip[0]
    assert "--no-deps --no-build-isolation --editable ." in pip[1]
    assert [call for call in machine.calls if call.startswith("npm")] == [
        "npm ci --no-audit --no-fund"
    ]
    machine.forget()
    second = machine.run("setup")
    assert (second.returncode, second.stdout) == (0, "")
    assert not [call for call in machine.calls if "install" in call or call.startswith("npm")]


@pytest.mark.parametrize(
    ("file", "again"), [("requirements.lock", "pip install"), ("package-lock.json", "npm ci")]
)
def test_setup_installs_again_when_a_lock_file_changes(
    machine: Machine, file: str, again: str
) -> None:
    add_python(machine)
    add_node(machine)
    machine.run("setup")
    machine.forget()
    with (machine.checkout / file).open("a") as lock:
        lock.write("\n")
    assert machine.run("setup").returncode == 0
    assert any(again in call for call in machine.calls)


def test_setup_gets_a_newer_node_where_it_is_too_old(machine: Machine) -> None:
    add_python(machine)
    add_node(machine, "v20.9.0")
    # What npm would put there.
    machine.add("node", "echo v22.23.3", machine.checkout / "tools/node/node_modules/node/bin")
    done = machine.run("setup")
    assert done.returncode == 0, done.stderr
    assert [call for call in machine.calls if call.startswith("npm")] == [
        "npm ci --prefix tools/node --no-audit --no-fund",
        "npm ci --no-audit --no-fund",
    ]


def test_setup_says_what_to_do_without_a_python(machine: Machine) -> None:
    done = machine.run("setup")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "apt install python3.11" in done.stderr


def test_setup_says_what_to_do_with_an_old_python(machine: Machine) -> None:
    machine.add("python3", '[ "$1" = --version ] && echo Python 3.8.10; exit 1')
    done = machine.run("setup")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed; found: Python 3.8.10." in done.stderr


@pytest.mark.parametrize("missing", ["node", "npm"])
def test_setup_says_what_to_do_without_node(machine: Machine, missing: str) -> None:
    add_python(machine)
    add_node(machine)
    (machine.folder / "bin" / missing).unlink()
    done = machine.run("setup")
    assert done.returncode == 1
    assert f"{missing} is needed and not on PATH." in done.stderr
    assert "https://nodejs.org" in done.stderr


def test_setup_shows_why_a_download_failed_and_tries_again_next_time(machine: Machine) -> None:
    add_python(machine, "echo no route to host; exit 1")
    add_node(machine)
    done = machine.run("setup")
    assert done.returncode == 1
    assert "no route to host" in done.stderr
    assert "is the network there?" in done.stderr
    add_python(machine)
    shutil.copy(machine.folder / "bin/python3", machine.checkout / ".venv/bin/python")
    assert machine.run("setup").returncode == 0


@pytest.mark.parametrize("how", ["on PATH", "named"])
def test_the_demo_needs_no_node_where_there_is_an_anvil(machine: Machine, how: str) -> None:
    add_python(machine)
    if how == "on PATH":
        machine.add("anvil", "")
    env = {"BAFL_ANVIL": "/opt/anvil"} if how == "named" else {}
    done = machine.run("setup", "demo", **env)
    assert done.returncode == 0, done.stderr
    assert machine.run("setup", **env).returncode == 1  # the tests do


def test_the_demo_says_that_an_anvil_would_do(machine: Machine) -> None:
    add_python(machine)
    done = machine.run("setup", "demo")
    assert done.returncode == 1
    assert "or an Anvil" in done.stderr


# ----- scripts/kubo, scripts/geth -----


@dataclass(frozen=True)
class Tool:
    """A program that a script finds or builds. says: what it answers when asked for its version."""

    script: str
    program: str
    variable: str
    version: str
    old: str
    oldest: str
    missing: str
    says: str = "{}"

    def answer(self, version: str) -> str:
        return self.says.format(version)


TOOLS = [
    Tool("kubo", "ipfs", "BAFL_IPFS", "0.43.0", "0.9.1", "0.40", "Install Kubo 0.43.0 or Go"),
    Tool(
        *("geth", "geth", "BAFL_GETH", "1.16.9", "1.9.25", "1.16", "Install geth 1.16.9 or Go"),
        says="geth version {}-stable-95665d57",
    ),
]


@pytest.fixture(params=TOOLS, ids=lambda tool: tool.script)
def tool(request: pytest.FixtureRequest) -> Tool:
    found = request.param
    assert isinstance(found, Tool)
    return found


def add_go(machine: Machine, says: str) -> None:
    """A Go that builds a program which says that."""
    machine.add(
        "go",
        'case "$1" in version) echo go version go1.26.8;; build) '
        f'{{ echo \'#!/usr/bin/env bash\'; echo echo {says}; }} >"$6"; chmod +x "$6";; esac',
    )
    (machine.folder / "bin" / "chmod").symlink_to(shutil.which("chmod") or "")


def test_a_tool_is_taken_from_the_environment_first(machine: Machine, tool: Tool) -> None:
    machine.add(tool.program, f"echo {tool.answer(tool.version)}")
    chosen = machine.add("chosen", "", machine.folder)
    done = machine.run(tool.script, **{tool.variable: str(chosen)})
    assert done.stdout == f"{chosen}\n"
    nowhere = machine.run(tool.script, **{tool.variable: "/nowhere"})
    assert nowhere.returncode == 1
    assert f"{tool.variable} is /nowhere, which is not a program" in nowhere.stderr


def test_a_tool_on_path_is_taken_if_it_is_new_enough(machine: Machine, tool: Tool) -> None:
    found = machine.add(tool.program, f"echo {tool.answer(tool.oldest + '.1')}")
    assert machine.run(tool.script, "--find").stdout == f"{found}\n"
    machine.add(tool.program, f"echo {tool.answer(tool.old)}")
    done = machine.run(tool.script, "--find")
    assert done.returncode == 1
    assert f"is version {tool.old}; at least {tool.oldest} is needed" in done.stderr


def test_a_tool_is_built_once_a_machine(machine: Machine, tool: Tool) -> None:
    add_go(machine, tool.answer(tool.version))
    assert machine.run(tool.script, "--find").returncode == 1
    done = machine.run(tool.script)
    built = machine.checkout / "build/tools" / tool.program
    assert done.stdout == f"{built}\n", done.stderr
    machine.forget()
    assert machine.run(tool.script).stdout == f"{built}\n"
    shutil.rmtree(machine.checkout / "build")  # as another checkout has none
    cached = Path(machine.run(tool.script).stdout.strip())
    assert cached.is_relative_to(machine.folder / ".cache/bafl/tools")
    assert os.access(cached, os.X_OK)
    assert not machine.calls


def test_a_tool_of_another_version_is_built_anew(machine: Machine, tool: Tool) -> None:
    add_go(machine, tool.answer(tool.old))
    machine.run(tool.script)
    assert machine.run(tool.script, "--find").returncode == 1


def test_a_build_that_fails_says_why_and_leaves_nothing(machine: Machine, tool: Tool) -> None:
    machine.add("go", 'case "$1" in version) echo go1.26.8;; *) echo no route >&2; exit 1;; esac')
    done = machine.run(tool.script)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no route" in done.stderr
    assert "is the network there?" in done.stderr
    assert not (machine.checkout / "build/tools" / tool.program).exists()


def test_a_tool_without_go_says_how_to_get_it(machine: Machine, tool: Tool) -> None:
    done = machine.run(tool.script)
    assert (done.returncode, done.stdout) == (1, "")
    assert tool.missing in done.stderr


def test_the_cache_of_tools_is_where_the_package_looks(
    machine: Machine, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bafl.devnet.find import cached

    add_go(machine, tool.answer(tool.version))
    machine.run(tool.script)
    monkeypatch.setenv("XDG_CACHE_HOME", str(machine.folder / ".cache"))
    assert cached(tool.program, tool.version).exists()
