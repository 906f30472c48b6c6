"""What a verb works with: settings turned into a connection, a key, a federation, a store."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bafl.cli.output import Output
from bafl.errors import SettingsError, StoreError
from bafl.settings import NodeSettings
from bafl.store.errors import PayloadUnavailable
from bafl.values import amounts, read_address

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from bafl.chain.calls import Call
    from bafl.chain.connection import Connection
    from bafl.chain.federation import Federation
    from bafl.chain.history import History, HistoryFile
    from bafl.chain.sender import Receipt, Sender
    from bafl.manifest import Manifest
    from bafl.replay import Federal
    from bafl.store.base import Store
    from bafl.tasks.base import Task
    from bafl.types import View, Window
    from bafl.units import Amount

T = TypeVar("T")

READ_PATIENCE_S = 6.0
FETCH_TIMEOUT_S = 60.0


class Session:
    """One run of a verb. Everything is opened when it is first asked for."""

    def __init__(
        self, settings: NodeSettings, output: Output, given: Mapping[str, str] | None = None
    ) -> None:
        """given: options of the command line, to be repeated where another verb is named."""
        self.settings = settings
        self._given = given or {}
        self.no_manifest = ""
        self.output = output
        self.patience_s = READ_PATIENCE_S

    def again(self, verb: str) -> str:
        """Return the command for another verb with what was given to this one."""
        options = [part for pair in self._given.items() for part in pair]
        return shlex.join(["bafl", *verb.split(), *options])

    @cached_property
    def connection(self) -> Connection:
        """The chain. Raises SettingsError without an RPC URL, ChainError if it is not there."""
        from bafl.chain.connection import Connection

        url = self._needed(self.settings.rpc, "rpc", "http://127.0.0.1:8545")
        return Connection(url, self.settings.chain_id, patience_s=self.patience_s)

    @cached_property
    def federation(self) -> Federation:
        """The contract. Raises ChainError if there is none, or another kind, at the address."""
        from bafl.chain.federation import Federation

        address = self._needed(self.settings.federation, "federation", "0x…")
        return Federation(self.connection, address)

    @cached_property
    def account(self) -> LocalAccount:
        """The account's key. Raises KeystoreError."""
        from bafl.chain import keys

        source = keys.KeySource(self.settings.keystore, self.settings.password_file)
        return keys.load_key(source, prompt=ask_password if sys.stdin.isatty() else None)

    @cached_property
    def sender(self) -> Sender:
        """The account's transactions to the federation."""
        return self.sender_to(self.federation.address)

    def sender_to(self, contract: str | None) -> Sender:
        """Return the account's transactions to a contract, or to none in particular."""
        from bafl.chain.sender import Sender

        limit = self.settings.run.fee_limit
        given = {} if limit is None else {"fee_limit_wei": limit}
        return Sender(self.connection, self.account, contract, **given)

    @cached_property
    def store(self) -> Store:
        """Where payloads are, to read them; needs no key. Raises SettingsError, StoreError."""
        return self._open_store("reader")

    @cached_property
    def own_store(self) -> Store:
        """The same, to put and pin payloads in the account's name.

        Raises SettingsError where there are only gateways, too.
        """
        store = self._open_store(self.account.address)
        if store.read_only:
            raise SettingsError(
                f"{store.describe()} only gives payloads, and this needs a store to put them into: "
                "set `store` (--store) to local:FOLDER or kubo:MULTIADDR; the gateways may stay"
            )
        return store

    def _open_store(self, owner: str) -> Store:
        from bafl.store.base import open_stores

        specs = self.settings.stores or self._needed(None, "store", "local:FOLDER")
        return open_stores(specs, owner)

    @cached_property
    def manifest(self) -> Manifest:
        """The federation's manifest, fetched and checked."""
        from bafl.errors import ManifestError
        from bafl.manifest import MAX_BYTES, Manifest
        from bafl.store.cid import cid

        genesis = self.federation.genesis
        with tempfile.TemporaryDirectory(prefix="bafl-") as folder:
            path = Path(folder) / "manifest"
            with self.output.working("fetching the manifest"):
                self.store.fetch(genesis.manifest, path, MAX_BYTES, FETCH_TIMEOUT_S)
            manifest = Manifest.from_json(path.read_bytes())
        if manifest.genesis != cid(genesis.model):
            raise ManifestError(
                f"the manifest of {self.federation.address} names the genesis model "
                f"{manifest.genesis}, its contract {cid(genesis.model)}: do not join it"
            )
        return manifest

    @cached_property
    def federal(self) -> Federal:
        """What payload headers are bound to."""
        from bafl.replay import Federal

        return Federal(self.federation.chain_id, self.federation.address, self.manifest)

    @cached_property
    def history_file(self) -> HistoryFile:
        """The federation's log, kept in memory: a node may be writing its own file."""
        from bafl.chain.history import HistoryFile

        return HistoryFile(self.federation)

    def read_history(self) -> History:
        """Read the federation's whole log, or what is new of it."""
        with self.output.working("reading the log"):
            return self.history_file.sync()

    @property
    def home(self) -> Path:
        """The node's own folder. Raises SettingsError without one."""
        return Path(self._needed(self.settings.home, "home", "FOLDER"))

    def open_task(self, **given: Any) -> Task:
        """Open the participant's task: the federation's, with the node file's own settings.

        given: settings from the command line. Raises TaskError, DataError, SettingsError.
        """
        from bafl.tasks import open_task

        own = self.settings.task
        # A stranger wrote the manifest: it may name a ready task, never code to be imported.
        if own.entry is None and ":" in self.manifest.task:
            raise SettingsError(
                f"the federation's task {self.manifest.task!r} is no ready one: name your own "
                'code for it in the node file: [task] entry = "package.module:function"'
            )
        name = own.entry or self.manifest.task
        with self.output.working(f"loading the task {name}"):
            return open_task(name, **{**self.manifest.settings, **own.settings, **given})

    def send(self, call: Call, what: str) -> Receipt:
        """Send a transaction and wait for it; one line when it is done."""
        with self.output.working(what):
            return self.sender.send(call)

    def pay(self, call: Call, what: str) -> Receipt:
        """Send a transaction that money comes along with; a line more where it is a token."""
        from bafl.chain import currency

        with self.output.working(what):
            return currency.pay(self.federation, self.sender, call, self.output.line)

    def amount(self, given: int | Amount, name: str) -> int:
        """Return an amount in the smallest unit of the federation's currency.

        name: of the setting. Raises SettingsError where it is in another.
        """
        return amounts(self.federation.currency, {name: given})[name]

    def money(self, amount: int) -> str:
        """Return an amount of the federation's currency as it is shown."""
        return self.federation.currency.format(amount)

    def now(self) -> float:
        """Return the time to compare deadlines with: ours, or the chain's where it is ahead."""
        return max(time.time(), self.connection.time())

    def waiting(self, view: View) -> list[Window]:
        """Return the windows from the one being judged to the open one."""
        between = range(view.judging.id + 1, view.open.id)
        windows = [view.judging, *(self.federation.window(window) for window in between)]
        return windows if view.judging.id == view.open.id else [*windows, view.open]

    @cached_property
    def manifest_or_none(self) -> Manifest | None:
        """The manifest where a store is set and has it; looking at a federation goes on without.

        `no_manifest` says why there is none.
        """
        if not self.settings.stores:
            self.no_manifest = "no store is set (--store)"
            return None
        try:
            return self.manifest
        except PayloadUnavailable:
            self.no_manifest = f"the manifest is not in {self.store.describe()}"
        except StoreError as error:
            self.no_manifest = str(error)
        return None

    def account_or(self, given: str | None) -> str | None:
        """Return the address given, else that of the key if one is set, else None."""
        if given is not None:
            return read_address(given, "--account")
        if self.settings.keystore is None and "BAFL_PRIVATE_KEY" not in os.environ:
            return None
        return self.account.address

    @staticmethod
    def _needed(value: T | None, name: str, example: str) -> T:
        if value is None:
            raise SettingsError(
                f"no {name} is set: give --{name} {example}, or `{name} = …` in the node file "
                f"(--config), or BAFL_{name.upper()} in the environment"
            )
        return value


def ask_password(text: str) -> str:
    """Ask for a keystore's password on the terminal."""
    return str(click.prompt(text, hide_input=True, err=True))
