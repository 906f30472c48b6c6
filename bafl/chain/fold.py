"""A federation's whole past, folded from its events; a gap in them is found, not passed over."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from bafl.chain.abi import converter
from bafl.chain.calls import unpack_scores
from bafl.chain.errors import Inconsistent
from bafl.chain.records import (
    Attestation,
    Jailing,
    Member,
    Reputation,
    Reveal,
    Reward,
    Settlement,
    Slash,
    Turn,
)
from bafl.errors import ChainError
from bafl.types import (
    Encoding,
    Fault,
    Role,
    Root,
    Tallied,
    UpdateRecord,
    Verdict,
    VersionRecord,
    VoidReason,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bafl.chain.logs import Event

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

_VERDICT = converter(Verdict)
_VOID = converter(VoidReason)
_FAULT = converter(Fault)
_ROLE = converter(Role)
_ENCODING = converter(Encoding)


class History:
    """What happened in a federation, up to block `block`. Read it; only `HistoryFile` writes it.

    Addresses are checksummed. Methods with a window give empty or None where the log says nothing.
    """

    def __init__(self, genesis: Root) -> None:
        self.block = 0
        self.genesis = genesis
        self.paused = False
        self.closed = False
        self.invitation_epoch = 0
        self.funded_wei = 0
        self._versions: tuple[VersionRecord, ...] = (VersionRecord(0, 0, genesis, 0),)
        self._updates: dict[int, tuple[UpdateRecord, ...]] = {}
        self._sealed: dict[int, int] = {}
        self._turns: dict[int, Turn] = {}
        self._commitments: dict[int, Mapping[str, bytes]] = {}
        self._reveals: dict[int, Mapping[str, Reveal]] = {}
        self._tallied: dict[int, Tallied] = {}
        self._attestations: dict[int, tuple[Attestation, ...]] = {}
        self._settled: dict[int, Settlement] = {}
        self._voided: dict[int, VoidReason] = {}
        self._version_of: dict[int, int] = {}
        self._members: dict[str, Member] = {}
        self._reputations: dict[str, tuple[Reputation, ...]] = {}
        self._by: dict[str, tuple[UpdateRecord, ...]] = {}
        self._rewards: dict[str, tuple[Reward, ...]] = {}
        self.slashes: tuple[Slash, ...] = ()
        self.jailings: tuple[Jailing, ...] = ()

    # --- versions and windows ---

    @property
    def versions(self) -> tuple[VersionRecord, ...]:
        """All final versions; element v is version v, and 0 is the genesis model."""
        return self._versions

    @property
    def windows(self) -> range:
        """All windows that hold an update."""
        return range(1, max(self._updates, default=0) + 1)

    def updates(self, window: int) -> tuple[UpdateRecord, ...]:
        """A window's updates in order: all of them, once it is sealed."""
        return self._updates.get(window, ())

    def authors(self, window: int) -> tuple[str, ...]:
        """Who submitted a window's updates, in order: what `tally` and `settle` take."""
        return tuple(record.participant for record in self.updates(window))

    def updates_by(self, participant: str) -> tuple[UpdateRecord, ...]:
        """All updates of a participant, in order."""
        return self._by.get(participant, ())

    def sealed(self, window: int) -> bool:
        """Whether a window takes no more updates."""
        return window in self._sealed or window in self._voided

    def turn(self, window: int) -> Turn | None:
        """When a window's turn began: its W, tag, active set and weights."""
        return self._turns.get(window)

    def commitments(self, window: int) -> Mapping[str, bytes]:
        """Commitments to scores, by validator."""
        return MappingProxyType(dict(self._commitments.get(window, {})))

    def reveals(self, window: int) -> Mapping[str, Reveal]:
        """Revealed scores, by validator, in order of revealing."""
        return MappingProxyType(dict(self._reveals.get(window, {})))

    def tallied(self, window: int) -> Tallied | None:
        """What the tally said."""
        return self._tallied.get(window)

    def attestations(self, window: int) -> tuple[Attestation, ...]:
        """Attestations of a window's next model, in order."""
        return self._attestations.get(window, ())

    def version_of(self, window: int) -> int | None:
        """The version a window made."""
        return self._version_of.get(window)

    def window_of_version(self, version: int) -> int:
        """The window that made a version; 0 for the genesis model."""
        return self._versions[version].window

    def settled(self, window: int) -> Settlement | None:
        """What a window's settlement credited."""
        return self._settled.get(window)

    def voided(self, window: int) -> VoidReason | None:
        """Why a window made no version."""
        return self._voided.get(window)

    def ended(self, window: int) -> bool:
        """Whether a window is over: settled, void, or passed by a later window's end or turn."""
        return window in self._settled or window in self._voided or window < self._oldest()

    # --- participants ---

    @property
    def participants(self) -> Mapping[str, Member]:
        """All who ever joined, by address, in order of joining."""
        return MappingProxyType(self._members)

    @property
    def reputations(self) -> Mapping[str, Reputation]:
        """The latest reputations, of all whose reputation ever changed."""
        return {address: changes[-1] for address, changes in self._reputations.items()}

    def reputations_of(self, participant: str) -> tuple[Reputation, ...]:
        """How a participant's reputations changed, in order."""
        return self._reputations.get(participant, ())

    def rewards(self, participant: str) -> tuple[Reward, ...]:
        """What a participant was credited, by window, in order."""
        return self._rewards.get(participant, ())

    # --- folding ---

    def copy(self) -> History:
        """A copy that can be folded further without changing this one."""
        twin = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, dict):
                setattr(twin, name, dict(value))
        return twin

    def apply(self, event: Event) -> None:
        """Fold one event in. Raises Inconsistent where events before it are missing."""
        fold = getattr(self, "_on_" + re.sub(r"(?<!^)(?=[A-Z])", "_", event.name).lower(), None)
        if fold is not None:
            fold(event, event.arguments)
        self.block = event.block

    def _oldest(self) -> int:
        return max(self._turns, default=0)

    def _on_federation_created(self, event: Event, a: Mapping[str, object]) -> None:
        if a["model"] != self.genesis.digest:
            raise ChainError("the log's genesis model is not the contract's")
        self._versions = (replace(self._versions[0], block=event.block),)

    def _on_update_submitted(self, event: Event, a: Mapping[str, object]) -> None:
        update_id, author = _int(a["updateId"]), str(a["participant"])
        window, index = divmod(update_id, 16)
        before = self.updates(window)
        if index != len(before):
            raise Inconsistent(
                f"window {window}: update {index} comes after {len(before)} others; the RPC's log "
                "has a gap"
            )
        try:
            root = Root(_bytes(a["rootDigest"]), _int(a["rootCodec"]))
        except ValueError as error:
            raise ChainError(f"update {update_id}: {error}") from error
        record = UpdateRecord(
            id=update_id,
            participant=author,
            base_version=_int(a["baseVersion"]),
            root=root,
            encoding=_ENCODING(a["encoding"], f"update {update_id}"),
            samples=_int(a["samples"]),
            block=event.block,
        )
        self._updates[window] = (*before, record)
        self._by[author] = (*self.updates_by(author), record)

    def _on_window_sealed(self, event: Event, a: Mapping[str, object]) -> None:
        window, count = _int(a["window"]), _int(a["updates"])
        if count != len(self.updates(window)):
            raise Inconsistent(
                f"window {window} was sealed with {count} updates and the RPC's log has "
                f"{len(self.updates(window))}"
            )
        self._sealed[window] = count

    def _on_turn_began(self, event: Event, a: Mapping[str, object]) -> None:
        turn = Turn(
            window=_int(a["window"]),
            base_version=_int(a["baseVersion"]),
            tag=_int(a["tag"]),
            active=_int(a["active"]),
            validators=tuple(map(str, _list(a["validators"]))),
            weights=tuple(map(_int, _list(a["weights"]))),
            block=event.block,
        )
        seats = turn.active.bit_count()
        if turn.window not in self._sealed or turn.base_version != len(self._versions) - 1:
            raise Inconsistent(f"window {turn.window}'s turn: the RPC's log has a gap before it")
        if not len(turn.validators) == len(turn.weights) == seats:
            raise ChainError(
                f"window {turn.window}: {seats} active seats, {len(turn.validators)} validators, "
                f"{len(turn.weights)} weights"
            )
        self._turns[turn.window] = turn

    def _on_scores_committed(self, event: Event, a: Mapping[str, object]) -> None:
        window = _int(a["window"])
        before = self._commitments.get(window, {})
        self._commitments[window] = {**before, str(a["validator"]): _bytes(a["commitment"])}

    def _on_scores_revealed(self, event: Event, a: Mapping[str, object]) -> None:
        window = _int(a["window"])
        scores = unpack_scores(_bytes(a["scores"]), len(self.updates(window)))
        reveal = Reveal(scores, _int(a["keep"]))
        self._reveals[window] = {**self._reveals.get(window, {}), str(a["validator"]): reveal}

    def _on_window_tallied(self, event: Event, a: Mapping[str, object]) -> None:
        window = _int(a["window"])
        tallied = Tallied(
            window=window,
            keep=_int(a["keep"]),
            consensus_bps=tuple(map(_int, _list(a["consensus"]))),
            verdicts=tuple(_VERDICT(v, f"window {window}") for v in _list(a["verdicts"])),
            shares_ppm=tuple(map(_int, _list(a["shares"]))),
            agreement_ppm=tuple(map(_int, _list(a["agreement"]))),
            overruled=_int(a["overruled"]),
        )
        counts = {len(tallied.consensus_bps), len(tallied.verdicts), len(tallied.shares_ppm)}
        if counts != {len(self.updates(window))}:
            raise Inconsistent(
                f"window {window}: tallied {sorted(counts)} updates of {len(self.updates(window))}"
            )
        if len(tallied.agreement_ppm) != len(self._reveals.get(window, {})):
            raise Inconsistent(
                f"window {window}: tallied {len(tallied.agreement_ppm)} reveals of "
                f"{len(self._reveals.get(window, {}))}"
            )
        if sum(tallied.shares_ppm) > 1_000_000:
            raise ChainError(f"window {window}: shares of more than one in all")
        self._tallied[window] = tallied

    def _on_model_attested(self, event: Event, a: Mapping[str, object]) -> None:
        window = _int(a["window"])
        attestation = Attestation(
            window, str(a["validator"]), _bytes(a["rootDigest"]), _int(a["metric"]), event.block
        )
        self._attestations[window] = (*self.attestations(window), attestation)

    def _on_version_finalized(self, event: Event, a: Mapping[str, object]) -> None:
        version, window = _int(a["version"]), _int(a["window"])
        if version != len(self._versions):
            raise Inconsistent(
                f"version {version} comes after version {len(self._versions) - 1}: the RPC's log "
                "has a gap"
            )
        root = Root(_bytes(a["rootDigest"]), self.genesis.codec)
        self._versions = (*self._versions, VersionRecord(version, window, root, event.block))
        self._version_of[window] = version

    def _on_window_settled(self, event: Event, a: Mapping[str, object]) -> None:
        window = _int(a["window"])
        settlement = Settlement(
            window=window,
            is_final=bool(a["isFinal"]),
            trainers_wei=tuple(map(_int, _list(a["trainers"]))),
            validators_wei=tuple(map(_int, _list(a["validators"]))),
            block=event.block,
        )
        turn, authors = self.turn(window), self.authors(window)
        judges = turn.validators if turn else ()
        if len(settlement.trainers_wei) not in (0, len(authors)) or len(
            settlement.validators_wei
        ) not in (0, len(judges)):
            raise Inconsistent(f"window {window}: settled for others than the RPC's log has")
        self._settled[window] = settlement
        trained = dict(zip(authors, settlement.trainers_wei, strict=False))
        judged = dict(zip(judges, settlement.validators_wei, strict=False))
        for who in dict.fromkeys((*trained, *judged)):
            index = authors.index(who) if who in trained else None
            reward = Reward(window, index, trained.get(who, 0), judged.get(who, 0))
            if reward.wei:
                self._rewards[who] = (*self.rewards(who), reward)

    def _on_window_voided(self, event: Event, a: Mapping[str, object]) -> None:
        window = _int(a["window"])
        self._voided[window] = _VOID(a["reason"], f"window {window}")

    def _on_reputations_changed(self, event: Event, a: Mapping[str, object]) -> None:
        who, trainer, validator = (_list(a[n]) for n in ("participants", "trainer", "validator"))
        if not len(who) == len(trainer) == len(validator):
            raise ChainError("ReputationsChanged: lists of different lengths")
        for address, as_trainer, as_validator in zip(who, trainer, validator, strict=True):
            change = Reputation(_int(a["window"]), _int(as_trainer), _int(as_validator))
            name = str(address)
            self._reputations[name] = (*self.reputations_of(name), change)

    def _on_slashed(self, event: Event, a: Mapping[str, object]) -> None:
        who, amount = str(a["participant"]), _int(a["amount"])
        slash = Slash(who, _int(a["window"]), _FAULT(a["fault"], who), amount, event.block)
        self.slashes = (*self.slashes, slash)
        member = self._member(who)
        self._members[who] = replace(member, stake_wei=member.stake_wei - amount)

    def _on_jailed(self, event: Event, a: Mapping[str, object]) -> None:
        who = str(a["participant"])
        jailing = Jailing(who, _ROLE(a["role"], who), _int(a["until"]), event.block)
        self.jailings = (*self.jailings, jailing)

    def _on_joined(self, event: Event, a: Mapping[str, object]) -> None:
        who = str(a["participant"])
        before = self._members.get(who)
        self._members[who] = Member(
            address=who,
            roles=_ROLE(a["roles"], who),
            stake_wei=_int(a["stake"]),
            profile=_bytes(a["profile"]),
            joined_block=event.block,
            claimed_wei=before.claimed_wei if before else 0,
        )

    def _on_profile_changed(self, event: Event, a: Mapping[str, object]) -> None:
        self._change(a, profile=_bytes(a["profile"]))

    def _on_stake_added(self, event: Event, a: Mapping[str, object]) -> None:
        self._change(a, stake_wei=_int(a["stake"]))

    def _on_seat_taken(self, event: Event, a: Mapping[str, object]) -> None:
        self._change(a, seat=_int(a["seat"]), asleep=False)

    def _on_seat_left(self, event: Event, a: Mapping[str, object]) -> None:
        self._change(a, seat=None)

    def _on_exit_requested(self, event: Event, a: Mapping[str, object]) -> None:
        self._change(a, exit_s=_int(a["withdrawableAt"]))

    def _on_withdrawn(self, event: Event, a: Mapping[str, object]) -> None:
        self._change(a, stake_wei=0, left=True, seat=None)

    def _on_fell_asleep(self, event: Event, a: Mapping[str, object]) -> None:
        self._change(a, asleep=True)

    def _on_woke(self, event: Event, a: Mapping[str, object]) -> None:
        self._change(a, asleep=False)

    def _on_claimed(self, event: Event, a: Mapping[str, object]) -> None:
        claimed = self._member(str(a["participant"])).claimed_wei + _int(a["amount"])
        self._change(a, claimed_wei=claimed)

    def _on_funded(self, event: Event, a: Mapping[str, object]) -> None:
        self.funded_wei += _int(a["amount"])

    def _on_invitation_epoch_bumped(self, event: Event, a: Mapping[str, object]) -> None:
        self.invitation_epoch = _int(a["epoch"])

    def _on_paused(self, event: Event, a: Mapping[str, object]) -> None:
        self.paused = True

    def _on_unpaused(self, event: Event, a: Mapping[str, object]) -> None:
        self.paused = False

    def _on_closed(self, event: Event, a: Mapping[str, object]) -> None:
        self.closed = True

    def _member(self, who: str) -> Member:
        try:
            return self._members[who]
        except KeyError:
            raise Inconsistent(f"{who} never joined: the RPC's log has a gap") from None

    def _change(self, a: Mapping[str, object], **changes: object) -> None:
        who = str(a["participant"])
        self._members[who] = replace(self._member(who), **changes)  # type: ignore[arg-type]


def _int(value: object) -> int:
    if type(value) is not int:
        raise ChainError(f"{value!r} in the log is no number")
    return value


def _bytes(value: object) -> bytes:
    if type(value) is not bytes:
        raise ChainError(f"{value!r} in the log is no bytes")
    return value


def _list(value: object) -> tuple[object, ...]:
    if not isinstance(value, tuple | list):
        raise ChainError(f"{value!r} in the log is no list")
    return tuple(value)
