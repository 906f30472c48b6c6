"""The shipped ABIs, and the one way from ABI values to ours."""

from __future__ import annotations

import enum
import functools
import hashlib
import json
import typing
from dataclasses import dataclass, fields, is_dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar, cast

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.abi import collapse_if_tuple
from eth_utils.address import is_address, to_checksum_address
from eth_utils.crypto import keccak

from bafl.errors import ChainError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

T = TypeVar("T")

checksum = functools.lru_cache(maxsize=4096)(to_checksum_address)


def address_of(text: str, what: str = "address") -> str:
    """`text` as a checksummed address; UsageError if it is none."""
    if not is_address(text):
        raise UsageError(f"{what}: {text!r} is not an address (0x and 40 hex digits)")
    return checksum(text)


@dataclass(frozen=True, slots=True)
class Runtime:
    """A contract's code on a chain, but for what its creation writes into it.

    sha256: with zeros in those places. immutables: (offset, length). libraries: name → offsets.
    """

    sha256: bytes
    immutables: tuple[tuple[int, int], ...]
    libraries: Mapping[str, tuple[int, ...]]

    def matches(self, code: bytes) -> bool:
        """Whether `code` is this contract's."""
        blank = bytearray(code)
        places = [(at, 20) for offsets in self.libraries.values() for at in offsets]
        for at, length in (*self.immutables, *places):
            blank[at : at + length] = bytes(length)
        return hashlib.sha256(blank).digest() == self.sha256

    def library(self, name: str, code: bytes) -> str:
        """The address of a library that `code` is linked with."""
        at = self.libraries[name][0]
        return checksum("0x" + code[at : at + 20].hex())


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract. link_references: library → offsets in bytes into the bytecode.

    runtime: None where only ABI and bytecode are known.
    """

    name: str
    abi: tuple[Mapping[str, Any], ...]
    bytecode: str
    link_references: Mapping[str, tuple[int, ...]]
    runtime: Runtime | None = None

    def initcode(self, libraries: Mapping[str, str], *arguments: Any) -> bytes:
        """Creation code: libraries linked in (name → address), constructor arguments appended."""
        code = self.bytecode.removeprefix("0x")
        for library, offsets in self.link_references.items():
            if library not in libraries:
                raise UsageError(f"{self.name} is linked with {library}: give its address")
            linked = address_of(libraries[library], library)[2:].lower()
            for offset in offsets:
                code = code[: 2 * offset] + linked + code[2 * offset + 40 :]
        if not code:
            raise UsageError(f"{self.name} has no bytecode: it is an interface")
        inputs: list[Any] = next((e["inputs"] for e in self.abi if e["type"] == "constructor"), [])
        return bytes.fromhex(code) + _encode(f"{self.name}.constructor", inputs, arguments)


def parse_artifact(name: str, text: str) -> Artifact:
    """An artifact from Hardhat's JSON; ChainError if it is not one."""
    try:
        raw = json.loads(text)
        links = _links(raw["linkReferences"])
        runtime = _runtime(raw["deployed"]) if "deployed" in raw else None
        return Artifact(name, tuple(raw["abi"]), str(raw["bytecode"]), links, runtime)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ChainError(f"artifact {name}: not what Hardhat writes ({error!r})") from error


def _links(references: Mapping[str, Any]) -> Mapping[str, tuple[int, ...]]:
    return {
        library: tuple(int(place["start"]) for place in places)
        for libraries in references.values()
        for library, places in libraries.items()
    }


def _runtime(deployed: Mapping[str, Any]) -> Runtime:
    return Runtime(
        sha256=bytes.fromhex(deployed["sha256"]),
        immutables=tuple(
            (int(place["start"]), int(place["length"]))
            for places in deployed["immutableReferences"].values()
            for place in places
        ),
        libraries=_links(deployed["linkReferences"]),
    )


@functools.cache
def artifact(name: str) -> Artifact:
    """A shipped artifact, such as Federation; its names are `errors.KNOWN_ARTIFACTS`."""
    file = resources.files("bafl.chain") / "artifacts" / f"{name}.json"
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ChainError(
            f"artifact {name}.json is missing from the package: reinstall it, or in a checkout "
            "run scripts/export_artifacts"
        ) from error
    return parse_artifact(name, text)


