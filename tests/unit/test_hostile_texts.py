"""Files that people write or get from strangers: read rightly, or refused with an error of ours."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bafl import strictjson
from bafl.aggregate.rules import rule_of
from bafl.chain.keys import PASSWORD_VARIABLE, KeySource, import_keystore, load_key
from bafl.chain.records import Member
from bafl.cli.names import MAX_NAME, Names
from bafl.errors import KeystoreError, ManifestError, SettingsError
from bafl.manifest import Manifest, RuleSpec
from bafl.settings import FederationSettings, NodeSettings
from bafl.store.cid import root_of
from bafl.store.local import LocalStore
from bafl.types import RAW, Role, TensorSpec
from tests.unit.budget import examples
from tests.unit.payloads import make_manifest

Kind = type[FederationSettings] | type[NodeSettings]

HUGE = "0x" + "f" * 5000
"""An integer that Python reads, and then prints nowhere."""


class Raw(NamedTuple):
    """A value as it stands in the file."""

    text: str


# --- values of any kind, and TOML for them ---

odd_texts = st.sampled_from(
    [
        "", "\0", "~nobody-of-this-name/x", "local:~nobody-of-this-name", "local:a\0b", "kubo:",
        ":", "1e999999999 ether", "9" * 5000 + " ether", "0." + "0" * 5000 + "1 ether", "-1 s",
        "1 ether", "0x" + "\u0661" * 40, "0x" + "ab" * 20, "http://[::1", "http://a:b@c",
        "https://" + "a." * 500, "int8", "trainer", "a:b", "\u202e", "\ufffe", "x" * 3000,
    ]
)  # fmt: skip
leaves = st.one_of(
    st.booleans(),
    st.integers(),
    st.just(Raw(HUGE)),
    st.sampled_from([-1, 2**32, 2**64, 2**96, 2**256, 10**19]),
    st.floats(),
    odd_texts,
    st.text(max_size=20),
    st.dates(),
    st.times(),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def toml(value: Any) -> str:
    """One value in TOML, inline."""
    match value:
        case Raw():
            return value.text
        case bool():
            return str(value).lower()
        case int():
            return hex(value) if value >= 0 else str(value)
        case float():
            return str(value)
        case str():
            escaped = (f"\\u{ord(c):04x}" if ord(c) < 32 or c in '"\\\x7f' else c for c in value)
            return f'"{"".join(escaped)}"'
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            inner = ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items())
            return f"{{{inner}}}"
    return str(value.isoformat())


def keys_of(kind: Kind) -> list[str]:
    return [*kind.model_fields, "nonsense"]


INNER: tuple[str, ...] = (
    "name",
    "entry",
    "encodings",
    "size_limit",
    "min_stake",
    "currency",
    "window_size",
)
INNER += ("direction", "unit", "poll", "encoding", "reward_rate", "slash_sink", "lr")

files = st.dictionaries(
    st.sampled_from(sorted({*keys_of(FederationSettings), *keys_of(NodeSettings)})),
    values | st.dictionaries(st.sampled_from(INNER), values, max_size=3),
    max_size=5,
)


def load(kind: Kind, path: Path, text: bytes | str) -> object | None:
    """What the file says; None where it is refused."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "replace"))
    try:
        return kind.load(path)
    except SettingsError:
        return None


@examples(150)
@given(kind=st.sampled_from([FederationSettings, NodeSettings]), table=files)
def test_settings_of_any_values_are_read_or_refused(
    tmp_path: Path, kind: Kind, table: Mapping[str, Any]
) -> None:
    whole = {"name": "a", "task": {"name": "digits"}} if kind is FederationSettings else {}
    text = "\n".join(f"{toml(key)} = {toml(value)}" for key, value in {**whole, **table}.items())
    read = load(kind, tmp_path / "a.toml", text)
    if isinstance(read, FederationSettings) and read.rule is not None:
        with contextlib.suppress(ManifestError):
            rule_of(RuleSpec(read.rule.name, read.rule.parameters))


