"""Kubo under supervision: a real IPFS node of one's own, on loopback only."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Self

from bafl.devnet import find
from bafl.devnet.processes import (
    ProcessFailedError,
    Supervised,
    free_port,
    require_free,
)
from bafl.errors import StoreError

VERSION = "0.43.0"
"""The version that `scripts/kubo` builds; tools/kubo/go.mod requires the same."""

PROFILES = "test,autoconf-off,unixfs-v1-2025"
"""Loopback only, nothing asked of the outside, and the CIDs that all of our stores give."""

_CALL_TIMEOUT_S = 30.0


class Kubo:
    """An IPFS daemon over a repository of its own, as a context manager; ends with its owner.

    repo: its folder, made on the first start. online: whether it talks to peers; it knows none
    until `connect`, and never asks a DHT or the public network. api_port: 0 takes a free one, which
    later starts over the same repository keep. log: its output, by default in the repository.
    """

    def __init__(
        self,
        repo: Path,
        *,
        online: bool = False,
        api_port: int = 0,
        log: Path | None = None,
    ) -> None:
        self.repo = repo
        self.online = online
        self.api_port = api_port
        self.swarm_port = 0
        self.gateway_port = 0
        self.peer_id = ""
        self._log = log or self.repo / "daemon.log"
        self._process: Supervised | None = None

    def __enter__(self) -> Self:
        if not self.running:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def multiaddr(self) -> str:
        """Where its RPC API listens, as ipfshttpclient wants it. Known once it was started."""
        return f"/ip4/127.0.0.1/tcp/{self.api_port}/http"

    @property
    def url(self) -> str:
        """The same as a URL."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def gateway_url(self) -> str:
        """Where its HTTP gateway listens. Known once it was started."""
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def peer_multiaddr(self) -> str:
        """Where other nodes of this machine reach it, for `connect` and profiles."""
        return f"/ip4/127.0.0.1/tcp/{self.swarm_port}/p2p/{self.peer_id}"

    @property
    def process(self) -> Supervised:
        """The daemon's process. Raises StoreError before the first start."""
        if self._process is None:
            raise StoreError("this Kubo has not been started")
        return self._process

    @property
    def running(self) -> bool:
        """Whether the daemon runs."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Make the repository if there is none, start the daemon, return when it answers.

        Raises BinaryMissingError, PortTakenError, ProcessFailedError (with its last lines) or
        NotReadyError.
        """
        binary = find_kubo()
        # Nothing of the caller's own IPFS: another repository, another API, no report home.
        env = {name: value for name, value in os.environ.items() if not name.startswith("IPFS_")}
        env |= {"IPFS_PATH": str(self.repo), "IPFS_TELEMETRY": "off"}
        config = self.repo / "config"
        if not config.exists():
            self._init(binary, env)
        self._configure(config)
        command = [str(binary), "daemon", *(() if self.online else ("--offline",))]
        self._process = Supervised("Kubo", command, log=self._log, env=env)
        self._process.start()
        try:
            self._process.wait_ready(self._answers, seconds=60)
        except BaseException:
            self._process.kill()
            raise

    def stop(self) -> None:
        """End the daemon; the repository stays."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self.process.kill()

    def restart(self) -> None:
        """Stop it if it runs and start it over the same repository, on the same ports."""
        self.stop()
        self.start()

    def connect(self, peer: str) -> None:
        """Connect to another node (its `peer_multiaddr`) and stay connected while both run.

        Raises StoreError if it cannot.
        """
        self.rpc("swarm/connect", peer)
        self.rpc("swarm/peering/add", peer)

    def rpc(self, path: str, *args: str) -> Any:
        """One call of the RPC API. Raises StoreError if it does not answer or refuses."""
        query = urllib.parse.urlencode([("arg", value) for value in args])
        request = urllib.request.Request(  # noqa: S310 -- our own http URL
            f"{self.url}/api/v0/{path}?{query}", method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=_CALL_TIMEOUT_S) as response:  # noqa: S310
                body = response.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                why = refusal.read(1000).decode(errors="replace")
            raise StoreError(f"Kubo at {self.url} refuses {path}: {why}") from refusal
        except OSError as cause:
            raise StoreError(f"Kubo at {self.url} does not answer {path}: {cause}") from cause
        # Some answers are a line of JSON each; the last one says how it ended.
        return json.loads(body.splitlines()[-1]) if body else None

    def _init(self, binary: Path, env: dict[str, str]) -> None:
        self.repo.mkdir(parents=True, exist_ok=True)
        command = [str(binary), "init", f"--profile={PROFILES}"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ProcessFailedError(
                f"`{' '.join(command)}` in {self.repo}: {done.stderr.strip() or done.stdout}. "
                f"Kubo {VERSION} is known to work; `scripts/kubo` builds it."
            )

    def _configure(self, path: Path) -> None:
        config = json.loads(path.read_text())
        self.peer_id = config["Identity"]["PeerID"]
        self.api_port = self.api_port or _port(config["Addresses"]["API"]) or free_port()
        require_free(self.api_port, "Kubo", "choose another one")
        self.swarm_port = _port(config["Addresses"]["Swarm"][0]) or free_port()
        self.gateway_port = _port(config["Addresses"]["Gateway"]) or free_port()
        config["Addresses"]["Gateway"] = f"/ip4/127.0.0.1/tcp/{self.gateway_port}"
        config["Addresses"]["API"] = f"/ip4/127.0.0.1/tcp/{self.api_port}"
        config["Addresses"]["Swarm"] = [f"/ip4/127.0.0.1/tcp/{self.swarm_port}"]
        config["Routing"]["Type"] = "none"
        config["Provide"]["Enabled"] = False
        config["HTTPRetrieval"]["Enabled"] = False
        config["Swarm"]["RelayClient"]["Enabled"] = False
        config["AutoNAT"]["ServiceMode"] = "disabled"
        config["Version"]["SwarmCheckEnabled"] = False
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(config, indent=2))
        draft.chmod(0o600)  # it holds the node's key
        draft.replace(path)

    def _answers(self) -> bool:
        try:
            return bool(self.rpc("id")["ID"] == self.peer_id)
        except StoreError:
            return False


def find_kubo() -> Path:
    """The Kubo to run: $BAFL_IPFS, `ipfs` on PATH, or what `scripts/kubo` built in this checkout or
    on this machine before. Raises BinaryMissingError with the ways to get one.
    """
    return find.chosen_or_built(
        *("BAFL_IPFS", "ipfs", VERSION),
        "no Kubo here. In a checkout with Go installed run `make kubo` (some three minutes, once);"
        " elsewhere install Kubo, or set BAFL_IPFS to the program.",
    )


def _port(multiaddr: str) -> int:
    """The TCP port of an address that Kubo keeps in its configuration; 0 if it has none yet."""
    return int(multiaddr.split("/tcp/")[1].split("/", maxsplit=1)[0])
