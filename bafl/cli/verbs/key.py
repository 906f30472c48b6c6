"""`bafl key`: make, import or look at a keystore."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bafl.cli.app import Verb, VerbGroup
from bafl.cli.options import output_options
from bafl.errors import KeystoreError

if TYPE_CHECKING:
    from bafl.cli.output import Output

_FILE = click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
_PASSWORD = click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    envvar="BAFL_PASSWORD_FILE",
    metavar="FILE",
    help="Its first line is the password; or set BAFL_KEYSTORE_PASSWORD, or be asked.",
)


@click.group("key", cls=VerbGroup, example="bafl key new alice.json")
def command() -> None:
    """Make, import or look at an encrypted key.

    A keystore is a file in geth's format (version 3), readable by its owner only. Keys and
    passwords are never taken from the command line, where others could see them.
    """


@command.command("new", cls=Verb, example="bafl key new alice.json")
@_FILE
@_PASSWORD
@output_options
def new(file: Path, password_file: Path | None, output: Output) -> None:
    """Make a new key and write it, encrypted, to FILE."""
    from bafl.chain.keys import new_keystore

    account = new_keystore(file, _password(file, password_file))
    output.line(f"New key of {account.address} in {file}. Keep the file and its password safe.")
    output.emit({"address": account.address, "file": str(file)})


@command.command("import", cls=Verb, example="bafl key import alice.json")
@_FILE
@_PASSWORD
@output_options
def import_(file: Path, password_file: Path | None, output: Output) -> None:
    """Encrypt a key of your own into FILE; it comes from BAFL_PRIVATE_KEY, or is asked for."""
    from bafl.chain.keys import KEY_VARIABLE, import_keystore

    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        if not sys.stdin.isatty():
            raise KeystoreError(f"set {KEY_VARIABLE} to the key that is to be imported")
        key = str(click.prompt("Private key (64 hexadecimal digits)", hide_input=True, err=True))
    account = import_keystore(file, _password(file, password_file), key)
    output.line(f"Key of {account.address} imported into {file}.")
    output.emit({"address": account.address, "file": str(file)})


@command.command("show", cls=Verb, example="bafl key show alice.json")
@_FILE
@_PASSWORD
@output_options
def show(file: Path, password_file: Path | None, output: Output) -> None:
    """Show whose key FILE holds; the key itself is never shown."""
    from bafl.chain.keys import KeySource, load_key
    from bafl.cli.session import ask_password

    prompt = ask_password if sys.stdin.isatty() else None
    account = load_key(KeySource(file, password_file), prompt=prompt)
    output.line(account.address)
    output.emit({"address": account.address, "file": str(file)})


def _password(file: Path, password_file: Path | None) -> str:
    """Return the password for a new keystore."""
    from bafl.chain.keys import KeySource, password_of

    if file.exists():
        raise KeystoreError(
            f"{file} exists, and a key that is overwritten is lost: choose another name"
        )

    def ask_twice(text: str) -> str:
        return str(click.prompt(text, hide_input=True, confirmation_prompt=True, err=True))

    prompt = ask_twice if sys.stdin.isatty() else None
    return password_of(KeySource(file, password_file), prompt=prompt)
