"""A federation's whole past, folded from its events; a gap in them is found, not passed over."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bafl.chain.abi import converter
from bafl.chain.calls import unpack_scores
from bafl.chain.errors import Inconsistent
from bafl.chain.people import People
from bafl.chain.records import Attestation, Reveal, Settlement, Turn
from bafl.errors import ChainError
from bafl.types import (
    PPM,
    Root,
    Tallied,
    UpdateRecord,
    Verdict,
    VersionRecord,
    VoidReason,
    place_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bafl.chain.logs import Event
    from bafl.chain.records import Jailing, Member, Reputation, Reward, Slash

_VERDICT = converter(Verdict)
_VOID = converter(VoidReason)
_WORD = re.compile(r"(?<!^)(?=[A-Z])")


class History:
    """What happened in a federation, up to block `block`. Read it; only `HistoryFile` writes it.

    Addresses are checksummed. Methods with a window give empty or None where the log says nothing.
    """

    def __init__(self, genesis: Root) -> None:
        self.block = 0
        self.created = False
        self.genesis = genesis
        self.paused = False
        self.closed = False
        self.invitation_epoch = 0
        self.funded_wei = 0
        self._versions: tuple[VersionRecord, ...] = (VersionRecord(0, 0, genesis, 0),)
        self._updates: dict[int, tuple[UpdateRecord, ...]] = {}
        self._by: dict[str, tuple[UpdateRecord, ...]] = {}
        self._sealed: dict[int, int] = {}
        self._turns: dict[int, Turn] = {}
        self._commitments: dict[int, dict[str, bytes]] = {}
        self._reveals: dict[int, dict[str, Reveal]] = {}
        self._tallied: dict[int, Tallied] = {}
        self._attestations: dict[int, tuple[Attestation, ...]] = {}
        self._settled: dict[int, Settlement] = {}
        self._voided: dict[int, VoidReason] = {}
        self._version_of: dict[int, int] = {}
        self._people = People()

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
        """Who submitted a window's updates, in order: what `tally` takes."""
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
        """Commitments to scores, by validator, in order."""
        return MappingProxyType(self._commitments.get(window, {}))

    def reveals(self, window: int) -> Mapping[str, Reveal]:
        """Revealed scores, by validator, in order."""
        return MappingProxyType(self._reveals.get(window, {}))

    def revealers(self, window: int, *more: str) -> tuple[str, ...]:
        """Who revealed scores, in the order of seats: what `tally` takes. more: who will have."""
        turn, revealed = self._turns.get(window), {*self._reveals.get(window, {}), *more}
        return tuple(who for who in turn.validators if who in revealed) if turn else ()

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
        """How a window that had its turn ended."""
        return self._settled.get(window)

    def voided(self, window: int) -> VoidReason | None:
        """Why a window makes no version; known before its end where nothing was accepted."""
        return self._voided.get(window)

    def ended(self, window: int) -> bool:
        """Whether a window is over: settled, or void without having had a turn."""
        if window in self._turns:
            return window in self._settled
        return window in self._voided

    # --- participants ---

    @property
    def participants(self) -> Mapping[str, Member]:
        """All who ever joined, by address, in order of joining."""
        return MappingProxyType(self._people.members)

    @property
    def reputations(self) -> Mapping[str, Reputation]:
        """The latest reputations, of all whose reputation ever changed."""
        return {who: changes[-1] for who, changes in self._people.reputations.items()}

    def reputations_of(self, participant: str) -> tuple[Reputation, ...]:
        """How a participant's reputations changed, in order."""
        return self._people.reputations.get(participant, ())

    def rewards(self, participant: str) -> tuple[Reward, ...]:
        """What a participant was credited, by window, in order."""
        return self._people.rewards.get(participant, ())

    @property
    def slashes(self) -> tuple[Slash, ...]:
        """All stake ever taken for a fault, in order."""
        return self._people.slashes

    @property
    def jailings(self) -> tuple[Jailing, ...]:
        """All bars from a role, in order."""
        return self._people.jailings

    # --- folding ---

    def copy(self) -> History:
        """A copy that can be folded further without changing this one."""
        twin = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, dict):
                setattr(twin, name, dict(value))
        twin._people = self._people.copy()
        return twin

    def apply(self, event: Event) -> None:
        """Fold one event in. Raises Inconsistent where events before it are missing."""
        name = "_on_" + _WORD.sub("_", event.name).lower()
        if not self.created and event.name != "FederationCreated":
            raise Inconsistent(f"{event.name} before FederationCreated: the RPC's log has a gap")
        for part in (self, self._people):
            fold = getattr(part, name, None)
            if fold is not None:
                fold(event, event.arguments)
        self.block = event.block

    def _on_federation_created(self, event: Event, a: Mapping[str, Any]) -> None:
        if self.created:
            raise Inconsistent("a second FederationCreated: the RPC's log repeats itself")
        self.created = True
        if a["model"] != self.genesis.digest:
            raise ChainError("the log's genesis model is not the contract's")
        self._versions = (replace(self._versions[0], block=event.block),)

    def _on_update_submitted(self, event: Event, a: Mapping[str, Any]) -> None:
        update_id, author = a["updateId"], a["participant"]
        window, index = place_of(update_id)
        before = self.updates(window)
        if window < 1 or self.sealed(window):
            raise Inconsistent(f"update {update_id} of a window that takes none")
        if index != len(before) or (index == 0 and window > 1 and not self.sealed(window - 1)):
            raise Inconsistent(
                f"window {window}: update {index} comes after {len(before)} others; the RPC's log "
                "has a gap"
            )
        record = UpdateRecord(
            id=update_id,
            participant=author,
            base_version=a["baseVersion"],
            root=_root(a["rootDigest"], a["rootCodec"], f"update {update_id}"),
            encoding=a["encoding"],
            samples=a["samples"],
            block=event.block,
        )
        self._updates[window] = (*before, record)
        self._by[author] = (*self.updates_by(author), record)

    def _on_window_sealed(self, event: Event, a: Mapping[str, Any]) -> None:
        window, count = a["window"], a["updates"]
        if not count or count != len(self.updates(window)):
            raise Inconsistent(
                f"window {window} was sealed with {count} updates and the RPC's log has "
                f"{len(self.updates(window))}"
            )
        self._sealed[window] = count

    def _on_turn_began(self, event: Event, a: Mapping[str, Any]) -> None:
        turn = Turn(
            window=a["window"],
            base_version=a["baseVersion"],
            tag=a["tag"],
            active=a["active"],
            validators=self._people.seated(a["active"]),
            weights=tuple(a["weights"]),
            block=event.block,
        )
        last = next(reversed(self._turns), None)
        gap = len(turn.validators) != turn.active.bit_count() or (
            last is not None and last not in self._settled
        )
        if gap or turn.window not in self._sealed or turn.base_version != len(self._versions) - 1:
            raise Inconsistent(f"window {turn.window}'s turn: the RPC's log has a gap before it")
        if len(turn.weights) != len(turn.validators):
            raise ChainError(
                f"window {turn.window}: {len(turn.validators)} active seats, "
                f"{len(turn.weights)} weights"
            )
        self._turns[turn.window] = turn

    def _on_scores_committed(self, event: Event, a: Mapping[str, Any]) -> None:
        window = self._judged(a)
        before = self._commitments.get(window, {})
        self._commitments[window] = {**before, a["validator"]: a["commitment"]}

    def _on_scores_revealed(self, event: Event, a: Mapping[str, Any]) -> None:
        window = self._judged(a)
        reveal = Reveal(unpack_scores(a["scores"], len(self.updates(window))), a["keep"])
        self._reveals[window] = {**self._reveals.get(window, {}), a["validator"]: reveal}

    def _on_window_tallied(self, event: Event, a: Mapping[str, Any]) -> None:
        window = self._judged(a)
        n, revealed = len(self.updates(window)), len(self.reveals(window))
        tallied = Tallied(
            window=window,
            keep=a["keep"],
            consensus_bps=unpack_scores(a["consensus"], n),
            verdicts=tuple(
                _VERDICT(v, f"window {window}") for v in unpack_scores(a["verdicts"], n)
            ),
            shares_ppm=unpack_numbers(a["shares"], window),
            agreement_ppm=tuple(a["agreement"]),
            overruled=a["overruled"],
        )
        self._fits(window, n, tallied.shares_ppm)
        self._fits(window, revealed, tallied.agreement_ppm)
        self._quorum(window, self.reveals(window), "tallied")
        if sum(tallied.shares_ppm) > PPM:
            raise ChainError(f"window {window}: shares of more than one in all")
        self._tallied[window] = tallied

    def _on_model_attested(self, event: Event, a: Mapping[str, Any]) -> None:
        window = self._judged(a)
        if window not in self._tallied:
            raise Inconsistent(f"window {window}'s attestation: the RPC's log has no tally")
        attestation = Attestation(window, a["validator"], a["rootDigest"], a["metric"], event.block)
        self._attestations[window] = (*self.attestations(window), attestation)

    def _on_version_finalized(self, event: Event, a: Mapping[str, Any]) -> None:
        version, window = a["version"], self._judged(a)
        if version != len(self._versions):
            raise Inconsistent(
                f"version {version} comes after version {len(self._versions) - 1}: the RPC's log "
                "has a gap"
            )
        digest = a["rootDigest"]
        voters = [vote.validator for vote in self.attestations(window) if vote.digest == digest]
        self._quorum(window, voters, f"final as version {version}")
        root = _root(digest, self.genesis.codec, f"version {version}")
        self._versions = (*self._versions, VersionRecord(version, window, root, event.block))
        self._version_of[window] = version

    def _on_window_settled(self, event: Event, a: Mapping[str, Any]) -> None:
        window = self._judged(a)
        settled = Settlement(
            window=window,
            is_final=a["isFinal"],
            trainers_wei=tuple(a["trainers"]),
            trainer_reputations=unpack_numbers(a["trainerReputations"], window),
            validators_wei=tuple(a["validators"]),
            validator_reputations=unpack_numbers(a["validatorReputations"], window),
            block=event.block,
        )
        if settled.is_final != (window in self._version_of):
            raise Inconsistent(f"window {window}'s end: the RPC's log has a gap before it")
        turn, authors = self._turns[window], self.authors(window)
        if settled.trainers_wei or settled.trainer_reputations:
            self._fits(window, len(authors), settled.trainers_wei, settled.trainer_reputations)
        seats = len(turn.validators)
        self._fits(window, seats, settled.validators_wei, settled.validator_reputations)
        self._settled[window] = settled
        self._people.settle(settled, authors, turn)

    def _on_window_voided(self, event: Event, a: Mapping[str, Any]) -> None:
        window = a["window"]
        if not self.updates(window):
            raise Inconsistent(f"window {window} is void and the RPC's log has no update of it")
        self._voided[window] = _VOID(a["reason"], f"window {window}")

    def _on_funded(self, event: Event, a: Mapping[str, Any]) -> None:
        self.funded_wei += a["amount"]

    def _on_invitation_epoch_bumped(self, event: Event, a: Mapping[str, Any]) -> None:
        self.invitation_epoch = a["epoch"]

    def _on_paused(self, event: Event, a: Mapping[str, Any]) -> None:
        self.paused = True

    def _on_unpaused(self, event: Event, a: Mapping[str, Any]) -> None:
        self.paused = False

    def _on_closed(self, event: Event, a: Mapping[str, Any]) -> None:
        self.closed = True

    def _judged(self, a: Mapping[str, Any]) -> int:
        window = int(a["window"])
        if window not in self._turns or window in self._settled:
            raise Inconsistent(f"window {window} is not being judged: the RPC's log has a gap")
        return window

    def _quorum(self, window: int, who: Iterable[str], what: str) -> None:
        turn = self._turns[window]
        weights = dict(zip(turn.validators, turn.weights, strict=True))
        for_it = sum(weights.get(each, 0) for each in who)
        if 3 * for_it < 2 * sum(turn.weights):
            raise Inconsistent(
                f"window {window} is {what}, with {for_it} of a weight of {sum(turn.weights)} in "
                "the RPC's log: less than two thirds"
            )

    def _fits(self, window: int, length: int, *lists: tuple[Any, ...]) -> None:
        if any(len(each) != length for each in lists):
            raise Inconsistent(
                f"window {window}: results for {sorted({len(each) for each in lists})} where the "
                f"RPC's log has {length}"
            )


def unpack_numbers(packed: bytes, window: int) -> tuple[int, ...]:
    """Read three bytes a number, big-endian, as the contract's `Numbers` writes them.

    window: whose they are. Raises ChainError for a number cut short.
    """
    if len(packed) % 3:
        raise ChainError(f"window {window}: {len(packed)} bytes are no list of numbers")
    return tuple(int.from_bytes(packed[i : i + 3], "big") for i in range(0, len(packed), 3))


def _root(digest: bytes, codec: int, what: str) -> Root:
    try:
        return Root(digest, codec)
    except ValueError as error:
        raise ChainError(f"{what}: {error}") from error