@examples(150)
@given(
    name=st.sampled_from(["digits/federation.toml", "digits/node.toml", "heart/federation.toml"]),
    edits=st.lists(
        st.tuples(st.integers(0, 999), st.integers(0, 40), st.binary(max_size=12)), max_size=4
    ),
)
def test_settings_with_any_bytes_changed_are_read_or_refused(
    tmp_path: Path, name: str, edits: list[tuple[int, int, bytes]]
) -> None:
    text = bytearray(Path("examples", name).read_bytes())
    for at, length, new in edits:
        text[at % len(text) : at % len(text) + length] = new
    load(NodeSettings if "node" in name else FederationSettings, tmp_path / "a.toml", bytes(text))


FOUNDING = 'name = "a"\ntask.name = "digits"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FOUNDING + "x = " + "[" * 30_000, "nested deeper"),
        (FOUNDING + "x = " + "9" * 5000, "not TOML"),
        (FOUNDING + f"fund = {HUGE}", "fund = a number too long to show: is far too many wei"),
        (FOUNDING + f"parameters.window_size = {HUGE}", "from 0 to 255"),
        (FOUNDING + f"task.lr = {HUGE}", "a manifest can hold"),
        (FOUNDING + "task.lr = nan", "a manifest can hold"),
        (FOUNDING + "task.lr = -inf", "a manifest can hold"),
        (FOUNDING + f'rule.name = "x"\nrule.y = {HUGE}', "needs a whole number from"),
        (FOUNDING + "payload.encodings = [[1]]", "known are"),
        (FOUNDING + "payload.encodings = [{a = 1}]", "known are"),
        (FOUNDING + f'fund = "{"9" * 5000} ether"', "an amount with a unit"),
        (FOUNDING + f'parameters.max_wait = "{"9" * 5000} s"', "a time in whole seconds"),
        (FOUNDING + "x = 1\n" * 30_000, "bytes; a settings file has less"),
    ],
)
def test_a_federation_file_that_broke_the_reader_once(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(SettingsError, match=said):
        FederationSettings.load(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('home = "~nobody-of-this-name/x"', "home = '~nobody.*no such user"),
        ('store = "local:~nobody-of-this-name/x"', "store = '~nobody.*no such user"),
        ('keystore = "a\\u0000b"', "needs a path"),
        ('store = "local:a\\u0000b"', "zero byte"),
        ('roles = [["trainer"]]', "'trainer', 'validator' or both"),
        (f"stake = {HUGE}", "too long to show"),
    ],
)
def test_a_node_file_that_broke_the_reader_once(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(SettingsError, match=said):
        NodeSettings.load(tmp_path / "a.toml")


# --- JSON from strangers ---

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def changed(value: Any, at: tuple[int, ...], new: Any) -> Any:
    """The value with what lies at a place, found by counting, replaced by another."""
    if not at or not isinstance(value, dict | list) or not value:
        return new
    key = list(value)[at[0] % len(value)] if isinstance(value, dict) else at[0] % len(value)
    twin: Any = value.copy()
    twin[key] = changed(value[key], at[1:], new)
    return twin


places = st.lists(st.integers(0, 40), min_size=1, max_size=4).map(tuple)


@examples(300)
@given(at=places, new=json_values)
def test_a_manifest_with_any_value_changed_is_read_or_refused(
    at: tuple[int, ...], new: Any
) -> None:
    sound = json.loads(make_manifest().to_json())
    try:
        data = strictjson.dump(changed(sound, at, new))
    except strictjson.JsonRefused:
        return
    try:
        manifest = Manifest.from_json(data)
    except ManifestError:
        return
    assert manifest.to_json() == data


@examples(200)
@given(
    data=st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace"))
)
@example(data=b"[" * 100_000)
@example(data=b"9" * 100_000)
@example(data=b'{"format":1e999}')
@example(data=b'"\\ud800"')
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestError):
        Manifest.from_json(data)


