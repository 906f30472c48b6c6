"""The participants' part of the past: who joined, what they own, how their standing changed."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bafl.chain.abi import converter
from bafl.chain.errors import Inconsistent
from bafl.chain.records import Jailing, Member, Reputation, Reward, Slash
from bafl.types import START_REPUTATION, Fault, Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bafl.chain.logs import Event
    from bafl.chain.records import Settlement, Turn

_FAULT = converter(Fault)
_ROLE = converter(Role)


class People:
    """Folded by `History`, which knows the windows."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.reputations: dict[str, tuple[Reputation, ...]] = {}
        self.rewards: dict[str, tuple[Reward, ...]] = {}
        self.slashes: tuple[Slash, ...] = ()
        self.jailings: tuple[Jailing, ...] = ()

    def copy(self) -> People:
        """A copy that can be folded further without changing this one."""
        twin = copy.copy(self)
        twin.members = dict(self.members)
        twin.reputations = dict(self.reputations)
        twin.rewards = dict(self.rewards)
        return twin

    def seated(self, seats: int) -> tuple[str, ...]:
        """Who sits on these seats (a bitmap), ascending; fewer where the log has no holder."""
        holders = {member.seat: who for who, member in self.members.items()}
        return tuple(holders[seat] for seat in range(32) if seats >> seat & 1 and seat in holders)

    def settle(self, settled: Settlement, authors: Sequence[str], turn: Turn) -> None:
        """Fold a window's settlement in; its lists have the lengths of authors and active set."""
        trained = dict(zip(authors, settled.trainers_wei, strict=False))
        judged = dict(zip(turn.validators, settled.validators_wei, strict=True))
        for who in dict.fromkeys((*trained, *judged)):
            index = authors.index(who) if who in trained else None
            reward = Reward(settled.window, index, trained.get(who, 0), judged.get(who, 0))
            if reward.wei:
                self.rewards[who] = (*self.rewards.get(who, ()), reward)
        for who, ppm in zip(authors, settled.trainer_reputations, strict=False):
            self._reputation(who, settled.window, trainer=ppm)
        for who, ppm in zip(turn.validators, settled.validator_reputations, strict=True):
            self._reputation(who, settled.window, validator=ppm)

    def _reputation(self, who: str, window: int, **changed: int) -> None:
        changes = self.reputations.get(who, ())
        last = changes[-1] if changes else Reputation(0, START_REPUTATION, START_REPUTATION)
        new = last._replace(window=window, **changed)
        if last.window == window:
            changes = changes[:-1]
        self.reputations[who] = (*changes, new)

    # --- one method an event ---

    def _on_joined(self, event: Event, a: Mapping[str, Any]) -> None:
        who = a["participant"]
        before = self.members.get(who)
        self.members[who] = Member(
            address=who,
            roles=_ROLE(a["roles"], who),
            stake_wei=a["stake"],
            profile=a["profile"],
            joined_block=event.block,
            claimed_wei=before.claimed_wei if before else 0,
        )

    def _on_profile_changed(self, event: Event, a: Mapping[str, Any]) -> None:
        self._change(a, profile=a["profile"])

    def _on_stake_added(self, event: Event, a: Mapping[str, Any]) -> None:
        self._change(a, stake_wei=a["stake"])

    def _on_seat_taken(self, event: Event, a: Mapping[str, Any]) -> None:
        self._change(a, seat=a["seat"])

    def _on_seat_left(self, event: Event, a: Mapping[str, Any]) -> None:
        self._change(a, seat=None)

    def _on_exit_requested(self, event: Event, a: Mapping[str, Any]) -> None:
        self._change(a, exit_s=a["withdrawableAt"])

    def _on_withdrawn(self, event: Event, a: Mapping[str, Any]) -> None:
        self._change(a, stake_wei=0, left=True, seat=None)

    def _on_fell_asleep(self, event: Event, a: Mapping[str, Any]) -> None:
        self._change(a, asleep=True)

    def _on_woke(self, event: Event, a: Mapping[str, Any]) -> None:
        self._change(a, asleep=False)

    def _on_claimed(self, event: Event, a: Mapping[str, Any]) -> None:
        self._change(a, claimed_wei=self._member(a["participant"]).claimed_wei + a["amount"])

    def _on_slashed(self, event: Event, a: Mapping[str, Any]) -> None:
        who, amount = a["participant"], a["amount"]
        if amount > self._member(who).stake_wei:
            raise Inconsistent(f"{who} lost more than its stake: the RPC's log has a gap")
        slash = Slash(who, a["window"], _FAULT(a["fault"], who), amount, event.block)
        self.slashes = (*self.slashes, slash)
        self._change(a, stake_wei=self._member(who).stake_wei - amount)

    def _on_jailed(self, event: Event, a: Mapping[str, Any]) -> None:
        who = a["participant"]
        jailing = Jailing(who, _ROLE(a["role"], who), a["until"], event.block)
        self.jailings = (*self.jailings, jailing)
        if jailing.role == Role.VALIDATOR:
            self._change(a, asleep=False)  # who comes back judges

    def _member(self, who: str) -> Member:
        try:
            return self.members[who]
        except KeyError:
            raise Inconsistent(f"{who} never joined: the RPC's log has a gap") from None

    def _change(self, a: Mapping[str, Any], **changes: Any) -> None:
        who = a["participant"]
        self.members[who] = replace(self._member(who), **changes)
