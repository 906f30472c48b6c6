"""The command line as people use it: processes, a real chain, a real store."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bafl.chain.connection import Connection
from bafl.chain.federation import Federation
from bafl.cli import main
from bafl.devnet import Processes, free_port, wait_until
from tests.unit.store.web import Web

ROOT = Path(__file__).parents[2]
COUNT = 4
FEDERATION = f"""
name = "readers"
fund = "1 ether"
[task]
name = "softmax"
entry = "tests.e2e.federation.softmax:Softmax"
count = {COUNT}
index = 0
[parameters]
window_size = 3
max_wait = "10s"
commit_period = "60s"
reveal_period = "60s"
attest_period = "60s"
max_staleness = 50
unbonding_period = "1h"
min_stake = "1 ether"
reward_rate = "1 ether/h"
"""


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Net:
    """A devnet that runs as `bafl devnet`, and the command line against it."""

    folder: Path
    port: int
    processes: Processes
    started: int = 0

    @property
    def rpc(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, or start it again, and wait until it says that it is there."""
        before = self._ready()
        self.processes.start(
            "devnet",
            [
                *(sys.executable, "-m", "bafl", "devnet", "--no-ipfs"),
                *("--folder", str(self.folder), "--port", str(self.port)),
            ],
            env=environment(),
            cwd=ROOT,
        )

        def ready() -> bool:
            self.processes["devnet"].require_running()
            return self._ready() > before

        wait_until(ready, "the devnet")

    def stop(self) -> int:
        """Ctrl-C; its exit code."""
        self.processes["devnet"].send(signal.SIGINT)
        return self.processes["devnet"].wait(30)

    def _ready(self) -> int:
        log = self.processes.logs / "devnet.log"
        return log.read_text().count("Ctrl-C stops it") if log.exists() else 0

    def config(self, name: str) -> str:
        return str(self.folder / f"{name}.toml")

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text, "utf-8")
        return str(path)


