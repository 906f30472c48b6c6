"""What a node does next: a pure function of the chain's view, the journal and the time.

`decide` is level-triggered. It is given how things stand, not what happened, so a restart, a
missed event or a reorg is an ordinary case: the next look says what is still to be done. It does
no I/O, has no clock and no randomness, and knows none of the contract's rules: `view.duties` says
what is allowed. The node (bafl.node) does what the actions say and writes the journal; an action
whose key is in `Notes.busy` is under way and is not asked for again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from bafl.types import NO_SEAT, Encoding, Phase, Root, View, place_of

RING = 8
"""Windows whose updates the contract remembers; payloads of older, unused ones may be forgotten."""

TURNS = 16
"""Most places in a turn: of many nodes some may be gone, and a phase must not end unattended."""


# --- what the journal knows ---


@dataclass(frozen=True, slots=True)
class Trained:
    """An update that is trained and written, not yet submitted. samples: training rows.

    base_digest: of the model it was trained on; empty where an older journal did not note it.
    """

    base_version: int
    root: Root
    encoding: Encoding
    samples: int
    base_digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Scored:
    """This validator's verdict on a window. scores: bps or codes, one an update; keep: 0 to n."""

    scores: tuple[int, ...]
    keep: int


@dataclass(frozen=True, slots=True)
class Recomputed:
    """The next model that a window's tally makes. metric: in millionths of the manifest's unit."""

    root: Root
    metric: int


@dataclass(frozen=True, slots=True)
class Notes:
    """The journal at one moment, as `decide` reads it.

    scored and recomputed are keyed by (window, tag): a reorg changes the tag, and what was worked
    out for other contents does not count. unpublished and unresolved are ids of own updates:
    confirmed but not yet in the store, and published but not yet known to be included or not.
    unoffered: (window, tag) of next models that were worked out and are not in the store yet.
    seen_s: when this node first saw that a turn such as ("seal", window) was open to anyone.
    sending: a transaction is under way. unsettled: one was signed and its end is not known.
    """

    trained: Trained | None = None
    scored: Mapping[tuple[int, int], Scored] = field(default_factory=dict)
    recomputed: Mapping[tuple[int, int], Recomputed] = field(default_factory=dict)
    unpublished: tuple[int, ...] = ()
    unresolved: tuple[int, ...] = ()
    pinned_windows: tuple[int, ...] = ()
    unoffered: tuple[tuple[int, int], ...] = ()
    seen_s: Mapping[tuple[str, int], float] = field(default_factory=dict)
    busy: frozenset[tuple[str, int]] = frozenset()
    sending: bool = False
    unsettled: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """What an operator wants of a node. slot_s: seconds between nodes that take turns."""

    train: bool = True
    validate: bool = True
    slot_s: float = 2.0


# --- what to do ---


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do now. `key` names it: one with the same key is never under way twice."""

    @property
    def key(self) -> tuple[str, int]:
        """(name, window, version or update id)."""
        return (type(self).__name__.lower(), 0)


@dataclass(frozen=True, slots=True)
class _OfWindow(Action):
    window: int

    @property
    def key(self) -> tuple[str, int]:
        """(name, window)."""
        return (type(self).__name__.lower(), self.window)


@dataclass(frozen=True, slots=True)
class _OfUpdate(Action):
    update: int

    @property
    def key(self) -> tuple[str, int]:
        """(name, update id)."""
        return (type(self).__name__.lower(), self.update)


@dataclass(frozen=True, slots=True)
class Train(Action):
    """Train on a version's model and write the update."""

    version: int


@dataclass(frozen=True, slots=True)
class Resume(Action):
    """Bring transactions to their end that were under way when the node stopped."""


@dataclass(frozen=True, slots=True)
class Submit(Action):
    """Record the trained update on the chain."""

    trained: Trained


@dataclass(frozen=True, slots=True)
class Publish(_OfUpdate):
    """Put the payload of an own, confirmed update into the store."""


@dataclass(frozen=True, slots=True)
class Resolve(_OfUpdate):
    """The window of an own update has ended: keep or drop what its encoding lost."""


@dataclass(frozen=True, slots=True)
class Score(_OfWindow):
    """Fetch a window's payloads and score them on the hold-out."""

    tag: int


@dataclass(frozen=True, slots=True)
class Commit(_OfWindow):
    """Commit to scores; as the last one left, reveal them in the same transaction."""

    tag: int
    scored: Scored
    last: bool = False


@dataclass(frozen=True, slots=True)
class Reveal(_OfWindow):
    """Reveal scores; as the last one left, tally in the same transaction."""

    tag: int
    scored: Scored
    last: bool = False


@dataclass(frozen=True, slots=True)
class Recompute(_OfWindow):
    """Work out the next model from the tally."""

    tag: int


@dataclass(frozen=True, slots=True)
class Offer(_OfWindow):
    """Put the next model into the store; attesting it does not wait for that."""

    tag: int


@dataclass(frozen=True, slots=True)
class Attest(_OfWindow):
    """Attest the next model."""

    tag: int
    recomputed: Recomputed


@dataclass(frozen=True, slots=True)
class Seal(_OfWindow):
    """Seal the open window."""


@dataclass(frozen=True, slots=True)
class Tally(_OfWindow):
    """Turn revealed scores into verdicts."""


