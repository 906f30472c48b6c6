"""Keys are read from where they should be, kept closed, and never shown."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from bafl.chain.keys import (
    KEY_VARIABLE,
    PASSWORD_VARIABLE,
    KeySource,
    import_keystore,
    load_key,
    new_keystore,
)
from bafl.errors import KeystoreError

KEY = "11" * 32
FAST = 2**4


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "key.json"
    import_keystore(path, "open sesame", KEY, scrypt_n=FAST)
    return path


@pytest.mark.parametrize("written", [KEY, "0x" + KEY, f"  0x{KEY}\n"])
def test_a_key_from_the_environment(written: str) -> None:
    assert load_key(KeySource(), environ={KEY_VARIABLE: written}).key.hex() == KEY


def test_no_key_at_all_says_both_ways() -> None:
    with pytest.raises(KeystoreError, match=f"keystore.*{KEY_VARIABLE}"):
        load_key(KeySource(), environ={})


@pytest.mark.parametrize("written", ["11" * 31, "zz" * 32, "0" * 64, "ff" * 32, KEY + "1"])
def test_a_wrong_key_is_not_shown(written: str) -> None:
    with pytest.raises(KeystoreError, match="no private key") as caught:
        load_key(KeySource(), environ={KEY_VARIABLE: written})
    assert written not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_keystore_opens_with_its_password_file(keystore: Path, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("open sesame\nnot this line\n")
    assert load_key(KeySource(keystore, password), environ={}).key.hex() == KEY


def test_a_keystore_opens_with_the_variable(keystore: Path) -> None:
    environ = {PASSWORD_VARIABLE: "open sesame"}
    assert load_key(KeySource(keystore), environ=environ).key.hex() == KEY


def test_a_keystore_opens_with_an_answer(keystore: Path) -> None:
    asked: list[str] = []

    def prompt(text: str) -> str:
        asked.append(text)
        return "open sesame"

    assert load_key(KeySource(keystore), prompt=prompt, environ={}).key.hex() == KEY
    assert str(keystore) in asked[0]


def test_nobody_to_ask_is_said(keystore: Path) -> None:
    with pytest.raises(KeystoreError, match=f"password file, or {PASSWORD_VARIABLE}"):
        load_key(KeySource(keystore), environ={})


def test_a_keystore_comes_before_a_bare_key(keystore: Path) -> None:
    environ = {PASSWORD_VARIABLE: "open sesame", KEY_VARIABLE: "22" * 32}
    assert load_key(KeySource(keystore), environ=environ).key.hex() == KEY


def test_a_wrong_password_is_said_and_not_shown(keystore: Path) -> None:
    with pytest.raises(KeystoreError, match="does not open it") as caught:
        load_key(KeySource(keystore), environ={PASSWORD_VARIABLE: "open barley"})
    assert "barley" not in str(caught.value)


def test_an_empty_password_file_is_said(keystore: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("\n")
    with pytest.raises(KeystoreError, match="first line"):
        load_key(KeySource(keystore, tmp_path / "password"), environ={})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match=r"nowhere\.json does not exist"):
        load_key(KeySource(tmp_path / "nowhere.json"), environ={PASSWORD_VARIABLE: "x"})


@pytest.mark.parametrize(
    "content", ["", "not json", "[]", "{}", '{"crypto": 5}', '{"crypto": {}}', "\xff", "0" * 70_000]
)
def test_a_file_that_is_no_keystore_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(KeystoreError):
        load_key(KeySource(path), environ={PASSWORD_VARIABLE: "x"})


def test_a_keystore_with_changed_bytes_does_not_open(keystore: Path) -> None:
    raw = json.loads(keystore.read_text())
    text = raw["crypto"]["ciphertext"]
    raw["crypto"]["ciphertext"] = ("0" if text[0] != "0" else "1") + text[1:]
    keystore.write_text(json.dumps(raw))
    with pytest.raises(KeystoreError, match="does not open"):
        load_key(KeySource(keystore), environ={PASSWORD_VARIABLE: "open sesame"})


def test_a_new_keystore_is_closed_to_others_and_opens(tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    account = new_keystore(path, "secret", scrypt_n=FAST)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert account.key.hex() not in path.read_text()
    opened = load_key(KeySource(path), environ={PASSWORD_VARIABLE: "secret"})
    assert opened.address == account.address
    assert new_keystore(tmp_path / "b.json", "secret", scrypt_n=FAST).address != account.address


def test_a_key_is_never_overwritten(keystore: Path) -> None:
    before = keystore.read_bytes()
    with pytest.raises(KeystoreError, match="exists"):
        new_keystore(keystore, "secret", scrypt_n=FAST)
    assert keystore.read_bytes() == before


def test_an_empty_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match="empty password"):
        new_keystore(tmp_path / "key.json", "")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeystoreError, match="cannot be written"):
        new_keystore(tmp_path / "file" / "key.json", "secret", scrypt_n=FAST)


def test_a_file_open_to_others_is_warned_of(
    keystore: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keystore.chmod(0o644)
    load_key(KeySource(keystore), environ={PASSWORD_VARIABLE: "open sesame"})
    assert "chmod 600" in caplog.text
