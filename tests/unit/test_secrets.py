"""Secrets stay where they are: in no text, no command line, no file that others read."""

from __future__ import annotations

import ast
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bafl.chain.connection import Connection
from bafl.chain.keys import KeySource, import_keystore, load_key
from bafl.cli.app import SECTIONS, root
from bafl.devnet.chain import Account
from bafl.errors import KeystoreError, SettingsError, UsageError
from bafl.journal import Journal
from bafl.settings import NodeSettings
from bafl.store.base import open_store
from bafl.store.cid import cid
from bafl.store.errors import UnknownStore
from bafl.types import DAG_PB, RAW, Root
from bafl.urls import masked

ROOT = Path(__file__).resolve().parents[2]
KEY = "5e" * 32
TOKEN = "t0psecret"


# --- texts ---


def test_what_holds_a_key_does_not_show_it(tmp_path: Path) -> None:
    keystore = tmp_path / "key.json"
    account = import_keystore(keystore, TOKEN, KEY, scrypt_n=2)
    shown = f"{account!r} {account} {Account(account.address, KEY)!r} {KeySource(keystore)!r}"
    assert KEY not in shown
    assert TOKEN not in shown


@pytest.mark.parametrize("word", ["wrong" + TOKEN, TOKEN])
def test_a_refusal_to_open_a_key_shows_neither_it_nor_its_password(
    tmp_path: Path, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    keystore, password = tmp_path / "key.json", tmp_path / "password"
    import_keystore(keystore, TOKEN, KEY, scrypt_n=2)
    password.write_text(word)
    text = keystore.read_text()
    keystore.write_text(text.replace('"iv": "', '"iv": "0') if word == TOKEN else text)
    with pytest.raises(KeystoreError) as caught:
        load_key(KeySource(keystore, password), environ={})
    chain: BaseException | None = caught.value
    while chain is not None:
        assert TOKEN not in str(chain)
        assert KEY not in str(chain)
        chain = chain.__cause__
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        f"rpc = 'wss://chain.example/v3/{TOKEN}'",
        f"rpc = 'chain.example/v3/{TOKEN}'",
        f"rpc = 'ws://me:{TOKEN}@chain.example'",
        f"rpc = ['https://chain.example/v3/{TOKEN}']",
        f"gateways = ['https://me:{TOKEN}@gateway.example']",
        f"gateways = ['https://gateway.example/?key={TOKEN}']",
        f"gateways = 'https://gateway.example/{TOKEN}'",
    ],
)
def test_a_mistake_in_an_address_is_shown_without_its_key(tmp_path: Path, line: str) -> None:
    path = tmp_path / "node.toml"
    path.write_text(line)
    with pytest.raises(SettingsError) as caught:
        NodeSettings.load(path)
    assert TOKEN not in str(caught.value)
    assert "example" in str(caught.value)


def test_settings_do_not_show_the_addresses_that_may_hold_keys() -> None:
    settings = NodeSettings(
        rpc=f"https://chain.example/{TOKEN}", gateways=(f"https://gateway.example/{TOKEN}",)
    )
    assert TOKEN not in f"{settings!r} {settings}"


def test_a_wrong_rpc_or_store_is_named_without_its_key() -> None:
    with pytest.raises(UsageError, match=r"wss://chain\.example/…") as caught:
        Connection(f"wss://chain.example/{TOKEN}")
    assert TOKEN not in str(caught.value)
    for spec in (f"gateway:ftp://me:{TOKEN}@a/b", f"https://gateway.example/{TOKEN}"):
        with pytest.raises(UnknownStore) as refused:
            open_store(spec)
        assert TOKEN not in str(refused.value)


@given(text=st.text(max_size=40))
def test_any_text_can_be_masked(text: str) -> None:
    assert len(masked(text)) <= len(text) + 1
    if "://" not in text and "/" not in text and "?" not in text and "@" not in text:
        assert masked(text).startswith(text.partition("#")[0])


# --- command lines ---


def commands() -> Iterator[tuple[str, click.Command]]:

    context = click.Context(root)
    for verb in (verb for verbs in SECTIONS.values() for verb in verbs):
        command = root.get_command(context, verb)
        assert command is not None
        yield verb, command
        if isinstance(command, click.Group):
            yield from ((f"{verb} {name}", each) for name, each in command.commands.items())


def test_no_option_takes_a_key_or_a_password() -> None:
    found = list(commands())
    assert len(found) > 15
    for verb, command in found:
        for parameter in command.params:
            name = str(parameter.name)
            secret = re.search("password|secret|private|mnemonic", name)
            assert not secret or name.endswith("_file"), f"bafl {verb}: {name}"


# --- files ---


def test_a_journal_and_its_folder_are_closed_to_others(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        journal = Journal(tmp_path / "home" / "journal.sqlite", 1, "0x" + "1" * 40, "0x" + "2" * 40)
        journal.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    for file in (tmp_path / "home").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


@given(digest=st.binary(min_size=32, max_size=32), codec=st.sampled_from([RAW, DAG_PB]))
def test_a_file_named_after_a_strangers_root_is_letters_and_digits(
    digest: bytes, codec: int
) -> None:
    """Shelf and local store name files by CID alone; nothing else of a stranger is a name."""
    assert re.fullmatch(r"b[a-z2-7]{58}", cid(Root(digest, codec)))


# --- code ---

FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib", "cloudpickle"}
PACKAGE = sorted((ROOT / "bafl").rglob("*.py"))


def sins(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in FORBIDDEN_MODULES)
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in FORBIDDEN_MODULES:
            yield str(node.module)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in FORBIDDEN_CALLS or called in {"os.system", "os.popen", "torch.load"}:
            yield called
        given_ = {each.arg: ast.unparse(each.value) for each in node.keywords}
        if given_.get("shell") == "True" or given_.get("allow_pickle") == "True":
            yield called
        if called == "np.load" and given_.get("allow_pickle") != "False":
            yield called


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_evaluated_or_given_to_a_shell(path: Path) -> None:
    assert list(sins(ast.parse(path.read_text("utf-8")))) == []


def test_the_search_finds_what_it_looks_for() -> None:
    code = """
import pickle
from marshal import loads
eval("1"); os.system("x"); subprocess.run("x", shell=True); np.load("x"); torch.load("y")
"""
    assert len(list(sins(ast.parse(code)))) == 7
