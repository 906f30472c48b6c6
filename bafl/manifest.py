"""What a federation is: its tensors, task, metric, limits and rule, as one file on IPFS.

The chain stores the manifest's digest; every reader rebuilds the same `Manifest` from its bytes.
`canonical_order` is the one place that says in which order tensors are stored and flattened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal, TypeAlias, cast

from bafl import strictjson
from bafl.errors import ManifestError
from bafl.foreign import printable
from bafl.types import Encoding, TensorSpec

FORMAT = 1
MAX_BYTES = 8 << 20
MAX_TENSORS = 50_000
MAX_NAME = 200
MAX_PAYLOAD = 1 << 40
MAX_METRIC_NAME = 40
MAX_METRIC_UNIT = 20

ITEM_SIZE: Mapping[str, int] = {
    "I64": 8, "F32": 4, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
"""Bytes per value of each dtype a model may have, in the order in which files store them."""

_DTYPE_RANK = {dtype: rank for rank, dtype in enumerate(ITEM_SIZE)}
_RUNNING_STATISTICS = frozenset({"running_mean", "running_var", "num_batches_tracked"})
# CIDv1 in base32 of a sha2-256 digest, raw or dag-pb; the last letter carries two zero bits.
_CID = re.compile(r"baf(?:krei|ybei)[a-h][a-z2-7]{50}[aeimquy4]")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,99}")

Setting: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Metric:
    """What a validator reports of a model. unit: as printed, may be empty."""

    name: str
    unit: str
    direction: Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """The aggregation rule by name, with its integer parameters (`bafl.aggregate.rules`)."""

    name: str = "clipped-mean"
    parameters: Mapping[str, int] = field(
        default_factory=lambda: {"clip_medians": 2, "server_rate_ppm": 1_000_000}, hash=False
    )


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything about a federation that its contract does not store itself.

    task: name of the task; settings: its parameters. tensors: in canonical order (any order may
    be given). genesis: CID of version 0. size_limit: bytes of the largest payload anybody reads.
    encodings: those an update may use. Raises ManifestError naming the field that is wrong.
    """

    task: str
    tensors: tuple[TensorSpec, ...]
    genesis: str
    metric: Metric
    size_limit: int
    encodings: tuple[Encoding, ...] = (Encoding.FLOAT32, Encoding.INT8)
    rule: RuleSpec = field(default_factory=RuleSpec)
    settings: Mapping[str, Setting] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", check_model(self.tensors))
        object.__setattr__(self, "encodings", tuple(sorted(set(self.encodings))))
        if not self.encodings:
            raise ManifestError("manifest: encodings is empty; allow at least one")
        for name, value in (("task", self.task), ("rule.name", self.rule.name)):
            if not _IDENTIFIER.fullmatch(value):
                raise ManifestError(
                    f"manifest: {name} is {value[:80]!r}; use letters, digits and _ . : + -"
                )
        if not _CID.fullmatch(self.genesis):
            raise ManifestError(
                f"manifest: genesis is {self.genesis[:80]!r}, not a CIDv1 (base32, sha2-256, "
                "raw or dag-pb)"
            )
        for name, value, least, most in (
            ("name", self.metric.name, 1, MAX_METRIC_NAME),
            ("unit", self.metric.unit, 0, MAX_METRIC_UNIT),
        ):
            if not least <= len(value) <= most or not value.isprintable():
                raise ManifestError(
                    f"manifest: metric.{name} is {value[:80]!r}; use {least} to {most} printable "
                    "characters"
                )
        if self.metric.direction not in ("higher", "lower"):
            raise ManifestError(
                f"manifest: metric.direction is {str(self.metric.direction)[:80]!r}; "
                "use 'higher' or 'lower'"
            )
        if not 0 < self.size_limit <= MAX_PAYLOAD:
            raise ManifestError(
                f"manifest: size_limit is {self.size_limit} bytes; allowed are 1 to {MAX_PAYLOAD}"
            )
        data = sum(size_of(spec) for spec in self.tensors)
        if data > self.size_limit:
            raise ManifestError(
                f"manifest: size_limit is {self.size_limit} bytes, but a model has {data}; raise it"
            )

    @property
    def weights(self) -> tuple[TensorSpec, ...]:
        """The float32 tensors, in the order in which `flat` concatenates them."""
        return tuple(spec for spec in self.tensors if spec.dtype == "F32")

    @property
    def parameters(self) -> int:
        """P, the number of float32 values of a model."""
        return sum(prod(spec.shape) for spec in self.weights)

    def check_model(self, specs: Iterable[TensorSpec]) -> None:
        """Raise ManifestError, naming the first tensor, unless a model has just these tensors."""
        given = {spec.name: spec for spec in specs}
        for ours in self.tensors:
            theirs = given.pop(ours.name, None)
            if theirs is None:
                raise ManifestError(
                    f"the model lacks the tensor {ours.name!r}; use the federation's own model"
                )
            if theirs != ours:
                raise ManifestError(
                    f"the model's tensor {ours.name!r} is {theirs.dtype} {list(theirs.shape)}, "
                    f"the federation's is {ours.dtype} {list(ours.shape)}"
                )
        if given:
            raise ManifestError(
                f"the model has a tensor {min(given)!r} that the federation's has not"
            )

    def to_json(self) -> bytes:
        """The manifest's canonical bytes, whose root the contract stores."""
        return strictjson.dump(
            {
                "format": FORMAT,
                "task": {"name": self.task, "settings": dict(self.settings)},
                "tensors": [[t.name, t.dtype, list(t.shape)] for t in self.tensors],
                "genesis": self.genesis,
                "metric": {
                    "name": self.metric.name,
                    "unit": self.metric.unit,
                    "direction": self.metric.direction,
                },
                "sizeLimit": self.size_limit,
                "encodings": [encoding.name.lower() for encoding in self.encodings],
                "rule": {"name": self.rule.name, "parameters": dict(self.rule.parameters)},
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Read a manifest that anybody may have written.

        Raises ManifestError, naming the field, for anything but the canonical bytes of a
        manifest that could have been made here.
        """
        try:
            manifest = _read(strictjson.load(data, MAX_BYTES))
            canonical = manifest.to_json()
        except strictjson.JsonRefused as error:
            raise ManifestError(f"manifest: {error}") from None
        if canonical != data:
            raise ManifestError("manifest: not in canonical form; write it with Manifest.to_json")
        return manifest


def canonical_order(specs: Iterable[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Sort tensors as safetensors' own writer does: by dtype (widest first), then by name.

    Raises ManifestError for a dtype that payloads do not carry.
    """
    specs = tuple(specs)
    for spec in specs:
        if spec.dtype not in _DTYPE_RANK:
            remedy = "store it as F32" if spec.dtype in ("F64", "F16", "BF16") else "leave it out"
            raise ManifestError(
                f"tensor {spec.name[:MAX_NAME]!r} has dtype {spec.dtype[:20]!r}; {remedy} "
                f"(allowed: {', '.join(ITEM_SIZE)})"
            )
    return tuple(sorted(specs, key=lambda spec: (_DTYPE_RANK[spec.dtype], spec.name)))


def size_of(spec: TensorSpec) -> int:
    """Bytes of a tensor's values."""
    return prod(spec.shape) * ITEM_SIZE[spec.dtype]


def check_model(specs: Iterable[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Say whether a federation can train a model with these tensors.

    Returns them in canonical order. Raises ManifestError naming the tensor and the remedy: no
    float32 tensor, a dtype or name that payloads cannot carry, or running statistics, whose
    average over stale updates can be a negative variance.
    """
    ordered = canonical_order(specs)
    if len(ordered) > MAX_TENSORS:
        raise ManifestError(f"a model has at most {MAX_TENSORS} tensors, not {len(ordered)}")
    names = set()
    for spec in ordered:
        name = spec.name
        shown = repr(name[:MAX_NAME])
        if not name or len(name) > MAX_NAME or not name.isprintable() or ":" in name:
            raise ManifestError(
                f"tensor {shown}: a name has 1 to {MAX_NAME} printable characters and no ':'; "
                "rename the module"
            )
        if name == "__metadata__" or name in names:
            raise ManifestError(f"tensor {shown}: the name is taken; rename the module")
        names.add(name)
        if name.rpartition(".")[2] in _RUNNING_STATISTICS:
            raise ManifestError(
                f"tensor {shown} holds running statistics, which cannot be averaged over stale "
                "updates; use GroupNorm instead of BatchNorm"
            )
        if len(spec.shape) > 16 or any(not 0 <= n <= MAX_PAYLOAD for n in spec.shape):
            raise ManifestError(f"tensor {shown} has the shape {list(spec.shape)[:20]}")
    if sum(prod(spec.shape) for spec in ordered if spec.dtype == "F32") == 0:
        raise ManifestError("the model has no float32 weights to train")
    if sum(size_of(spec) for spec in ordered) > MAX_PAYLOAD:
        raise ManifestError(f"the model is larger than {MAX_PAYLOAD} bytes")
    return ordered


def _read(value: Any) -> Manifest:
    top = _fields(
        value, "manifest",
        ("format", "task", "tensors", "genesis", "metric", "sizeLimit", "encodings", "rule"),
    )  # fmt: skip
    if _typed(top, "format", int) != FORMAT:
        raise ManifestError(f"manifest: format is {top['format']}; this BAFL reads {FORMAT}")
    task = _fields(top["task"], "task", ("name", "settings"))
    metric = _fields(top["metric"], "metric", ("name", "unit", "direction"))
    rule = _fields(top["rule"], "rule", ("name", "parameters"))
    return Manifest(
        task=_typed(task, "name", str, "task."),
        settings=_table(task, "settings", (str, int, float, bool), "task."),
        tensors=tuple(_tensor(i, item) for i, item in enumerate(_typed(top, "tensors", list))),
        genesis=_typed(top, "genesis", str),
        metric=Metric(
            name=_typed(metric, "name", str, "metric."),
            unit=_typed(metric, "unit", str, "metric."),
            direction=cast(Any, _typed(metric, "direction", str, "metric.")),
        ),
        size_limit=_typed(top, "sizeLimit", int),
        encodings=tuple(_encoding(item) for item in _typed(top, "encodings", list)),
        rule=RuleSpec(
            name=_typed(rule, "name", str, "rule."),
            parameters=_table(rule, "parameters", (int,), "rule."),
        ),
    )


def _fields(value: Any, where: str, names: tuple[str, ...]) -> dict[str, Any]:
    if type(value) is not dict:
        raise ManifestError(f"manifest: {where} is not a table")
    for name in names:
        if name not in value:
            raise ManifestError(f"manifest: {where} lacks the field {name!r}")
    unknown = sorted(set(value) - set(names))
    if unknown:
        raise ManifestError(f"manifest: {where} has an unknown field {unknown[0][:80]!r}")
    return value


def _typed(table: dict[str, Any], name: str, kind: Callable[..., Any], where: str = "") -> Any:
    value = table[name]
    if type(value) is not kind:  # exactly: True is no integer here
        raise ManifestError(f"manifest: {where}{name} is {str(value)[:80]!r}, of the wrong type")
    return value


def _table(table: dict[str, Any], name: str, kinds: tuple[type, ...], where: str) -> dict[str, Any]:
    inner: dict[str, Any] = _typed(table, name, dict, where)
    for key, value in inner.items():
        if type(value) not in kinds:
            raise ManifestError(
                f"manifest: {where}{name}.{printable(key, 80)} is {str(value)[:80]!r}, "
                "of the wrong type"
            )
    return inner


def _tensor(index: int, value: Any) -> TensorSpec:
    match value:
        case [str(name), str(dtype), [*shape]] if all(type(n) is int for n in shape):
            return TensorSpec(name, dtype, tuple(shape))
    raise ManifestError(f"manifest: tensors[{index}] is not [name, dtype, [sizes…]]")


def _encoding(value: Any) -> Encoding:
    known = {encoding.name.lower(): encoding for encoding in Encoding}
    if type(value) is not str or value not in known:
        raise ManifestError(
            f"manifest: encodings has {str(value)[:80]!r}; known are {', '.join(known)}"
        )
    return known[value]