@dataclass(frozen=True, slots=True)
class Settle(_OfWindow):
    """End a tallied window."""


@dataclass(frozen=True, slots=True)
class Discard(_OfWindow):
    """End a window that cannot go on."""


@dataclass(frozen=True, slots=True)
class Forget(_OfWindow):
    """Unpin the unused payloads of a window that has left the ring."""


@dataclass(frozen=True, slots=True)
class Wake(Action):
    """Judge again after missed windows."""


@dataclass(frozen=True, slots=True)
class TakeSeat(Action):
    """Take a validator's seat."""


Transaction = (
    Resume | Submit | Commit | Reveal | Attest | Seal | Tally | Settle | Discard | Wake | TakeSeat
)


def decide(
    view: View, notes: Notes, options: Options, address: str, now_s: float
) -> tuple[Action, ...]:
    """What `address` should do now, most urgent first.

    now_s: by the clock of `notes.seen_s`, whatever that is.
    Deterministic; the same action comes again at every look until the view or the notes show that
    it is done. Returns no action whose key is in `notes.busy`, and at most one transaction, none
    while one is under way: each is decided on a view that shows the one before.
    """
    wanted = [
        *([Resume()] if notes.unsettled else []),
        *_judge(view, notes, options),
        *_take_turns(view, notes, options, address, now_s),
        *_train(view, notes, options),
        *_look_after(view, notes),
    ]
    actions: list[Action] = []
    sending = notes.sending
    for action in wanted:
        sends = isinstance(action, Transaction)
        if action.key in notes.busy:
            # What was under way when the node stopped goes first even while it rests.
            sending = sending or isinstance(action, Resume)
        elif not (sends and sending):
            actions.append(action)
            sending = sending or sends
    return tuple(actions)


def turn_order(name: str, window: int, address: str, nodes: int) -> int:
    """This node's place, 0 to nodes - 1, among those who could all do the same thing."""
    digest = hashlib.sha256(f"{name}:{window}:{address.lower()}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % max(1, nodes)


def open_turns(view: View) -> tuple[tuple[str, int], ...]:
    """What anyone may do now: (name, window); the node notes when it first saw each."""
    duties, judging = view.duties, view.judging.id
    turns = (
        (duties.can_seal, ("seal", view.open.id)),
        (duties.can_tally, ("tally", judging)),
        (duties.can_settle, ("settle", judging)),
        (duties.can_discard, ("discard", judging)),
    )
    return tuple(key for can, key in turns if can)


def reveal_by(view: View, reveal_period_s: int) -> int | None:
    """By when this participant has to reveal the scores it committed to, or it is slashed.

    In the chain's time; None if it owes nothing. While others may still commit, the earliest that
    it can come to: the last commitment ends the phase.
    """
    window, seat = view.judging, view.participant.seat
    if seat == NO_SEAT or not (window.committed & ~window.revealed) >> seat & 1:
        return None
    if window.phase == Phase.COMMIT:
        return view.block_time_s + reveal_period_s
    return window.deadline_s if window.phase == Phase.REVEAL else None


def _judge(view: View, notes: Notes, options: Options) -> list[Action]:
    if not options.validate:
        return []
    duties, window = view.duties, view.judging
    contents = (window.id, window.tag)
    actions: list[Action] = []
    if duties.can_wake:
        actions.append(Wake())
    if duties.can_take_seat:
        actions.append(TakeSeat())
    if duties.can_commit or duties.can_reveal:
        scored = notes.scored.get(contents)
        if scored is None:
            actions.append(Score(window.id, window.tag))
        elif duties.can_commit:
            actions.append(Commit(window.id, window.tag, scored, duties.commits_last))
        else:
            actions.append(Reveal(window.id, window.tag, scored, duties.reveals_last))
    elif duties.can_attest:
        recomputed = notes.recomputed.get(contents)
        if recomputed is None:
            actions.append(Recompute(window.id, window.tag))
        else:
            actions.append(Attest(window.id, window.tag, recomputed))
    return actions


def _take_turns(
    view: View, notes: Notes, options: Options, address: str, now_s: float
) -> list[Action]:
    kinds = {"seal": Seal, "tally": Tally, "settle": Settle, "discard": Discard}
    nodes = min(TURNS, max(view.head.seats.bit_count(), view.head.trainers))
    return [
        kinds[name](window)
        for name, window in open_turns(view)
        if now_s
        >= notes.seen_s.get((name, window), now_s)
        + options.slot_s * turn_order(name, window, address, nodes)
    ]


def _train(view: View, notes: Notes, options: Options) -> list[Action]:
    if not options.train:
        return []
    if notes.trained is not None:
        return [Submit(notes.trained)] if view.duties.can_submit else []
    return [Train(view.head.version)] if view.duties.can_submit else []


def _look_after(view: View, notes: Notes) -> list[Action]:
    ended = view.judging.id if view.judging.phase != Phase.NONE else view.head.open_window
    return [
        *(Offer(window, tag) for window, tag in notes.unoffered),
        *(Publish(update) for update in notes.unpublished),
        *(Resolve(update) for update in notes.unresolved if place_of(update)[0] < ended),
        *[Forget(w) for w in notes.pinned_windows if w + RING <= view.head.open_window][:1],
    ]