@given(shape=st.lists(st.integers(-1, 2**70), max_size=17))
def test_a_manifest_of_a_huge_model_is_refused_without_making_it(shape: list[int]) -> None:
    sound = json.loads(make_manifest().to_json())
    sound["tensors"] = [["a", "F32", shape]]
    with contextlib.suppress(ManifestError):
        manifest = Manifest.from_json(strictjson.dump(sound))
        assert manifest.parameters == math.prod(shape) <= 1 << 40
        assert manifest.tensors == (TensorSpec("a", "F32", tuple(shape)),)


@examples(100)
@given(data=st.binary(max_size=60) | json_values.map(lambda v: json.dumps(v).encode()))
@example(data=b"[" * 4000)
@example(data=b"9" * 4096)
@example(data=b'{"name":"\\ud800"}')
@example(data=json.dumps({"name": "\u202e\x1b[2Jx\n" * 40}).encode())
@example(data=b'{"name":"a","name":"b"}')
@example(data=b'{"name":"' + b"a" * 5000 + b'"}')
def test_a_profile_gives_a_short_plain_name_or_none(tmp_path: Path, data: bytes) -> None:
    store = LocalStore(tmp_path / "store")
    (tmp_path / "profile").write_bytes(data)
    root = store.put(tmp_path / "profile")
    assert root.codec == RAW
    assert root == root_of(data)
    member = Member("0x" + "11" * 20, Role.TRAINER, 1, root.digest, 1)
    for name in Names(store).of({member.address: member}).values():
        assert 0 < len(name) <= MAX_NAME
        assert name.isprintable()


# --- keystores ---

PASSWORD = {PASSWORD_VARIABLE: "open sesame"}


@pytest.fixture(scope="session")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("keys") / "key.json"
    import_keystore(path, PASSWORD[PASSWORD_VARIABLE], "11" * 32, scrypt_n=2)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def opened(path: Path, text: str) -> str | None:
    """The address of the key in a keystore; None where it is refused."""
    path.write_text(text, "utf-8", "replace")
    path.chmod(0o600)
    try:
        return load_key(KeySource(path), environ=PASSWORD).address
    except KeystoreError:
        return None


@examples(200)
@given(at=places, new=json_values)
def test_a_keystore_with_any_value_changed_opens_to_its_key_or_not_at_all(
    tmp_path: Path, keystore: dict[str, Any], at: tuple[int, ...], new: Any
) -> None:
    address = opened(tmp_path / "key.json", json.dumps(changed(keystore, at, new)))
    assert address in (None, "0x" + keystore["address"])


def kdf(**parameters: Any) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw["crypto"]["kdfparams"].update(parameters)


@pytest.mark.parametrize(
    "edit",
    [
        kdf(n=2**40), kdf(n=2**22, r=64), kdf(r=0), kdf(p=2**20), kdf(dklen=2**40), kdf(dklen=0),
        kdf(c=10**12), kdf(n=16.0), kdf(n=True),
        lambda raw: raw["crypto"]["cipherparams"].update(iv="00" * 16),
    ],
)  # fmt: skip
def test_a_keystore_that_asks_for_too_much_or_gives_another_key_is_refused(
    tmp_path: Path, keystore: dict[str, Any], edit: Callable[[dict[str, Any]], None]
) -> None:
    raw = json.loads(json.dumps(keystore))
    assert opened(tmp_path / "key.json", json.dumps(raw)) == "0x" + raw["address"]
    edit(raw)
    assert opened(tmp_path / "key.json", json.dumps(raw)) is None


@pytest.mark.parametrize(
    "text", ["[" * 30_000, '{"crypto":' * 3_000, '{"crypto": ' + "9" * 5000 + "}"]
)
def test_a_keystore_nested_or_numbered_beyond_reason_is_refused(tmp_path: Path, text: str) -> None:
    assert opened(tmp_path / "key.json", text) is None
