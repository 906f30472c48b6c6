"""`bafl devnet`: a chain and an IPFS daemon of one's own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bafl.cli.app import Verb
from bafl.cli.options import output_options

if TYPE_CHECKING:
    from bafl.cli.output import Output
    from bafl.devnet import Account, Anvil, Kubo

LIGHT_SCRYPT = 2**10
"""These keys are public anyway: opening one need not cost a second."""


@click.command("devnet", cls=Verb, example="bafl devnet --folder devnet")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("devnet"),
    show_default=True,
    help="Keeps the chain's state, keys and payloads.",
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8545, show_default=True, help="Of the RPC."
)
@click.option(
    "--chain-id", type=click.IntRange(1), default=31337, show_default=True, help="Of the chain."
)
@click.option(
    "--accounts", type=click.IntRange(1, 100), default=10, show_default=True, help="Funded ones."
)
@click.option(
    "--ipfs/--no-ipfs",
    default=None,
    help="Insist on Kubo, or do without; by default it runs where it is installed.",
)
@output_options
def command(
    folder: Path, port: int, chain_id: int, accounts: int, ipfs: bool | None, output: Output
) -> None:
    """Run a local chain, and IPFS, until Ctrl-C.

    The chain is Anvil; IPFS is Kubo where it is installed, else a folder. The chain's state
    survives: the next start goes on from it. The folder gets a keystore and a node file for each
    funded account: owner.toml, node1.toml, node2.toml and so on. The keys are everybody's test
    keys: never send real money to them.
    """
    from bafl.devnet import Anvil

    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_only_one(folder))
        with output.working("starting Anvil"):
            anvil = stack.enter_context(
                Anvil(
                    port=port,
                    state=folder / "chain.json",
                    chain_id=chain_id,
                    mine_every_s=1,
                    accounts=accounts,
                    log=folder / "anvil.log",
                )
            )
        with output.working("starting Kubo"):
            kubo, why_not = _kubo(stack, folder, ipfs)
        store = f"kubo:{kubo.multiaddr}" if kubo else f"local:{folder.resolve() / 'store'}"
        with output.working("writing keystores"):
            names = _write_files(folder, anvil, store)
        _tell(output, folder, anvil, store, why_not, names)
        _wait(anvil, kubo)
    output.line("Stopped; `bafl devnet` goes on from here.")


def _kubo(
    stack: contextlib.ExitStack, folder: Path, wanted: bool | None
) -> tuple[Kubo | None, str]:
    """Start Kubo where it is wanted and there; else say why not."""
    from bafl.devnet import BinaryMissingError, Kubo, find_kubo

    if wanted is False:
        return None, "as asked"
    try:
        find_kubo()
    except BinaryMissingError as error:
        if wanted:
            raise
        return None, str(error)
    return stack.enter_context(Kubo(folder / "ipfs", log=folder / "kubo.log")), ""


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold the folder; two chains writing one state would lose it."""
    from bafl.errors import DevnetError

    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DevnetError(
                f"a devnet runs in {folder} already: use it, or give another --folder"
            ) from None
        yield


def _write_files(folder: Path, anvil: Anvil, store: str) -> Sequence[tuple[str, Account]]:
    """Write a keystore (once) and a node file for each account."""
    from bafl.chain.keys import import_keystore

    keys = folder / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    password = keys / "password"
    if not password.exists():
        handle = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(16) + "\n")
    names = ["owner", *(f"node{index}" for index in range(1, len(anvil.accounts)))]
    for name, account in zip(names, anvil.accounts, strict=True):
        keystore = keys / f"{name}.json"
        if not keystore.exists():
            import_keystore(
                keystore, password.read_text().strip(), account.key, scrypt_n=LIGHT_SCRYPT
            )
        (folder / f"{name}.toml").write_text(
            f"# Written by `bafl devnet` at each start: the account {account.address}.\n"
            f'rpc = "{anvil.url}"\n'
            f"chain_id = {anvil.chain_id}\n"
            f"store = {_quoted(store)}\n"
            f'keystore = "keys/{name}.json"\n'
            f'password_file = "keys/password"\n',
            "utf-8",
        )
    return list(zip(names, anvil.accounts, strict=True))


def _quoted(text: str) -> str:
    """Return a TOML string."""
    import json

    return json.dumps(text, ensure_ascii=False)


def _tell(
    output: Output,
    folder: Path,
    anvil: Anvil,
    store: str,
    why_not: str,
    names: Sequence[tuple[str, Account]],
) -> None:
    output.line(f"Chain   {anvil.url}  (chain id {anvil.chain_id}; state in {folder}/chain.json)")
    output.line(f"Store   {store}" + (f"  (no Kubo: {why_not})" if why_not else ""))
    output.line(f"Keys    {len(names)} funded accounts, keystores in {folder}/keys")
    output.table(
        ("account", "address", "node file"),
        [
            (name, output.address(account.address), str(folder / f"{name}.toml"))
            for name, account in names
        ],
    )
    output.line("Ctrl-C stops it; the next start goes on from here.")
    accounts: list[dict[str, Any]] = [
        {
            "name": name,
            "address": account.address,
            "keystore": str(folder / "keys" / f"{name}.json"),
            "config": str(folder / f"{name}.toml"),
        }
        for name, account in names
    ]
    output.emit(
        {
            "rpc": anvil.url,
            "chainId": anvil.chain_id,
            "store": store,
            "kubo": store.startswith("kubo:"),
            "passwordFile": str(folder / "keys" / "password"),
            "accounts": accounts,
        }
    )


def _wait(anvil: Anvil, kubo: Kubo | None) -> None:
    """Return on SIGINT or SIGTERM. Raises ProcessFailedError if a daemon ends by itself."""
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        while not stop.wait(0.5):
            anvil.process.require_running()
            if kubo is not None:
                kubo.process.require_running()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
