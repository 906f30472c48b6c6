"""The chains and Kubo themselves: what the rest of the tests, the demo and the CLI rely on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bafl.devnet import (
    Anvil,
    Chain,
    Geth,
    Hardhat,
    Kubo,
    PortTakenError,
    ProcessFailedError,
    wait_until,
)
from bafl.errors import ChainError, StoreError, UsageError

ETHER = 10**18


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def balance(chain: Chain, address: str) -> int:
    return int(chain.rpc("eth_getBalance", address, "latest"), 16)


def latest(chain: Chain) -> tuple[int, int]:
    """Number and time of the last block."""
    block = chain.rpc("eth_getBlockByNumber", "latest", False)
    return int(block["number"], 16), int(block["timestamp"], 16)


def refused(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) != 0


# ----- every chain -----

STRANGER = "0x00000000000000000000000000000000000ba511"


def test_a_chain_has_funded_accounts_whose_keys_fit_their_addresses(any_chain: Chain) -> None:
    from eth_account import Account

    assert len(any_chain.accounts) == 10
    for account in any_chain.accounts:
        assert Account.from_key(account.key).address == account.address
        assert account.key not in repr(account)
        assert balance(any_chain, account.address) > 9_000 * ETHER
    any_chain.fund(STRANGER, 7 * ETHER)
    assert balance(any_chain, STRANGER) == 7 * ETHER


def test_time_passes_on_an_idle_chain(any_chain: Chain) -> None:
    begun = latest(any_chain)[1]
    wait_until(lambda: latest(any_chain)[1] > begun, "an idle block of a later second")


def test_a_killed_chain_starts_again_on_its_port(any_chain: Chain) -> None:
    url = any_chain.url
    any_chain.kill()
    assert not any_chain.running
    assert refused(url)
    any_chain.restart()
    assert any_chain.url == url
    assert balance(any_chain, any_chain.accounts[-1].address) > 9_000 * ETHER


@pytest.mark.parametrize("kind", [Anvil, Hardhat, Geth])
def test_a_chain_on_a_taken_port_says_which_and_what_to_do(
    kind: type[Anvil] | type[Hardhat] | type[Geth], taken_port: int
) -> None:
    with pytest.raises(PortTakenError, match=f"{kind.client} cannot .* 127.0.0.1:{taken_port}"):
        kind(port=taken_port).start()


def test_a_chain_that_cannot_begin_shows_why_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "geth"
    broken.write_text("#!/bin/sh\necho no such flag\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("BAFL_GETH", str(broken))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ProcessFailedError, match=r"(?s)geth ended with status 1.*no such flag"):
        Geth().start()
    assert list(tmp_path.iterdir()) == [broken]


OWNER = """
import sys, signal
from bafl import devnet
chain = getattr(devnet, sys.argv[1])()
chain.start()
print(chain.url, flush=True)
signal.pause()
"""


def ends_with_its_owner(kind: str, death: signal.Signals, temporary: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, kind],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ) | {"TMPDIR": str(temporary)},
    ) as owner:
        assert owner.stdout is not None
        url = owner.stdout.readline().strip()
        assert not refused(url)
        owner.send_signal(death)
        owner.wait()
    wait_until(lambda: refused(url), f"the end of {kind}")
    assert not list(temporary.glob("*chain*"))


@pytest.mark.parametrize("kind", ["Anvil", "Hardhat"])
@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_chain_ends_with_its_owner_however_that_dies(
    tmp_path: Path, kind: str, death: signal.Signals
) -> None:
    ends_with_its_owner(kind, death, tmp_path)


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_geth_ends_with_its_owner_however_that_dies(
    geth_binary: Path, tmp_path: Path, death: signal.Signals
) -> None:
    ends_with_its_owner("Geth", death, tmp_path)


# ----- geth -----


def test_geth_is_found_by_nobody_and_looks_for_nobody(geth_binary: Path, tmp_path: Path) -> None:
    with Geth(log=tmp_path / "log") as chain:
        assert int(chain.rpc("net_peerCount"), 16) == 0
        log = (tmp_path / "log").read_text()
        assert "@127.0.0.1:0" in log, "no port for peers"
        assert log.count("HTTP server started") == 1
        assert f"endpoint=127.0.0.1:{chain.port}" in log


def test_geth_mines_when_a_transaction_comes(geth_binary: Path) -> None:
    with Geth(accounts=1) as chain:
        before = latest(chain)[0]
        chain.fund(STRANGER, 1)
        assert latest(chain)[0] == before + 1


# ----- Anvil -----


def give(chain: Anvil, wei: int) -> None:
    """A transaction from the first account to the second."""
    giver, taker = chain.accounts[:2]
    chain.rpc(
        "eth_sendTransaction", {"from": giver.address, "to": taker.address, "value": hex(wei)}
    )


@pytest.mark.parametrize("mine_every_s", [None, 3600])
def test_anvil_mines_a_block_for_each_transaction(mine_every_s: int | None) -> None:
    with Anvil(mine_every_s=mine_every_s) as chain:
        give(chain, ETHER)
        wait_until(lambda: latest(chain)[0] == 1, "a block")
        assert balance(chain, chain.accounts[1].address) == 10_001 * ETHER


def test_anvil_with_a_block_time_lets_transactions_wait() -> None:
    with Anvil(block_time_s=3600) as chain:
        give(chain, ETHER)
        chain.mine()
        assert balance(chain, chain.accounts[1].address) == 10_001 * ETHER
        assert latest(chain)[0] == 1


def test_anvil_moves_its_clock_when_told(own_anvil: Anvil) -> None:
    before = latest(own_anvil)[1]
    own_anvil.advance(86_400)
    assert 86_400 <= latest(own_anvil)[1] - before < 86_400 + 60


def test_a_killed_anvil_goes_on_where_its_state_file_was(own_anvil: Anvil) -> None:
    stranger = "0x00000000000000000000000000000000000ba511"
    own_anvil.set_balance(stranger, 7)
    own_anvil.mine(3)
    assert own_anvil.state is not None
    state, url = own_anvil.state, own_anvil.url
    # Two whole dumps later it is certainly in one.
    for _ in range(2):
        since = state.stat().st_mtime_ns if state.exists() else 0
        wait_until(
            lambda since=since: state.exists() and state.stat().st_mtime_ns > since,  # type: ignore[misc]
            "a dump of the chain's state",
        )
    own_anvil.kill()
    assert not own_anvil.running
    own_anvil.restart()
    assert own_anvil.url == url
    assert balance(own_anvil, stranger) == 7
    assert latest(own_anvil)[0] == 3


def test_anvil_that_cannot_read_its_state_shows_why(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text("not json")
    with pytest.raises(ProcessFailedError, match=r"(?s)Anvil ended with status.*expected"):
        Anvil(state=state).start()


def test_anvil_is_asked_for_one_way_of_mining_only() -> None:
    with pytest.raises(UsageError, match="block_time_s or mine_every_s"):
        Anvil(block_time_s=1, mine_every_s=1)


def test_calls_that_anvil_refuses_are_chain_errors(own_anvil: Anvil) -> None:
    with pytest.raises(ChainError, match="Anvil refuses eth_nonsense"):
        own_anvil.rpc("eth_nonsense")
    own_anvil.stop()
    with pytest.raises(ChainError, match="does not answer eth_chainId"):
        own_anvil.rpc("eth_chainId")


# ----- Kubo -----


def add(daemon: Kubo, content: bytes) -> str:
    """Add a file with the daemon's own settings; returns its CID."""
    body = (
        b'--cut\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--cut--\r\n"
    )
    request = urllib.request.Request(
        f"{daemon.url}/api/v0/add?quiet=true",
        body,
        {"Content-Type": "multipart/form-data; boundary=cut"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return str(response.read().decode().split('"Hash":"')[1].split('"')[0])


def cat(daemon: Kubo, cid: str) -> bytes:
    request = urllib.request.Request(f"{daemon.url}/api/v0/cat?arg={cid}", method="POST")
    with urllib.request.urlopen(request, timeout=30) as response:
        return bytes(response.read())


def test_kubo_gives_the_cids_of_the_profile(kubo: Kubo) -> None:
    # CIDv1, raw leaf, sha2-256: `printf hello | ipfs add --cid-version 1`.
    assert add(kubo, b"hello") == "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
    assert add(kubo, b"x" * (1 << 20)).startswith("bafkrei")
    assert add(kubo, b"x" * ((1 << 20) + 1)).startswith("bafybei")


def test_kubo_asks_nobody_outside(kubo: Kubo) -> None:
    config = kubo.rpc("config/show")
    assert not config["Bootstrap"]
    assert config["AutoConf"]["Enabled"] is False
    assert config["Routing"]["Type"] == "none"
    assert config["Discovery"]["MDNS"]["Enabled"] is False
    assert all("/127.0.0.1/" in address for address in config["Addresses"]["Swarm"])


def test_kubo_killed_keeps_its_blocks_its_name_and_its_port(own_kubo: Kubo) -> None:
    cid, addresses = add(own_kubo, b"kept"), (own_kubo.multiaddr, own_kubo.peer_multiaddr)
    own_kubo.kill()
    assert not own_kubo.running
    own_kubo.restart()
    assert (own_kubo.multiaddr, own_kubo.peer_multiaddr) == addresses
    assert cat(own_kubo, cid) == b"kept"


def test_another_kubo_over_the_same_repository_keeps_the_port(
    kubo_binary: Path, tmp_path: Path
) -> None:
    with Kubo(tmp_path / "repo") as first:
        address = first.multiaddr
    with Kubo(tmp_path / "repo") as second:
        assert second.multiaddr == address


def test_two_kubos_fetch_from_each_other_over_loopback(kubo_binary: Path, tmp_path: Path) -> None:
    with Kubo(tmp_path / "a", online=True) as here, Kubo(tmp_path / "b", online=True) as there:
        here.connect(there.peer_multiaddr)
        content = bytes(range(256)) * 8192
        assert cat(there, add(here, content)) == content


def test_a_kubo_that_is_down_or_refuses_is_a_store_error(own_kubo: Kubo) -> None:
    with pytest.raises(StoreError, match="refuses swarm/connect"):
        own_kubo.connect(own_kubo.peer_multiaddr)
    own_kubo.stop()
    with pytest.raises(StoreError, match="does not answer id"):
        own_kubo.rpc("id")


def test_kubo_on_a_taken_port_says_which_and_what_to_do(
    kubo_binary: Path, tmp_path: Path, taken_port: int
) -> None:
    with pytest.raises(PortTakenError, match=f"Kubo cannot listen on 127.0.0.1:{taken_port}"):
        Kubo(tmp_path / "repo", api_port=taken_port).start()


def test_a_kubo_that_cannot_make_its_repository_shows_why(
    kubo_binary: Path, tmp_path: Path
) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "datastore_spec").mkdir()
    with pytest.raises(ProcessFailedError, match="scripts/kubo"):
        Kubo(repo).start()
