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

NATIVE = "0x" + "00" * 20
"""As a federation's currency: the chain's own."""


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


def encoding_name(encoding: int) -> str:
    """What people call an encoding; of one that this BAFL does not know, its number."""
    return Encoding(encoding).name.lower() if encoding in set(Encoding) else str(encoding)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of a model. name: as in torch's state_dict. dtype: a safetensors name."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UpdateHeader:
    """Whom and what a payload says it is; a reader checks each field against the chain.

    encoding: an `Encoding`, unless its author declared another number.
    """

    chain_id: int
    federation: str
    participant: str
    base_version: int
    encoding: int


# --- what the contract says: IFederation.sol says what each field means; the order is the same ---


class Role(enum.IntFlag):
    """What a participant does."""

    TRAINER = 1
    VALIDATOR = 2


class Phase(enum.IntEnum):
    """A window's phase."""

    NONE = 0
    OPEN = 1
    SEALED = 2
    COMMIT = 3
    REVEAL = 4
    TALLY = 5
    ATTEST = 6
    FINAL = 7
    VOID = 8


class Verdict(enum.IntEnum):
    """What the tally said of an update."""

    NONE = 0
    REJECTED = 1
    MALFORMED = 2
    ACCEPTED = 3
    PAID = 4

    @property
    def used(self) -> bool:
        """Whether the update is part of the next model."""
        return self in (Verdict.ACCEPTED, Verdict.PAID)


class VoidReason(enum.IntEnum):
    """Why a window made no version."""

    TOO_FEW_UPDATES = 0
    TOO_FEW_VALIDATORS = 1
    TOO_FEW_REVEALS = 2
    NOT_TALLIED = 3
    BARREN = 4
    NO_QUORUM = 5


class Fault(enum.IntEnum):
    """What a stake was slashed for."""

    COMMITTED_NOT_REVEALED = 0
    MALFORMED_UPDATE = 1
    WRONG_ATTESTATION = 2


START_REPUTATION = 300_000
"""What both reputations are before they first change, in ppm."""

NO_SEAT = 255
NO_CONSENSUS = -(2**15)
NO_AGREEMENT = -(2**31)


@dataclass(frozen=True, slots=True)
class Parameters:
    """`IFederation.Parameters`: periods in seconds, the rest as named.

    currency: a token's address, or `NATIVE`. Money (…_wei, here as everywhere) is in its smallest
    unit, which is wei only where it is native.
    """

    window_size: int
    min_updates: int
    max_wait_s: int
    commit_period_s: int
    reveal_period_s: int
    attest_period_s: int
    max_staleness: int
    min_validators: int
    reject_below_bps: int
    slash_ppm: int
    jail_period_s: int
    unbonding_period_s: int
    min_stake_wei: int
    reward_rate_wei: int
    trust_samples: bool
    open: bool
    treasury: str
    slash_sink: str
    currency: str


@dataclass(frozen=True, slots=True)
class Genesis:
    """`IFederation.Genesis`: roots of the manifest (one raw block) and of the genesis model."""

    manifest: Root
    model: Root


@dataclass(frozen=True, slots=True)
class Window:
    """`IFederation.Window`; `active`, `committed`, `revealed`, `attested` are bitmaps of seats."""

    id: int
    phase: Phase
    updates: int
    opened_at_s: int
    sealed_at_s: int
    deadline_s: int
    tag: int
    base_version: int
    active: int
    committed: int
    revealed: int
    attested: int


@dataclass(frozen=True, slots=True)
class Participant:
    """`IFederation.Participant`; reputations in ppm."""

    roles: Role
    stake_wei: int
    credit_wei: int
    exit_at_s: int
    withdrawable_at_s: int
    trainer_reputation: int
    validator_reputation: int
    trainer_jailed_until_s: int
    validator_jailed_until_s: int
    rejections: int
    missed: int
    asleep: bool
    seat: int
    pending_windows: tuple[int, int]
    pending_indices: tuple[int, int]
    pending_bases: tuple[int, int]
    pending_samples: tuple[int, int]
    profile: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """`IFederation.Head`; money in wei."""

    version: int
    open_window: int
    judging_window: int
    trainers: int
    seats: int
    effective_size: int
    paused: bool
    closed: bool
    last_final_sealed_at_s: int
    pool_wei: int
    stakes_wei: int
    credits_wei: int
    slashed_wei: int


@dataclass(frozen=True, slots=True)
class Duties:
    """`IFederationLens.Duties`: what an account can do now, and until when."""

    can_submit: bool
    submit_refusal: bytes
    can_seal: bool
    can_commit: bool
    commits_last: bool
    can_reveal: bool
    reveals_last: bool
    can_tally: bool
    can_attest: bool
    can_settle: bool
    can_discard: bool
    can_wake: bool
    can_take_seat: bool
    can_withdraw: bool
    claimable_wei: int
    act_by_s: int


@dataclass(frozen=True, slots=True)
class View:
    """`IFederationLens.Overview`: everything a node looks at, at one block."""

    block: int
    block_time_s: int
    head: Head
    model_digest: bytes
    judging: Window
    open: Window
    participant: Participant
    duties: Duties
    commitment: bytes


# --- what the log says ---


def place_of(update: int) -> tuple[int, int]:
    """Where an update, by its id, is: the id of its window, and its place there, from 0."""
    return divmod(update, 16)


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """An `UpdateSubmitted` event; `place_of` reads its id.

    encoding: as its author declared it, which need not be an `Encoding`.
    """

    id: int
    participant: str
    base_version: int
    root: Root
    encoding: int
    samples: int
    block: int

    @property
    def window(self) -> int:
        """Id of the window it is in."""
        return place_of(self.id)[0]

    @property
    def index(self) -> int:
        """Its place in the window, from 0."""
        return place_of(self.id)[1]


@dataclass(frozen=True, slots=True)
class Tallied:
    """A `WindowTallied` event: one element an update, agreement (ppm) one a seat that revealed."""

    window: int
    keep: int
    consensus_bps: tuple[int, ...]
    verdicts: tuple[Verdict, ...]
    shares_ppm: tuple[int, ...]
    agreement_ppm: tuple[int, ...]
    overruled: int


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A `VersionFinalized` event; version 0 is the genesis model with window 0."""

    version: int
    window: int
    root: Root
    block: int
