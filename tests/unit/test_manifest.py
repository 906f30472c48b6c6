from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bafl.errors import ManifestError
from bafl.manifest import Manifest, canonical_order, check_model
from bafl.store.cid import cid
from bafl.types import DAG_PB, RAW, Encoding, Root, TensorSpec
from tests.unit.payloads import make_manifest

F32 = TensorSpec("w", "F32", (3,))


def rewritten(change: dict[str, Any]) -> bytes:
    value = json.loads(make_manifest().to_json()) | change
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_a_manifest_comes_back_from_its_bytes_as_it_was() -> None:
    manifest = make_manifest()
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_the_order_in_which_tensors_are_given_changes_no_byte() -> None:
    manifest = make_manifest()
    again = make_manifest(tuple(reversed(manifest.tensors)))
    assert again.to_json() == manifest.to_json()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"format": 2}, "format"),
        ({"format": True}, "format"),
        ({"task": "digits"}, "task"),
        ({"task": {"name": "x"}}, "settings"),
        ({"task": {"name": "a b", "settings": {}}}, "task"),
        ({"task": {"name": "x", "settings": {"deep": []}}}, "task.settings.deep"),
        ({"tensors": {}}, "tensors"),
        ({"tensors": [["w", "F32"]]}, "tensors[0]"),
        ({"tensors": [["w", "F32", [True]]]}, "tensors[0]"),
        ({"tensors": [["w", "F32", [-1]]]}, "'w'"),
        ({"tensors": []}, "no float32"),
        ({"tensors": [["w", "F32", [0]]]}, "no float32"),
        ({"tensors": [["w", "F32", [3]], ["w", "F32", [3]]]}, "taken"),
        ({"genesis": "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"}, "genesis"),
        ({"metric": {"name": "x", "unit": "", "direction": "up"}}, "direction"),
        ({"metric": {"name": "", "unit": "", "direction": "higher"}}, "metric.name"),
        ({"metric": {"name": "x" * 41, "unit": "", "direction": "higher"}}, "metric.name"),
        ({"metric": {"name": "a\x1b[2J", "unit": "", "direction": "higher"}}, "metric.name"),
        ({"metric": {"name": "x", "unit": "y" * 21, "direction": "higher"}}, "metric.unit"),
        ({"metric": {"name": "x", "unit": "\u202e", "direction": "higher"}}, "metric.unit"),
        ({"sizeLimit": 0}, "size_limit"),
        ({"sizeLimit": 100}, "size_limit"),
        ({"sizeLimit": 1.5}, "sizeLimit"),
        ({"sizeLimit": 10**19}, "size_limit"),
        ({"encodings": []}, "encodings"),
        ({"encodings": ["zip"]}, "zip"),
        ({"encodings": [[]]}, "encodings"),
        ({"rule": {"name": "", "parameters": {}}}, "rule.name"),
        ({"rule": {"name": "x", "parameters": {"a": 0.5}}}, "rule.parameters.a"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ManifestError, match=named.replace("[", r"\[")):
        Manifest.from_json(rewritten(change))


@pytest.mark.parametrize("missing", list(json.loads(make_manifest().to_json())))
def test_a_missing_field_is_named(missing: str) -> None:
    value = json.loads(make_manifest().to_json())
    del value[missing]
    with pytest.raises(ManifestError, match=missing):
        Manifest.from_json(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"\xff", "UTF-8"),
        (b"[]", "not a table"),
        (b'{"a":1,"a":2}', "twice"),
        (b'{"a":{"b":1,"b":1}}', "twice"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":1e999}', "finite"),
        (b'{"a":' + b"9" * 5000 + b"}", "digits"),
        (b"[" * 100_000 + b"]" * 100_000, "deeper"),
        (b"[" * 17 + b"]" * 17, "deeper"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b" " * ((8 << 20) + 1), "at most"),
    ],
    ids=range(12),
)
def test_hostile_json_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ManifestError, match=why):
        Manifest.from_json(data)


