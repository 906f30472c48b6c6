"""What the log says beyond updates, tallies and versions (`bafl.types`): one value an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bafl.types import Fault, Role


class Reveal(NamedTuple):
    """A validator's revealed scores, in bps or codes, one an update; keep: its vote."""

    scores: tuple[int, ...]
    keep: int


class Reputation(NamedTuple):
    """Both reputations after a window, in ppm."""

    window: int
    trainer: int
    validator: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A window's turn. active: bitmap of seats; validators and weights: theirs, ascending seats."""

    window: int
    base_version: int
    tag: int
    active: int
    validators: tuple[str, ...]
    weights: tuple[int, ...]
    block: int


@dataclass(frozen=True, slots=True)
class Attestation:
    """A validator's attestation of a next model. metric: in millionths of its unit."""

    window: int
    validator: str
    digest: bytes
    metric: int
    block: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """A window's end: money credited and new reputations in ppm.

    Trainers': one an update, in order, or none where their standing does not change. Validators':
    one a seat of the active set, as in the turn.
    """

    window: int
    is_final: bool
    trainers_wei: tuple[int, ...]
    trainer_reputations: tuple[int, ...]
    validators_wei: tuple[int, ...]
    validator_reputations: tuple[int, ...]
    block: int


@dataclass(frozen=True, slots=True)
class Reward:
    """What a participant was credited in a window. index: of its update there; None if none."""

    window: int
    index: int | None
    as_trainer_wei: int
    as_validator_wei: int

    @property
    def wei(self) -> int:
        """Both together."""
        return self.as_trainer_wei + self.as_validator_wei


@dataclass(frozen=True, slots=True)
class Slash:
    """Stake taken for a fault in a window."""

    participant: str
    window: int
    fault: Fault
    amount_wei: int
    block: int


@dataclass(frozen=True, slots=True)
class Jailing:
    """A participant barred from a role until a time in seconds since 1970."""

    participant: str
    role: Role
    until_s: int
    block: int


@dataclass(frozen=True, slots=True)
class Member:
    """A participant by the log. stake_wei: put in so far, less what was slashed or taken out.

    exit_s: when its stake can be withdrawn, once it asked to leave. left: withdrew it.
    """

    address: str
    roles: Role
    stake_wei: int
    profile: bytes
    joined_block: int
    seat: int | None = None
    asleep: bool = False
    exit_s: int | None = None
    left: bool = False
    claimed_wei: int = 0
