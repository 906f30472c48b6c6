"""A federation of six processes on one machine, live, with a poisoner, a straggler and a crash.

python -m examples.demo                    what `make demo` runs
python -m examples.demo --task heart       four hospitals instead of handwritten digits
python -m examples.demo --store kubo       payloads over a real IPFS daemon
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from eth_account import Account
from rich.console import Console
from rich.live import Live

from bafl import founding
from bafl.chain import calls
from bafl.chain.connection import Connection
from bafl.chain.deploy import deploy_support
from bafl.chain.federation import Federation
from bafl.chain.sender import Sender
from bafl.data import DataSet
from bafl.devnet import Anvil, BinaryMissingError, Kubo, Processes, wait_until
from bafl.errors import BaflError, DevnetError
from bafl.replay import AuditedVersion, audit
from bafl.settings import FederationSettings
from bafl.store.base import open_store
from bafl.store.shelf import Shelf
from bafl.tasks.ready import build
from examples.demo import report
from examples.demo.plays import PLAYS
from examples.demo.stage import Stage
from examples.demo.watch import Scene

HERE = Path(__file__).parent
KILL_AT, RETURN_AFTER_S = 0.35, 3.0


def main() -> int:
    """Run the demo; return an exit code."""
    options = _options()
    console = Console()
    torch.set_num_threads(1)
    try:
        return _play(options, console)
    except KeyboardInterrupt:
        console.print("\nStopped. No process is left; logs are in", str(options.out / "logs"))
        return 130
    except BaflError as error:
        console.print(f"demo: {error}", style="red", soft_wrap=True)
        return error.exit_code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=sorted(PLAYS), default="digits")
    parser.add_argument(
        "--store", choices=("auto", "kubo", "local"), default="auto",
        help="auto: Kubo where there is one, else a folder",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=75, help="how long the show goes on")
    parser.add_argument("--port", type=int, default=0, help="of the chain's RPC; 0: a free one")
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="folder for results")
    return parser.parse_args()


def _play(options: argparse.Namespace, console: Console) -> int:
    begun = time.monotonic()
    play = PLAYS[options.task]
    data = play.load()
    out: Path = options.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        Anvil(port=options.port, mine_every_s=1, log=out / "anvil.log") as anvil,
        _store(options.store, out, console) as spec,
        Processes(out / "logs") as processes,
    ):
        stage = _found(options.task, data, anvil, spec, out, console)
        scene = _scene(stage, data, anvil)
        env = dict(os.environ) | {"OMP_NUM_THREADS": "1"}

        def start(index: int) -> None:
            command = [sys.executable, "-m", "examples.demo.participant"]
            processes.start(
                play.cast[index].slug,
                [*command, str(out / "stage.json"), str(index)],
                env=env | {"BAFL_PRIVATE_KEY": anvil.accounts[index + 1].key},
            )

        for index in range(len(play.cast)):
            start(index)
        with console.status("six participants start and join"):
            wait_until(
                lambda: _joined(scene, processes), seconds=90, what="six participants to join"
            )
        restarts = _show(scene, processes, start, options.seconds, console)
        processes.stop()
        scene.look()
        audit_ok = _audit(scene, out, console)
        with console.status("training alone and centrally, to compare"):
            result = report.gather(
                scene, play, data, store=spec.partition(":")[0], restarts=restarts,
                audit_ok=audit_ok, seconds=time.monotonic() - begun,
            )  # fmt: skip
        report.draw(scene, result, out / "terminal.svg")
    report.show(result, console, scene.central.metric.name)
    result.write(out / "report.json")
    report.plot(scene, result, out / "report.png")
    console.print(
        f"Plot, figures, this picture: {options.out}/report.png, report.json, terminal.svg"
    )
    return 0 if audit_ok else 1


@contextlib.contextmanager
def _store(kind: str, out: Path, console: Console) -> Iterator[str]:
    if kind != "local":
        try:
            with Kubo(out / "ipfs") as kubo:
                console.print("Payloads travel over Kubo, a real IPFS daemon on this machine.")
                yield f"kubo:{kubo.multiaddr}"
                return
        except BinaryMissingError:
            if kind == "kubo":
                raise
        console.print(
            "No Kubo on this machine: payloads lie in a folder that all participants share "
            "(STORE=kubo finds or builds the real daemon)."
        )
    yield f"local:{out / 'store'}"


def _found(name: str, data: DataSet, anvil: Anvil, spec: str, out: Path, console: Console) -> Stage:
    connection = Connection(anvil.url, anvil.chain_id)
    sender = Sender(connection, Account.from_key(anvil.accounts[0].key))
    play = PLAYS[name]
    settings = play.settings(FederationSettings.load(HERE / "federation.toml"))
    drafted = founding.draft(settings, build(play.task, data, play.data))
    with console.status("deploying the federation"):
        founded = founding.found(
            settings, drafted, sender, open_store(spec, "founder"), lambda: deploy_support(sender)
        )
        federation = Federation(connection, founded.address)
        federation.sender(sender.account).send(calls.fund(founded.fund))
    console.print(play.told)
    console.print(
        f"Federation {founded.address} on chain {anvil.chain_id}, RPC {anvil.url}", soft_wrap=True
    )
    stage = Stage(anvil.url, anvil.chain_id, founded.address, spec, out / "nodes", name)
    stage.write(out / "stage.json")
    return stage


def _scene(stage: Stage, data: DataSet, anvil: Anvil) -> Scene:
    play = PLAYS[stage.play]
    federation = Federation(Connection(stage.rpc, stage.chain_id), stage.federation)
    store = open_store(stage.store, "audience")
    shelf = Shelf(stage.home / "audience", store, stage.size_limit)
    return Scene(
        federation=federation,
        manifest=stage.manifest(federation, shelf),
        shelf=shelf,
        central=build(play.task, data, play.data),
        cast={anvil.accounts[i + 1].address: part for i, part in enumerate(play.cast)},
    )


def _joined(scene: Scene, processes: Processes) -> bool:
    for process in processes:
        process.require_running()
    return all(scene.federation.participant(address).roles for address in scene.cast)


def _show(
    scene: Scene,
    processes: Processes,
    start: Callable[[int], None],
    seconds: float,
    console: Console,
) -> int:
    begun = scene.started_s = time.monotonic()
    ends = begun + seconds
    victim, part = next((i, part) for i, part in enumerate(scene.cast.values()) if part.is_killed)
    killed_at, restarts = 0.0, 0
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        while time.monotonic() < ends:
            now = time.monotonic()
            if not killed_at and now > begun + KILL_AT * seconds:
                processes[part.slug].kill()
                killed_at = now
                scene.note(f"{part.name} was killed (SIGKILL)")
            elif killed_at and not restarts and now > killed_at + RETURN_AFTER_S:
                start(victim)
                restarts += 1
                scene.note(f"{part.name} was started again")
            for process in processes:
                if process is not processes[part.slug] or restarts:
                    process.require_running()
            scene.look()
            live.update(scene.picture(ends))
            time.sleep(0.3)
    if not console.is_terminal:
        console.line()
    return restarts


def _audit(scene: Scene, out: Path, console: Console) -> bool:
    shelf = Shelf(out / "audit", scene.shelf.store, scene.shelf.limit)

    def tell(version: AuditedVersion) -> None:
        if not version.ok:
            console.print(f"version {version.version}: {version.note}", style="red")

    with console.status("auditing: recomputing every version from the log and the payloads"):
        done = audit(scene.federal, scene.history, shelf, tell)
    if not done.versions:
        raise DevnetError(f"no version was made; see the logs in {out / 'logs'}")
    return done.ok


if __name__ == "__main__":
    sys.exit(main())
