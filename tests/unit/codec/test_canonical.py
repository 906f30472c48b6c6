from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from bafl import strictjson
from bafl.codec import canonical, errors
from bafl.codec.model import model_layout, read_model, write_model
from bafl.codec.update import read_update, write_update
from bafl.errors import PayloadError, StoreError
from bafl.manifest import Manifest
from bafl.types import Encoding, TensorSpec
from tests.unit.payloads import make_header, make_manifest, random_delta, random_state

MANIFEST = make_manifest()
HEADER = make_header()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("payloads")


@pytest.fixture(scope="module")
def model_bytes(folder: Path) -> bytes:
    path = folder / "good-model"
    write_model(path, MANIFEST, random_state(MANIFEST))
    return path.read_bytes()


@pytest.fixture(scope="module")
def update_bytes(folder: Path) -> bytes:
    path = folder / "good-update"
    write_update(path, random_delta(MANIFEST, 3), HEADER, MANIFEST)
    return path.read_bytes()


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def join(table: dict[str, Any] | bytes, data: bytes) -> bytes:
    if isinstance(table, bytes):
        text = table
    else:
        text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def relabelled(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    table, values = split(data)
    label = json.loads(table["__metadata__"]["bafl"])
    change(label)
    table["__metadata__"]["bafl"] = strictjson.dump(label).decode()
    return join(table, values)


def read_as_model(folder: Path, data: bytes) -> dict[str, Any]:
    path = folder / "candidate"
    path.write_bytes(data)
    return dict(read_model(path, MANIFEST).tensors)


def read_as_update(folder: Path, data: bytes) -> Any:
    path = folder / "candidate"
    path.write_bytes(data)
    return read_update(path, HEADER, MANIFEST)


def test_the_official_writer_gives_the_same_bytes(model_bytes: bytes) -> None:
    state = {name: np.array(values) for name, values in random_state(MANIFEST).items()}
    label = strictjson.dump(dict(model_layout(MANIFEST).label)).decode()
    assert safetensors.numpy.save(state, {"bafl": label}) == model_bytes


def test_the_official_reader_reads_ours(folder: Path, model_bytes: bytes) -> None:
    read = safetensors.numpy.load(model_bytes)
    state = random_state(MANIFEST)
    assert read.keys() == state.keys()
    for name, values in state.items():
        np.testing.assert_array_equal(read[name], values)


@settings(max_examples=50, deadline=None)
@given(
    named=st.dictionaries(
        st.text(
            st.characters(codec="utf-8", categories=["L", "N", "P", "S"], exclude_characters=":"),
            min_size=1,
            max_size=8,
        ).filter(lambda name: name.isprintable()),
        st.tuples(
            st.sampled_from(["F32", "I64", "I32", "I16", "I8", "U8", "BOOL"]),
            st.lists(st.integers(0, 3), max_size=3).map(tuple),
        ),
        max_size=6,
    )
)
def test_any_tensors_are_written_as_the_official_writer_does(
    folder: Path, named: dict[str, tuple[str, tuple[int, ...]]]
) -> None:
    specs = [TensorSpec("w", "F32", (2,))]
    specs += [TensorSpec(n, d, s) for n, (d, s) in named.items() if n not in {"w", "__metadata__"}]
    manifest = make_manifest(tuple(specs))
    state = {s.name: np.ones(s.shape, canonical.DTYPES[s.dtype]) for s in specs}
    path = folder / "any"
    write_model(path, manifest, state)
    label = strictjson.dump(dict(model_layout(manifest).label)).decode()
    assert safetensors.numpy.save(state, {"bafl": label}) == path.read_bytes()
    read = read_model(path, manifest).tensors
    for name, values in state.items():
        np.testing.assert_array_equal(read[name], values)


def refused(kind: type[PayloadError], of: Callable[[bytes], bytes], id: str) -> Any:  # noqa: A002
    return pytest.param(kind, of, id=id)


def tensors_changed(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    def of(data: bytes) -> bytes:
        table, values = split(data)
        change(table)
        return join(table, values)

    return of


def set_entry(tensor: str, key: str, value: Any) -> Callable[[bytes], bytes]:
    return tensors_changed(lambda table: table[tensor].__setitem__(key, value))


def spelled(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def of(data: bytes) -> bytes:
        length = int.from_bytes(data[:8], "little")
        text = data[8 : 8 + length].rstrip(b" ")
        assert old in text
        return join(text.replace(old, new, 1), data[8 + length :])

    return of


def values_set(tensor: str, dtype: str, value: float) -> Callable[[bytes], bytes]:
    def of(data: bytes) -> bytes:
        table, _ = split(data)
        begin = 8 + int.from_bytes(data[:8], "little") + table[tensor]["data_offsets"][0]
        raw = np.array([value], dtype).tobytes()
        return data[:begin] + raw + data[begin + len(raw) :]

    return of


def swapped(table: dict[str, Any]) -> None:
    table["head"], table["conv.bias"] = table.pop("head"), table.pop("conv.bias")


BAD_MODELS = [
    refused(errors.TruncatedPayload, lambda d: b"", id="empty file"),
    refused(errors.TruncatedPayload, lambda d: d[:7], id="no whole length"),
    refused(errors.TruncatedPayload, lambda d: d[:100], id="cut in the header"),
    refused(errors.TruncatedPayload, lambda d: d[:-1], id="cut in the data"),
    refused(errors.TrailingBytes, lambda d: d + b"\0", id="trailing bytes"),
    refused(errors.OversizeHeader, lambda d: b"\xff" * 8 + d[8:], id="header of 2^64 bytes"),
    refused(
        errors.OversizeHeader,
        lambda d: (1 << 20).to_bytes(8, "little") + b" " * (1 << 19),
        id="header of 1 MiB",
    ),
    refused(errors.PayloadTooLarge, lambda d: d + b"\0" * (1 << 20), id="over the size limit"),
    refused(errors.MalformedHeader, lambda d: join(b"[]", b""), id="header a list"),
    refused(errors.MalformedHeader, lambda d: join(b"{", b""), id="header no JSON"),
    refused(errors.MalformedHeader, lambda d: join(b"[" * 900, b""), id="header too deep"),
    refused(errors.MalformedHeader, lambda d: join({}, b""), id="no metadata"),
    refused(
        errors.MalformedHeader,
        lambda d: join({"__metadata__": {"bafl": "x"}}, b""),
        id="metadata no JSON",
    ),
    refused(
        errors.MalformedHeader,
        tensors_changed(lambda t: t["__metadata__"].__setitem__("more", "x")),
        id="two metadata keys",
    ),
    refused(
        errors.MalformedHeader,
        lambda d: relabelled(d, lambda label: label.__setitem__("format", 2)),
        id="another format",
    ),
    refused(
        errors.MalformedHeader,
        lambda d: relabelled(d, lambda label: label.__setitem__("note", "hi")),
        id="unknown label field",
    ),
    refused(
        errors.MalformedHeader,
        tensors_changed(lambda t: t.__setitem__("head", 1)),
        id="tensor no table",
    ),
    refused(
        errors.WrongKind,
        lambda d: relabelled(d, lambda label: label.__setitem__("kind", "update")),
        id="an update as a model",
    ),
    refused(errors.MissingTensor, tensors_changed(lambda t: t.pop("head")), id="missing tensor"),
    refused(
        errors.ExtraTensor,
        tensors_changed(lambda t: t.__setitem__("zz", t["head"])),
        id="extra tensor",
    ),
    refused(errors.WrongDtype, set_entry("head", "dtype", "I32"), id="wrong dtype"),
    refused(errors.WrongDtype, set_entry("head", "dtype", ["F32"]), id="dtype a list"),
    refused(errors.WrongShape, set_entry("head", "shape", [256, 2]), id="wrong shape"),
    refused(errors.WrongShape, set_entry("head", "shape", None), id="no shape"),
    refused(
        errors.NonCanonicalHeader, set_entry("head", "data_offsets", [0, 2048]), id="other offsets"
    ),
    refused(errors.NonCanonicalHeader, tensors_changed(swapped), id="other order"),
    refused(errors.NonCanonicalHeader, spelled(b'{"dtype"', b'{ "dtype"'), id="a space"),
    refused(errors.NonCanonicalHeader, spelled(b'"head"', b'"h\\u0065ad"'), id="an escape"),
    refused(errors.NonCanonicalHeader, spelled(b"[4]", b"[4]" + b" " * 8), id="padding within"),
    refused(
        errors.DuplicateHeaderKey,
        spelled(b'"head":', b'"head":{"dtype":"F32"},"head":'),
        id="a tensor twice",
    ),
    refused(
        errors.DuplicateHeaderKey,
        spelled(b'\\"format\\":1', b'\\"format\\":1,\\"format\\":1'),
        id="a label field twice",
    ),
    refused(errors.NonFiniteValue, values_set("head", "<f4", float("nan")), id="NaN"),
    refused(errors.NonFiniteValue, values_set("head", "<f4", float("-inf")), id="infinity"),
    refused(errors.NonCanonicalValue, values_set("head", "<f4", -0.0), id="minus zero"),
    refused(errors.NonCanonicalValue, values_set("head", "<u4", 0x007FFFFF), id="subnormal"),
    refused(errors.NonCanonicalValue, values_set("mask", "u1", 2), id="a boolean of 2"),
]


@pytest.mark.parametrize(("kind", "of"), BAD_MODELS)
def test_a_bad_model_is_refused_with_its_own_error(
    folder: Path, model_bytes: bytes, kind: type[PayloadError], of: Callable[[bytes], bytes]
) -> None:
    data = of(model_bytes)
    assert data != model_bytes
    with pytest.raises(PayloadError) as caught:
        read_as_model(folder, data)
    assert caught.type is kind


def bound_to(field: str, value: object) -> Callable[[bytes], bytes]:
    return lambda data: relabelled(data, lambda label: label.__setitem__(field, value))


BAD_UPDATES = [
    refused(
        errors.UnboundHeader,
        bound_to(field, value),
        id=f"another {field}",
    )
    for field, value in [
        ("chainId", 1),
        ("federation", "0x" + "cd" * 20),
        ("participant", "0x" + "02".zfill(40)),
        ("baseVersion", 8),
        ("baseVersion", True),
        ("encoding", "float32"),
    ]
] + [
    refused(
        errors.UnboundHeader,
        lambda d: relabelled(d, lambda label: label.pop("participant")),
        id="no participant",
    ),
    refused(
        errors.WrongKind,
        lambda d: relabelled(d, lambda label: label.__setitem__("kind", "model")),
        id="a model as an update",
    ),
    refused(errors.NonCanonicalBlock, values_set("head", "i1", -128), id="the value -128"),
    refused(errors.NonCanonicalBlock, values_set("head:exp", "i1", -127), id="exponent too small"),
    refused(errors.NonCanonicalBlock, values_set("head:exp", "i1", 122), id="exponent too large"),
    refused(
        errors.NonCanonicalBlock,
        lambda d: emptied(d, "head", 256, keep=63),
        id="a block of 6 bits",
    ),
    refused(
        errors.NonCanonicalBlock,
        lambda d: emptied(d, "head", 256, keep=0),
        id="a zero block with an exponent",
    ),
    refused(
        errors.NonCanonicalBlock,
        lambda d: emptied(d, "conv.weight", 44, keep=63, start=256),
        id="a last block of 6 bits",
    ),
]


def emptied(data: bytes, tensor: str, count: int, keep: int, start: int = 0) -> bytes:
    table, _ = split(data)
    begin = 8 + int.from_bytes(data[:8], "little") + table[tensor]["data_offsets"][0] + start
    return data[:begin] + bytes([keep]) + b"\0" * (count - 1) + data[begin + count :]


@pytest.mark.parametrize(("kind", "of"), BAD_UPDATES)
def test_a_bad_update_is_refused_with_its_own_error(
    folder: Path, update_bytes: bytes, kind: type[PayloadError], of: Callable[[bytes], bytes]
) -> None:
    data = of(update_bytes)
    assert data != update_bytes
    with pytest.raises(PayloadError) as caught:
        read_as_update(folder, data)
    assert caught.type is kind


def test_a_model_is_no_update_and_an_update_no_model(
    folder: Path, model_bytes: bytes, update_bytes: bytes
) -> None:
    with pytest.raises(errors.WrongKind):
        read_as_update(folder, model_bytes)
    with pytest.raises(errors.WrongKind):
        read_as_model(folder, update_bytes)


def test_an_encoding_nobody_allowed_is_refused(folder: Path, update_bytes: bytes) -> None:
    path = folder / "candidate"
    path.write_bytes(update_bytes)
    with pytest.raises(errors.EncodingRefused, match="use one of: float32"):
        read_update(path, HEADER, make_manifest(encodings=(Encoding.FLOAT32,)))
    with pytest.raises(errors.EncodingRefused, match="topk"):
        read_update(path, make_header(Encoding.TOPK), MANIFEST)


def rebuilt(folder: Path, data: bytes, is_model: bool, manifest: Manifest = MANIFEST) -> bytes:
    path = folder / "again"
    if is_model:
        state = read_as_model(folder, data)
        write_model(path, manifest, state)
    else:
        update = read_as_update(folder, data)
        write_update(path, update.array(), HEADER, manifest)
    return path.read_bytes()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_refused_or_is_another_canonical_file(
    folder: Path, model_bytes: bytes, update_bytes: bytes, data: st.DataObject
) -> None:
    is_model = data.draw(st.booleans())
    payload = bytearray(model_bytes if is_model else update_bytes)
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] = data.draw(st.integers(0, 255))
    try:
        again = rebuilt(folder, bytes(payload), is_model)
    except PayloadError:
        return
    assert again == bytes(payload)


def test_nothing_is_written_past_the_size_limit(tmp_path: Path) -> None:
    size = model_layout(MANIFEST).total_bytes()
    write_model(tmp_path / "model", make_manifest(size_limit=size), random_state(MANIFEST))
    with pytest.raises(errors.PayloadTooLarge):
        write_model(tmp_path / "other", make_manifest(size_limit=size - 1), random_state(MANIFEST))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def broken(
    change: Callable[[list[tuple[TensorSpec, list[Any]]]], None],
) -> Iterator[tuple[TensorSpec, list[Any]]]:
    tensors = [(spec, [random_state(MANIFEST)[spec.name]]) for spec in MANIFEST.tensors]
    change(tensors)
    return iter(tensors)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (errors.MissingTensor, lambda t: t.pop()),
        (errors.ExtraTensor, lambda t: t.reverse()),
        (errors.WrongShape, lambda t: t[1][1].append(t[1][1][0])),
        (errors.WrongShape, lambda t: t[1][1].clear()),
        (errors.WrongDtype, lambda t: t[1][1].__setitem__(0, t[1][1][0].astype(np.float64))),
        (errors.NonFiniteValue, lambda t: t[1][1][0].__setitem__(0, np.nan)),
        (errors.NonCanonicalValue, lambda t: t[1][1][0].__setitem__(0, -0.0)),
    ],
)
def test_a_writer_given_something_else_leaves_no_file(
    tmp_path: Path, kind: type[PayloadError], change: Callable[[Any], None]
) -> None:
    with pytest.raises(kind):
        canonical.write(tmp_path / "model", model_layout(MANIFEST), broken(change), 1 << 20)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="gone"):
        read_model(tmp_path / "gone", MANIFEST)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="gone"):
        write_model(tmp_path / "gone" / "model", MANIFEST, random_state(MANIFEST))