class Interface:
    """An ABI by name, selector and topic: encodes calls, decodes answers, logs and errors."""

    def __init__(self, abi: Sequence[Mapping[str, Any]]) -> None:
        self._functions: dict[str, tuple[bytes, Mapping[str, Any]]] = {}
        self.errors: dict[bytes, Mapping[str, Any]] = {}
        self.events: dict[bytes, Mapping[str, Any]] = {}
        for entry in abi:
            if entry["type"] == "function":
                self._functions[entry["name"]] = (keccak(text=signature(entry))[:4], entry)
            elif entry["type"] == "error":
                self.errors[keccak(text=signature(entry))[:4]] = entry
            elif entry["type"] == "event" and not entry.get("anonymous"):
                self.events[keccak(text=signature(entry))] = entry

    @property
    def state_changing(self) -> frozenset[str]:
        """Names of all functions that a transaction is for."""
        return frozenset(
            name
            for name, (_, entry) in self._functions.items()
            if entry["stateMutability"] not in ("view", "pure")
        )

    def topic(self, event: str) -> bytes:
        """Topic 0 of an event; KeyError if there is none of this name."""
        for topic, entry in self.events.items():
            if entry["name"] == event:
                return topic
        raise KeyError(event)

    def encode(self, function: str, arguments: Sequence[Any]) -> bytes:
        """Call data; UsageError if the arguments do not fit the ABI."""
        selector, entry = self._functions[function]
        return selector + _encode(function, entry["inputs"], arguments)

    def decode(self, function: str, data: bytes) -> tuple[Any, ...]:
        """A call's answer; ChainError if it is not what the ABI says."""
        outputs = self._functions[function][1]["outputs"]
        return decode_values(f"the answer to {function}", outputs, data)


@functools.cache
def interface(name: str) -> Interface:
    """The interface of a shipped artifact."""
    return Interface(artifact(name).abi)


def signature(entry: Mapping[str, Any]) -> str:
    """`name(type,…)`, with tuples written out: what selectors and topics are hashes of."""
    return f"{entry['name']}({','.join(_types(entry['inputs']))})"


def decode_values(what: str, parameters: Sequence[Any], data: bytes) -> tuple[Any, ...]:
    """ABI-encoded `data` as plain values; ChainError if it is malformed."""
    try:
        return abi_decode(_types(parameters), data)
    except (DecodingError, ValueError, OverflowError) as error:
        raise ChainError(f"{what} is malformed ({len(data)} bytes): {error}") from error


def struct(cls: type[T], values: Any, what: str) -> T:
    """A dataclass from an ABI tuple of the same field order, every value checked.

    str fields are addresses; an enum or flag must know its number. Raises ChainError.
    """
    converters = _converters(cast("Hashable", cls))
    if not isinstance(values, tuple | list) or len(values) != len(converters):
        raise ChainError(f"{what}: not a {cls.__name__} of {len(converters)} fields")
    return cls(
        *(
            convert(value, f"{what}.{name}")
            for (name, convert), value in zip(converters, values, strict=True)
        )
    )


def plain(value: Any) -> Any:
    """The other direction: a dataclass as the ABI's nested tuples."""
    if is_dataclass(value) and not isinstance(value, type):
        return tuple(plain(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, tuple | list):
        return tuple(plain(each) for each in value)
    return value.value if isinstance(value, enum.Enum) else value


def _types(parameters: Sequence[Any]) -> list[str]:
    return [collapse_if_tuple(parameter) for parameter in parameters]


def _encode(what: str, parameters: Sequence[Any], arguments: Sequence[Any]) -> bytes:
    try:
        return abi_encode(_types(parameters), [plain(argument) for argument in arguments])
    except (EncodingError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{what} does not take {tuple(arguments)!r}: {error}") from error


@functools.cache
def _converters(cls: Any) -> tuple[tuple[str, Callable[[Any, str], Any]], ...]:
    hints = typing.get_type_hints(cls)
    return tuple((f.name, converter(hints[f.name])) for f in fields(cls))


@functools.cache
def converter(hint: Any) -> Callable[[Any, str], Any]:
    """The checked conversion of one ABI value to a field of type `hint`."""
    origin = typing.get_origin(hint)
    if origin is tuple:
        return _tuple_converter(typing.get_args(hint))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return functools.partial(_member, hint)
    if is_dataclass(hint):
        return functools.partial(struct, cast("type[Any]", hint))
    if hint is str:
        return lambda value, what: checksum(_is(str, value, what))
    return functools.partial(_is, hint)


def _tuple_converter(parts: tuple[Any, ...]) -> Callable[[Any, str], Any]:
    convert = converter(parts[0])
    length = None if parts[-1] is ... else len(parts)

    def convert_all(value: Any, what: str) -> tuple[Any, ...]:
        if length is not None and len(value) != length:
            raise ChainError(f"{what}: {len(value)} values, not {length}")
        return tuple(convert(each, what) for each in value)

    return convert_all


def _member(cls: type[enum.Enum], value: Any, what: str) -> enum.Enum:
    known = sum(m.value for m in cls) if issubclass(cls, enum.Flag) else None
    try:
        if known is not None and value & ~known:
            raise ValueError(value)
        return cls(value)
    except (TypeError, ValueError) as error:
        raise ChainError(f"{what}: {value!r} is no {cls.__name__}") from error


def _is(cls: type[T], value: Any, what: str) -> T:
    if type(value) is not cls:
        raise ChainError(f"{what}: {value!r} is no {cls.__name__}")
    return value


def structs(cls: type[T], values: Any, what: str) -> tuple[T, ...]:
    """Many of `struct`."""
    return tuple(struct(cls, value, f"{what}[{i}]") for i, value in enumerate(values))