def test_another_spelling_of_a_manifest_is_refused() -> None:
    data = make_manifest().to_json()
    for other in (data + b" ", data.replace(b":", b": ", 1), json.dumps(json.loads(data)).encode()):
        with pytest.raises(ManifestError, match="canonical"):
            Manifest.from_json(other)


@given(at=st.integers(0, len(make_manifest().to_json()) - 1), byte=st.integers(0, 255))
def test_any_changed_byte_gives_another_manifest_or_a_refusal(at: int, byte: int) -> None:
    data = bytearray(make_manifest().to_json())
    data[at] = byte
    try:
        manifest = Manifest.from_json(bytes(data))
    except ManifestError:
        return
    assert manifest.to_json() == bytes(data)


@given(digest=st.binary(min_size=32, max_size=32), codec=st.sampled_from([RAW, DAG_PB]))
def test_every_cid_of_ours_can_be_a_genesis(digest: bytes, codec: int) -> None:
    text = cid(Root(digest, codec))
    assert make_manifest(genesis=text).genesis == text


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        (TensorSpec("norm.running_mean", "F32", (3,)), "GroupNorm"),
        (TensorSpec("running_var", "F32", (3,)), "GroupNorm"),
        (TensorSpec("a.b.num_batches_tracked", "I64", ()), "GroupNorm"),
        (TensorSpec("w:exp", "F32", (3,)), "no ':'"),
        (TensorSpec("", "F32", (3,)), "1 to 200"),
        (TensorSpec("a\nb", "F32", (3,)), "printable"),
        (TensorSpec("a\ud800", "F32", (3,)), "printable"),
        (TensorSpec("n" * 201, "F32", (3,)), "1 to 200"),
        (TensorSpec("__metadata__", "F32", (3,)), "taken"),
        (TensorSpec("h", "F16", (3,)), "store it as F32"),
        (TensorSpec("h", "BF16", (3,)), "store it as F32"),
        (TensorSpec("h", "F64", (3,)), "store it as F32"),
        (TensorSpec("h", "C64", (3,)), "leave it out"),
        (TensorSpec("h", "F32", (1 << 41,)), "shape"),
        (TensorSpec("h", "F32", (1 << 39,)), "larger"),
    ],
)
def test_a_model_that_cannot_be_federated_gets_a_hint(spec: TensorSpec, hint: str) -> None:
    with pytest.raises(ManifestError, match=hint):
        check_model([F32, spec])


def test_too_many_tensors_are_refused() -> None:
    with pytest.raises(ManifestError, match="at most"):
        check_model(TensorSpec(f"w{i}", "F32", (1,)) for i in range(50_001))


def test_a_model_of_other_tensors_than_the_federations_is_refused_by_name() -> None:
    manifest = make_manifest()
    manifest.check_model(manifest.tensors)
    with pytest.raises(ManifestError, match="lacks the tensor"):
        manifest.check_model(manifest.tensors[1:])
    with pytest.raises(ManifestError, match="'extra'"):
        manifest.check_model([*manifest.tensors, replace(F32, name="extra")])
    head = next(spec for spec in manifest.tensors if spec.name == "head")
    others = [spec for spec in manifest.tensors if spec is not head]
    with pytest.raises(ManifestError, match="'head' is F32"):
        manifest.check_model([*others, replace(head, shape=(256, 2))])


def test_weights_come_in_the_order_in_which_they_are_flattened() -> None:
    manifest = make_manifest()
    assert [spec.name for spec in manifest.weights] == sorted(s.name for s in manifest.weights)
    assert manifest.parameters == 817
    assert canonical_order(manifest.tensors) == manifest.tensors


def test_encodings_are_sorted_and_given_once() -> None:
    manifest = make_manifest(encodings=(Encoding.INT8, Encoding.FLOAT32, Encoding.INT8))
    assert manifest.encodings == (Encoding.FLOAT32, Encoding.INT8)
