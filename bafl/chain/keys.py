"""An account's key: from an encrypted keystore or the environment, never from the command line."""

from __future__ import annotations

import json
import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eth_account import Account
from eth_utils.exceptions import ValidationError

from bafl.errors import KeystoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eth_account.signers.local import LocalAccount

log = logging.getLogger(__name__)

KEY_VARIABLE = "BAFL_PRIVATE_KEY"
PASSWORD_VARIABLE = "BAFL_KEYSTORE_PASSWORD"  # noqa: S105 - a name, not a password
MAX_FILE_BYTES = 64 * 1024
MAX_SCRYPT_BLOCKS = 2**23
"""Of 128 bytes: a gigabyte. geth's keystores take a quarter of it (n = 2^18, r = 8)."""

_WORK = (("n", 2, 2**22), ("r", 1, 64), ("p", 1, 64), ("c", 1, 10**7), ("dklen", 32, 64))
"""What a key derivation may ask for, of scrypt and PBKDF2 alike: name, least, most."""


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a key comes from. keystore: an encrypted file (geth's format, version 3).

    password_file: its first line opens the keystore. Without one: the variable
    `BAFL_KEYSTORE_PASSWORD`, else a prompt. Without a keystore: the variable `BAFL_PRIVATE_KEY`.
    """

    keystore: Path | None = None
    password_file: Path | None = None


def load_key(
    source: KeySource,
    *,
    prompt: Callable[[str], str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> LocalAccount:
    """The account of `source`.

    prompt: asks a person for the password, given a text that says for what; None: nobody is there.
    environ: instead of the process's environment.
    Raises KeystoreError: no key, a file that is missing, unreadable or none, a wrong password.
    """
    if source.keystore is None:
        given = (os.environ if environ is None else environ).get(KEY_VARIABLE, "")
        if not given:
            raise KeystoreError(
                f"no key: give a keystore (`bafl key new` makes one) or set {KEY_VARIABLE}"
            )
        return _account(given, KEY_VARIABLE)
    encrypted = _keystore(source.keystore)
    _check_work(source.keystore, encrypted)
    password = password_of(source, prompt=prompt, environ=environ)
    try:
        key = Account.decrypt(encrypted, password)
    except ValueError as error:
        raise KeystoreError(
            f"{source.keystore}: this password does not open it ({error})"
        ) from error
    except (LookupError, TypeError, AttributeError, ArithmeticError, NotImplementedError) as error:
        raise KeystoreError(f"{source.keystore}: not a keystore ({error!r})") from error
    account = _account(key.hex(), str(source.keystore))
    # The file's checksum leaves its initial vector out: a damaged one gives another key.
    named = encrypted.get("address")
    if isinstance(named, str) and named.lower().removeprefix("0x") != account.address[2:].lower():
        raise KeystoreError(
            f"{source.keystore} is damaged: it holds another key than its address says"
        )
    return account


def password_of(
    source: KeySource,
    *,
    prompt: Callable[[str], str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """The password of a keystore, which need not be there yet; see `load_key`."""
    environ = os.environ if environ is None else environ
    if source.password_file is not None:
        lines = _read(source.password_file).splitlines()
        if not lines or not lines[0]:
            raise KeystoreError(f"{source.password_file}: its first line should be the password")
        return lines[0]
    if PASSWORD_VARIABLE in environ:
        return environ[PASSWORD_VARIABLE]
    if prompt is None:
        raise KeystoreError(
            f"{source.keystore} needs a password: a password file, or {PASSWORD_VARIABLE}"
        )
    return prompt(f"Password of {source.keystore}")


def new_keystore(path: Path, password: str, *, scrypt_n: int = 2**18) -> LocalAccount:
    """Make a key and write it, encrypted, to a new file that only its owner may read.

    scrypt_n: the work that each try of a password costs; a power of two.
    Raises KeystoreError if the file exists, cannot be written, or the password is empty.
    """
    return import_keystore(path, password, os.urandom(32).hex(), scrypt_n=scrypt_n)


def import_keystore(path: Path, password: str, key: str, *, scrypt_n: int = 2**18) -> LocalAccount:
    """As `new_keystore`, with a key of one's own. key: 64 hexadecimal digits, 0x before or not."""
    account = _account(key, "the key to import")
    if not password:
        raise KeystoreError(f"{path}: an empty password would leave the key open; give one")
    encrypted = Account.encrypt(account.key, password, kdf="scrypt", iterations=scrypt_n)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KeystoreError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        # Only ever a new file, and closed to others from its first byte.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise KeystoreError(
            f"{path} exists, and a key that is overwritten is lost: choose another name"
        ) from error
    except OSError as error:
        raise KeystoreError(f"{path}: cannot be written ({error.strerror})") from error
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(encrypted, file)
        file.flush()
        os.fsync(file.fileno())
    return account


def _account(key: str, what: str) -> LocalAccount:
    digits = key.strip().removeprefix("0x")
    try:
        if len(digits) != 64:
            raise ValueError
        account: LocalAccount = Account.from_key(bytes.fromhex(digits))
    except (ValueError, ValidationError):
        # Neither the message nor its cause may show any part of the key.
        raise KeystoreError(f"{what} is no private key: 64 hexadecimal digits") from None
    return account


def _keystore(path: Path) -> dict[str, object]:
    try:
        raw = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise KeystoreError(f"{path} is not a keystore: it is no JSON") from error
    if not isinstance(raw, dict) or not ({"crypto", "Crypto"} & raw.keys()):
        raise KeystoreError(f"{path} is not a keystore: it has no `crypto`")
    return raw


def _check_work(path: Path, encrypted: Mapping[str, object]) -> None:
    """Refuse a file that asks for more memory or work than any keystore needs."""
    crypto = next((each for name, each in encrypted.items() if name.lower() == "crypto"), None)
    given = crypto.get("kdfparams") if isinstance(crypto, dict) else None
    if not isinstance(given, dict):
        raise KeystoreError(f"{path}: not a keystore (no `kdfparams`)")
    for name, least, most in _WORK:
        value = given.get(name, least)
        if type(value) is not int or not least <= value <= most:
            raise KeystoreError(
                f"{path}: not a keystore (its {name} is not a number from {least} to {most})"
            )
    if given.get("n", 2) * given.get("r", 1) * given.get("p", 1) > MAX_SCRYPT_BLOCKS:
        raise KeystoreError(f"{path}: opening it would take gigabytes of memory, or hours")


def _read(path: Path) -> str:
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            log.warning("%s can be read by others: chmod 600 it", path)
        if path.stat().st_size > MAX_FILE_BYTES:
            raise KeystoreError(f"{path} is too large for what it should be")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise KeystoreError(f"{path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise KeystoreError(f"{path} cannot be read ({error})") from error