def environment(**more: str) -> dict[str, str]:
    programs = ("BAFL_ANVIL", "BAFL_IPFS")
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("BAFL_") or name in programs
    }
    return {**plain, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def bafl(*arguments: str, **variables: str) -> Result:
    """Call the command line in this process: the same code without a second of imports."""
    out, err = io.StringIO(), io.StringIO()
    root, ours = logging.getLogger(), logging.getLogger("bafl")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    terminated, before = signal.getsignal(signal.SIGTERM), dict(os.environ)
    os.environ.clear()
    os.environ.update(environment(**variables))
    try:
        with (
            Path(os.devnull).open() as nothing,
            pytest.MonkeyPatch.context() as patch,
            warnings.catch_warnings(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.setattr(sys, "stdin", nothing)
            code = main(arguments)
    finally:
        os.environ.clear()
        os.environ.update(before)
        signal.signal(signal.SIGTERM, terminated)
        logging.captureWarnings(False)
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
    return Result(code, out.getvalue(), err.getvalue())


def ok(*arguments: str, **variables: str) -> Result:
    result = bafl(*arguments, **variables)
    assert result.code == 0, result.err
    return result


def refused(code: int, *said: str, by: Sequence[str], **variables: str) -> Result:
    """Run what must fail: with that exit code, one clear error, no trace, and nothing on stdout."""
    result = bafl(*by, **variables)
    assert result.code == code, result
    assert "Traceback" not in result.err, result.err
    assert "Error" in result.err or "error" in result.err, result.err
    for text in said:
        assert text in result.err, result.err
    return result


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    folder = tmp_path_factory.mktemp("cli")
    with Processes(folder / "logs") as processes:
        running = Net(folder / "devnet", free_port(), processes)
        running.start()
        yield running


@pytest.fixture(scope="module")
def federation(net: Net) -> str:
    """A federation that takes members by invitation."""
    file = net.write("federation.toml", FEDERATION)
    address: str = ok("new", file, "-c", net.config("owner"), "--json").json["federation"]
    return address


# --- the whole way ---


def test_a_federation_from_founding_to_closing(net: Net) -> None:
    file = net.write("story.toml", FEDERATION.replace("readers", "story"))
    founded = ok("new", file, "-c", net.config("owner"))
    federation = founded.out.split('federation = "')[1].split('"')[0]
    where = ("--federation", federation)
    owner = ("-c", net.config("owner"), *where)
    nodes = [f"node{index}" for index in range(1, COUNT + 1)]
    for index, node in enumerate(nodes):
        invite(net, federation, node)
        joined = ok(
            *("join", "-c", node_file(net, node, federation), "--task", f"index={index}", "--json"),
            *("--invitation", str(net.folder / f"{node}.invitation")),
        )
        assert joined.json["stakeWei"] == str(10**18)
    again = ok("join", "-c", net.config(nodes[0]), *where)
    assert "A participant already" in again.out
    assert "bafl join --top-up AMOUNT -c " in again.out

    for index, node in enumerate(nodes):
        run(net, node, index, federation)

    contract = Federation(Connection(net.rpc), federation)

    def version() -> int:
        for process in net.processes:
            process.require_running()
        return contract.head().version

    wait_until(lambda: version() >= 1, "version 1", seconds=240)

    # The whole devnet goes away and comes back; one node is stopped and started meanwhile.
    assert net.stop() == 0
    stop = net.processes[nodes[0]]
    stop.send(signal.SIGINT)
    assert stop.wait(60) == 0
    assert "node stopped" in log_of(net, nodes[0])
    wait_until(lambda: "has to wait" in log_of(net, nodes[1]), "a node that says it waits")
    net.start()
    run(net, nodes[0], 0, federation)
    reached = version()
    wait_until(lambda: version() >= reached + 2, "two more versions", seconds=240)
    for node in nodes:
        net.processes[node].send(signal.SIGTERM)
    for node in nodes:
        assert net.processes[node].wait(60) == 0

    status = ok("status", "-c", net.config(nodes[1]), *where)
    assert federation in status.out
    assert "consensus" in status.out
    assert "\x1b" not in status.out
    standing = ok("status", "-c", net.config(nodes[1]), *where, "--json").json["participant"]
    assert standing["updates"]
    assert all(update["why"] for update in standing["updates"])
    assert not standing["slashes"]
    assert ok("watch", *owner, "--once").out.count("Latest verdicts") == 1
    lines = ok("watch", *owner, "--once", "--json").out.splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["versions"][-1]["metric"] > 0.5

    audit = ok("audit", *owner, "--json").json
    assert audit["ok"]
    assert len(audit["versions"]) >= 3
    assert audit["replayableFrom"] == 0
    model = net.folder / "model.safetensors"
    pulled = ok("pull", *owner, "-o", str(model), "--json").json
    assert model.stat().st_size == pulled["bytes"]
    assert pulled["cid"] == audit["versions"][-1]["recorded"]
    ok("pull", *owner, "--version", "0", "-o", str(model))
    refused(1, "there is no version 999 yet", by=("pull", *owner, "--version", "999"))

    earner = next(p["address"] for p in status_of(owner)["participants"] if p["earnedWei"] != "0")
    (name,) = [n for n in nodes if address_of(net, n) == earner]
    assert int(ok("claim", "-c", net.config(name), *where, "--json").json["claimedWei"]) > 0
    refused(1, "nothing to pay", by=("claim", "-c", net.config(name), *where))

    left = ok("leave", "-c", net.config(nodes[0]), *where, "--json").json
    assert left["withdrawableAt"]
    refused(1, "bonded until", by=("leave", "-c", net.config(nodes[0]), *where))
    refused(1, "is leaving", by=("join", "-c", net.config(nodes[0]), *where))
    leaving = ok("status", "-c", net.config(nodes[0]), *where).out
    assert "can submit  no: leaving" in leaving
    assert "3 trainers, 3 validators seated" in leaving
    assert "1 ether" in ok("fund", "1 ether", *owner).out
    ok("pause", *owner)
    assert status_of(owner)["paused"]
    ok("pause", "--resume", *owner)
    assert not status_of(owner)["paused"]
    refused(2, "add --yes", by=("close", *owner, "--json"))
    assert ok("close", "--yes", *owner, "--json").json["closed"]
    assert status_of(owner)["closed"]
    ok("close", "--yes", *owner)


def invite(net: Net, federation: str, node: str) -> None:
    invited = ok(
        *("invite", address_of(net, node), "--federation", federation),
        *("-c", net.config("owner"), "-o", str(net.folder / f"{node}.invitation")),
    )
    assert f"bafl join --invitation {node}.invitation --federation {federation} -c " in invited.out


def node_file(net: Net, node: str, federation: str) -> str:
    """Write a participant's node file, which knows the task."""
    text = Path(net.config(node)).read_text("utf-8")
    return net.write(
        f"run-{node}.toml",
        f'federation = "{federation}"\nname = "The Reader {node}"\n{text}\n'
        f'run.poll = "1s"\n[task]\nentry = "tests.e2e.federation.softmax:Softmax"\n',
    )


def run(net: Net, node: str, index: int, federation: str) -> None:
    """Start a participant's node, with a node file of its own."""
    config = node_file(net, node, federation)
    net.processes.start(
        node,
        [sys.executable, "-m", "bafl", "run", "-c", config, "--task", f"index={index}"],
        env=environment(),
        cwd=ROOT,
    )


def log_of(net: Net, node: str) -> str:
    return (net.processes.logs / f"{node}.log").read_text()


def address_of(net: Net, node: str) -> str:
    address: str = ok(
        *("key", "show", str(net.folder / "keys" / f"{node}.json"), "--json"),
        *("--password-file", str(net.folder / "keys" / "password")),
    ).json["address"]
    return address


def status_of(owner: Sequence[str]) -> Any:
    return ok("status", *owner, "--json").json["federation"]


# --- what bad input gets ---


def test_an_rpc_where_nobody_listens(net: Net) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    by = ("status", "-c", net.config("owner"), "--rpc", url, "--federation", "0x" + "11" * 20)
    refused(3, url, "is it running, and is the RPC URL right?", by=by)


def test_an_rpc_that_speaks_no_json_rpc(net: Net, kubo_url: str) -> None:
    by = ("status", "-c", net.config("owner"), "--rpc", kubo_url, "--federation", "0x" + "11" * 20)
    refused(3, kubo_url, by=by)


@pytest.fixture
def kubo_url() -> Iterator[str]:
    """A web server that is no RPC."""
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(PYTHONUNBUFFERED="1"),
    )
    assert server.stdout is not None
    port = server.stdout.readline().split("port ")[1].split()[0]
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait()
    server.stdout.close()


def test_another_chain(net: Net) -> None:
    by = ("status", "-c", net.config("owner"), "--chain-id", "1", "--federation", "0x" + "11" * 20)
    refused(3, "is chain 31337, not 1", by=by)


def test_an_address_without_code(net: Net) -> None:
    by = ("status", "-c", net.config("owner"), "--federation", "0x" + "11" * 20)
    refused(3, "there is no contract at", by=by)


def test_a_contract_of_another_kind(net: Net, federation: str) -> None:
    support = json.loads((net.folder / "owner.home" / "support-31337.json").read_text())
    by = ("status", "-c", net.config("owner"), "--federation", support["registry"])
    refused(3, "is not a BAFL federation", by=by)


def test_an_account_without_funds(net: Net, federation: str) -> None:
    by = ("fund", "1 ether", "-c", net.config("owner"), "--federation", federation)
    keystore = str(net.folder / "poor.json")
    ok("key", "new", keystore, BAFL_KEYSTORE_PASSWORD="word")
    plain = net.write("plain.toml", f'rpc = "{net.rpc}"\nkeystore = "poor.json"\n')
    by = ("fund", "1 ether", "-c", plain, "--federation", federation)
    refused(3, "has 0 ether", "send it at least", by=by, BAFL_KEYSTORE_PASSWORD="word")


def test_a_stake_below_the_minimum(net: Net, federation: str) -> None:
    invite(net, federation, "node8")
    by = ("join", "--stake", "0.5 ether", "-c", net.config("node8"), "--federation", federation)
    invitation = ("--invitation", str(net.folder / "node8.invitation"))
    said = '0.5 ether is below the minimum of 1 ether; give --stake "1 ether" or more'
    refused(1, said, by=(*by, *invitation))


def test_no_invitation_and_somebody_elses(net: Net, federation: str) -> None:
    invite(net, federation, "node8")
    by = ("join", "-c", net.config("node9"), "--federation", federation)
    refused(1, "by invitation", by=by)
    theirs = ("--invitation", str(net.folder / "node8.invitation"))
    refused(2, "is for participant", by=(*by, *theirs))
    stranger = ("invite", "0x" + "11" * 20, "-c", net.config("node9"), "--federation", federation)
    refused(2, "is not the owner", by=stranger)
    ok("invite", "--revoke-all", "-c", net.config("owner"), "--federation", federation)
    late = ("join", "-c", net.config("node8"), "--federation", federation, *theirs)
    refused(1, "older epoch", by=late)


def test_settings_with_mistakes_are_refused_all_at_once(net: Net) -> None:
    wrong = FEDERATION.replace("window_size", "windw_size").replace('"10s"', '"10 parsecs"')
    file = net.write("wrong.toml", wrong)
    refused(
        2,
        "wrong.toml has 2 mistakes",
        "did you mean 'window_size'?",
        "needs a time in whole seconds",
        by=("new", file, "-c", net.config("owner")),
    )


def test_parameters_the_contract_refuses_are_named_together_and_cost_nothing(net: Net) -> None:
    wrong = FEDERATION.replace("window_size = 3", "window_size = 17\nmin_updates = 20")
    wrong += f'slash_ppm = 30_000\nslash_sink = "0x{40 * "0"}"\n'
    file = net.write("wrong.toml", wrong)
    poor = net.write("poor.toml", f'rpc = "{net.rpc}"\nstore = "local:store"\n')
    by = ("new", file, "-c", poor)
    # Not even an account that has nothing gets as far as paying.
    refused(
        2,
        "window_size is 17; the contract allows 1 to 16",
        "min_updates is 20; the contract allows 1 to 16",
        "slash_ppm is 30,000; the contract allows 0 to 20,000",
        "slash_sink is the zero address",
        by=by,
        BAFL_PRIVATE_KEY="1" * 64,
    )


def test_a_store_that_is_down(net: Net, federation: str) -> None:
    store = f"kubo:/ip4/127.0.0.1/tcp/{free_port()}"
    by = ("pull", "-c", net.config("owner"), "--federation", federation, "--store", store)
    refused(3, "ipfs", by=by)


def test_a_store_of_a_kind_nobody_knows(net: Net, federation: str) -> None:
    by = ("pull", "-c", net.config("owner"), "--federation", federation, "--store", "s3:bucket")
    refused(2, "no store is called 's3:bucket'", by=by)


def test_a_payload_that_is_nowhere(net: Net, federation: str) -> None:
    empty = f"local:{net.folder / 'empty'}"
    by = ("pull", "-c", net.config("owner"), "--federation", federation, "--store", empty)
    refused(3, "is not in local store", by=by)


def test_what_the_store_lacks_is_read_from_a_gateway(net: Net, federation: str) -> None:
    by = ("pull", "-c", net.config("owner"), "--federation", federation, "--version", "0")
    model = net.folder / "from-gateway"
    with Web() as web:
        for payload in (net.folder / "store" / "payloads").iterdir():
            web.put(payload.read_bytes())
        gateway = ("--gateway", web.url, "-o", str(model))
        ok(*by, "--store", f"local:{net.folder / 'empty'}", *gateway)
        assert web.asked
        file = net.write("reader.toml", f'rpc = "{net.rpc}"\ngateways = ["{web.url}"]\n')
        ok("pull", "-c", file, "--federation", federation, "--version", "0", "-o", str(model))
        web.rule = lambda request: request.answer(b"false")
        refused(3, "gave other bytes than", by=("pull", "-c", file, "--federation", federation))
    # Not enough to found one: model and manifest go into a store first.
    write = ("new", net.write("federation.toml", FEDERATION), "-c", file)
    refused(2, "only gives payloads", by=write, BAFL_PRIVATE_KEY="1" * 64)


def test_a_node_whose_account_never_joined(net: Net, federation: str) -> None:
    by = ("run", "-c", net.config("node9"), "--federation", federation)
    refused(1, "`bafl join` first", by=by)


def test_a_federation_s_own_code_is_never_imported_on_its_word(net: Net) -> None:
    evil = FEDERATION.replace('name = "softmax"', 'name = "subprocess:run"')
    address = open_federation(net, evil.replace("readers", "evil"))
    by = ("join", "-c", net.config("node5"), "--federation", address)
    refused(2, "is no ready one: name your own", by=by)
    assert Federation(Connection(net.rpc), address).head().stakes_wei == 0


def odd(net: Net, task: str) -> tuple[str, ...]:
    address = open_federation(net, FEDERATION.replace("readers", f"odd {task}"))
    text = Path(net.config("node6")).read_text("utf-8")
    entry = f'[task]\nentry = "tests.e2e.odd_tasks:{task}"\nindex = 0\n'
    config = net.write(f"odd-{task}.toml", f'home = "odd-{task}"\n{text}{entry}')
    return ("-c", config, "--federation", address)


def test_a_model_that_does_not_fit_stakes_nothing(net: Net) -> None:
    where = odd(net, "Larger")
    said = "another model than the federation's: tensor 'w' has shape [65, 10]"
    refused(1, said, "use the owner's module", by=("join", *where))
    assert Federation(Connection(net.rpc), where[-1]).head().stakes_wei == 0


def test_a_manifest_that_is_nowhere_is_told_before_the_stake(net: Net) -> None:
    where = odd(net, "Diverging")
    missing = net.folder / "x" / ".." / "never"
    elsewhere = (*where, "--store", f"local:{missing}")
    refused(3, f"is not in local store in {missing.resolve()}", by=("join", *elsewhere))
    status = ok("status", *elsewhere).out
    said = f"task        unknown: the manifest is not in local store in {missing.resolve()}"
    assert said in status
    assert not missing.resolve().exists()
    assert Federation(Connection(net.rpc), where[-1]).head().stakes_wei == 0


def test_training_that_does_not_fit(net: Net) -> None:
    where = odd(net, "Diverging")
    joined = ok("join", *where)
    assert f"Now run the node: bafl run -c {where[1]} --federation {where[3]}" in joined.out
    refused(1, "not finite", by=("run", *where))


def test_leaving_what_one_never_joined(net: Net, federation: str) -> None:
    by = ("leave", "-c", net.config("node9"), "--federation", federation)
    refused(1, f"is not a participant of {federation}; nothing to leave", by=by)


def test_a_task_that_is_wrong_is_named_with_its_line_before_anything_is_sent(net: Net) -> None:
    address = open_federation(net, FEDERATION.replace("readers", "wrong"))
    text = Path(net.config("node6")).read_text("utf-8")
    entry = '[task]\nentry = "tests.e2e.odd_tasks:Unmeasurable"\nindex = 0\n'
    config = net.write("wrong.toml", f'home = "wrong"\n{text}{entry}')
    said = "task tests.e2e.odd_tasks:Unmeasurable: KeyError: 'age' (odd_tasks.py, line "
    where = ("-c", config, "--federation", address)
    refused(2, said, "mend it and run again", by=("join", *where))
    ok("join", "-c", node_file(net, "node6", address), "--task", "index=0")
    run = refused(2, said, "mend it and run again", by=("run", *where))
    assert "node started" not in run.err


def open_federation(net: Net, text: str) -> str:
    file = net.write("open.toml", text + "open = true\n")
    address: str = ok("new", file, "-c", net.config("owner"), "--json").json["federation"]
    return address


def test_founding_the_same_twice_makes_one_federation(net: Net, federation: str) -> None:
    file = net.write("federation.toml", FEDERATION)
    again = ok("new", file, "-c", net.config("owner"), "--json").json
    assert again["federation"] == federation
    assert again["existed"]


def test_a_fund_that_cannot_be_paid_founds_nothing(net: Net) -> None:
    file = net.write(
        "rich.toml", FEDERATION.replace("readers", "rich").replace('"1 e', '"10_000 e', 1)
    )
    owner = ("-c", net.config("owner"))
    chain = Connection(net.rpc)
    before = chain.balance(address_of(net, "owner")), chain.latest().number
    refused(3, "and founding with its fund may cost 10", "send it at", by=("new", file, *owner))
    assert (chain.balance(address_of(net, "owner")), chain.latest().number) == before


def test_founding_again_adds_the_fund_that_is_missing(net: Net) -> None:
    file = net.write(
        "late.toml", FEDERATION.replace("readers", "late").replace('"1 ether"', '"0 ether"', 1)
    )
    owner = ("-c", net.config("owner"))
    address = ok("new", file, *owner, "--json").json["federation"]
    net.write("late.toml", FEDERATION.replace("readers", "late"))
    again = ok("new", file, *owner)
    assert f'Founded before: "late" at {address}' in again.out
    assert "1 ether fund the pool" in again.out
    contract = Federation(Connection(net.rpc), address)
    assert contract.head().pool_wei == 10**18
    assert "fund the pool" not in ok("new", file, *owner).out
    assert contract.head().pool_wei == 10**18


def test_a_second_devnet_on_the_same_folder_or_port(net: Net, tmp_path: Path) -> None:
    by = ("devnet", "--no-ipfs", "--folder", str(net.folder), "--port", str(free_port()))
    refused(3, "runs in", "already", by=by)
    by = ("devnet", "--no-ipfs", "--folder", str(tmp_path), "--port", str(net.port))
    refused(3, f"127.0.0.1:{net.port}", "choose another one", by=by)


def test_ctrl_c_ends_a_verb_that_waits_with_130(net: Net) -> None:
    """An RPC that takes the connection and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "bafl", "status", "--rpc", f"http://127.0.0.1:{port}"),
                *("--federation", "0x" + "11" * 20),
            ],
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd=ROOT,
        )
        silent.settimeout(60)
        with closing(silent.accept()[0]):
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == "interrupted"
