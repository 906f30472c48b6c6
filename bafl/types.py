"""The values that BAFL's rooms hand each other: frozen, checked, with units in their names."""

from __future__ import annotations

import enum
from dataclasses import dataclass

PPM = 1_000_000
"""One, in the integers of the chain: parts per million."""

RAW = 0x55
"""Multicodec of a root that is one raw block."""

DAG_PB = 0x70
"""Multicodec of a root that is a UnixFS node with links."""


@dataclass(frozen=True, slots=True, order=True)
class Root:
    """What the chain stores of a payload: its root block's sha2-256 digest and codec.

    digest: 32 bytes. codec: `RAW` or `DAG_PB`. `bafl.store.cid` turns it into a CID and back.
    """

    digest: bytes
    codec: int

    def __post_init__(self) -> None:
        if len(self.digest) != 32:
            raise ValueError(f"a root digest has 32 bytes, not {len(self.digest)}")
        if self.codec not in (RAW, DAG_PB):
            raise ValueError(f"a root codec is 0x55 (raw) or 0x70 (dag-pb), not {self.codec:#x}")


class Encoding(enum.IntEnum):
    """How an update's payload is written; the number is what the chain stores."""

    FLOAT32 = 0
    INT8 = 1
    TOPK = 2


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of a model. name: as in torch's state_dict. dtype: safetensors name (F32, I64…)."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UpdateHeader:
    """Whom and what a payload says it is; a reader checks each field against the chain."""

    chain_id: int
    federation: str
    participant: str
    base_version: int
    encoding: Encoding
