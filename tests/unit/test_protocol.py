"""`decide` against a small world that obeys the contract's phases, with crashes anywhere."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bafl.journal import Journal
from bafl.protocol import (
    TURNS,
    Action,
    Attest,
    Commit,
    Discard,
    Forget,
    Notes,
    Offer,
    Options,
    Publish,
    Recompute,
    Recomputed,
    Resolve,
    Resume,
    Reveal,
    Score,
    Scored,
    Seal,
    Settle,
    Submit,
    Tally,
    Train,
    Trained,
    Wake,
    decide,
    open_turns,
    reveal_by,
    turn_order,
)
from bafl.types import NO_SEAT, RAW, Duties, Encoding, Phase, Root, UpdateRecord, View
from tests.unit.views import IDLE, view, window

ME = "0x" + "11" * 20
FEDERATION = "0x" + "22" * 20
GENERALLY = Options(slot_s=0)


SCORED = Scored((10, -20), 1)
RECOMPUTED = Recomputed(Root(bytes(32), RAW), 5)
TRAINED = Trained(0, Root(bytes(31) + b"\1", RAW), Encoding.INT8, 7)


def asked(
    seen: View, notes: Notes | None = None, options: Options = GENERALLY
) -> tuple[Action, ...]:
    return decide(seen, notes or Notes(), options, ME, 0.0)


@pytest.mark.parametrize(
    ("phase", "committed", "revealed", "seat", "deadline_s"),
    [
        (Phase.COMMIT, 0b100, 0, 2, 1001 + 60),
        (Phase.REVEAL, 0b101, 0b001, 2, 2000),
        (Phase.REVEAL, 0b101, 0b101, 2, None),
        (Phase.REVEAL, 0b001, 0, 2, None),
        (Phase.TALLY, 0b100, 0, 2, None),
        (Phase.COMMIT, 0b100, 0, NO_SEAT, None),
    ],
)
def test_what_is_committed_is_owed_until_its_deadline(
    phase: Phase, committed: int, revealed: int, seat: int, deadline_s: int | None
) -> None:
    judged = replace(window(3, phase), committed=committed, revealed=revealed, deadline_s=2000)
    seen = view(judging=judged)
    seated = replace(seen.participant, seat=seat)
    assert reveal_by(replace(seen, block_time_s=1001, participant=seated), 60) == deadline_s


def test_scores_before_it_commits_and_commits_what_it_scored() -> None:
    now = view(replace(IDLE, can_commit=True), window(3, Phase.COMMIT, tag=9, updates=2))
    assert asked(now) == (Score(3, 9),)
    assert asked(now, Notes(scored={(3, 9): SCORED})) == (Commit(3, 9, SCORED),)


def test_reveals_along_with_the_last_commitment() -> None:
    duties = replace(IDLE, can_commit=True, commits_last=True)
    now = view(duties, window(3, Phase.COMMIT, tag=9, updates=2))
    assert asked(now, Notes(scored={(3, 9): SCORED})) == (Commit(3, 9, SCORED, last=True),)


def test_scores_anew_when_a_reorg_changed_the_windows_contents() -> None:
    now = view(replace(IDLE, can_commit=True), window(3, Phase.COMMIT, tag=9, updates=2))
    assert asked(now, Notes(scored={(3, 8): SCORED})) == (Score(3, 9),)


def test_reveals_what_it_scored() -> None:
    now = view(replace(IDLE, can_reveal=True), window(3, Phase.REVEAL, tag=9, updates=2))
    assert asked(now, Notes(scored={(3, 9): SCORED})) == (Reveal(3, 9, SCORED),)


def test_tallies_along_with_the_last_reveal() -> None:
    duties = replace(IDLE, can_reveal=True, reveals_last=True)
    now = view(duties, window(3, Phase.REVEAL, tag=9, updates=2))
    assert asked(now, Notes(scored={(3, 9): SCORED})) == (Reveal(3, 9, SCORED, last=True),)


def test_attests_a_model_that_it_still_has_to_offer() -> None:
    now = view(replace(IDLE, can_attest=True), window(3, Phase.ATTEST, tag=9))
    notes = Notes(recomputed={(3, 9): RECOMPUTED}, unoffered=((3, 9),))
    assert asked(now, notes) == (Attest(3, 9, RECOMPUTED), Offer(3, 9))


def test_recomputes_before_it_attests() -> None:
    now = view(replace(IDLE, can_attest=True), window(3, Phase.ATTEST, tag=9))
    assert asked(now) == (Recompute(3, 9),)
    assert asked(now, Notes(recomputed={(3, 9): RECOMPUTED})) == (Attest(3, 9, RECOMPUTED),)


def test_a_trainer_only_does_not_judge() -> None:
    now = view(replace(IDLE, can_commit=True, can_wake=True), window(3, Phase.COMMIT, tag=9))
    assert asked(now, options=Options(validate=False)) == ()


def test_submits_what_is_trained_before_it_trains_again() -> None:
    now = view(replace(IDLE, can_submit=True), version=4)
    assert asked(now) == (Train(4),)
    assert asked(now, Notes(trained=TRAINED)) == (Submit(TRAINED),)


def test_keeps_a_trained_update_while_the_contract_takes_none() -> None:
    assert asked(view(version=4), Notes(trained=TRAINED)) == ()


def test_asks_for_nothing_that_is_under_way() -> None:
    now = view(replace(IDLE, can_submit=True))
    assert asked(now, Notes(busy=frozenset({("train", 0)}))) == ()


def test_looks_after_updates_whose_window_has_ended() -> None:
    now = view(judging=window(5, Phase.COMMIT), open_=window(6, Phase.OPEN))
    notes = Notes(unpublished=(97,), unresolved=(65, 81), pinned_windows=())
    assert asked(now, notes) == (Publish(97), Resolve(65))


def test_sends_one_transaction_at_a_time_the_most_urgent_first() -> None:
    duties = replace(IDLE, can_commit=True, can_seal=True, can_submit=True)
    now = view(duties, window(3, Phase.COMMIT, tag=9, updates=2))
    notes = Notes(trained=TRAINED, scored={(3, 9): SCORED}, unpublished=(97,))
    assert asked(now, notes) == (Commit(3, 9, SCORED), Publish(97))
    assert asked(now, replace(notes, sending=True)) == (Publish(97),)
    resting = replace(notes, busy=frozenset({("commit", 3)}))
    assert asked(now, resting) == (Seal(1), Publish(97))


def test_ends_what_was_under_way_before_it_sends_anything_else() -> None:
    now = view(replace(IDLE, can_submit=True))
    notes = Notes(trained=TRAINED, unpublished=(97,), unsettled=True)
    assert asked(now, notes) == (Resume(), Publish(97))
    assert asked(now, replace(notes, sending=True)) == (Publish(97),)
    assert asked(now, replace(notes, busy=frozenset({("resume", 0)}))) == (Publish(97),)


def test_forgets_one_window_at_a_time() -> None:
    now = view(open_=window(20, Phase.OPEN), judging=window(20, Phase.OPEN))
    assert asked(now, Notes(pinned_windows=(1, 2, 12, 13))) == (Forget(1),)


def test_a_turn_comes_soon_even_where_thousands_are_registered() -> None:
    now = view(replace(IDLE, can_tally=True), window(3, Phase.TALLY))
    crowd = replace(now, head=replace(now.head, trainers=50_000))
    notes = Notes(seen_s={("tally", 3): 0.0})
    assert decide(crowd, notes, Options(slot_s=2.0), ME, 2.0 * TURNS) == (Tally(3),)


@given(st.integers(1, 10_000), st.integers(1, 64))
def test_nodes_take_turns_within_their_number(id_: int, nodes: int) -> None:
    assert 0 <= turn_order("seal", id_, ME, nodes) < nodes


def test_waits_for_its_turn_and_then_acts() -> None:
    now = view(replace(IDLE, can_settle=True), window(3, Phase.ATTEST))
    place = turn_order("settle", 3, ME, 4)
    notes = Notes(seen_s={("settle", 3): 100.0})
    options = Options(slot_s=2.0)
    assert open_turns(now) == (("settle", 3),)
    assert decide(now, notes, options, ME, 100.0 + 2.0 * place) == (Settle(3),)
    if place:
        assert decide(now, notes, options, ME, 99.9 + 2.0 * place) == ()


@pytest.mark.parametrize(
    ("duties", "action"),
    [
        (replace(IDLE, can_seal=True), Seal(1)),
        (replace(IDLE, can_tally=True), Tally(1)),
        (replace(IDLE, can_discard=True), Discard(1)),
    ],
)
def test_takes_its_turn_at_what_anyone_may_do(duties: Duties, action: Action) -> None:
    assert asked(view(duties)) == (action,)


@dataclass
class World:
    """What the contract would hold about one participant; the rules `decide` must not break."""

    version: int = 0
    window: int = 1
    phase: Phase = Phase.OPEN
    tag: int = 1
    submitted: dict[int, Root] = field(default_factory=dict)  # by window
    bases: list[int] = field(default_factory=list)
    commitments: dict[tuple[int, int], Scored] = field(default_factory=dict)
    reveals: dict[tuple[int, int], Scored] = field(default_factory=dict)
    attested: dict[tuple[int, int], Recomputed] = field(default_factory=dict)

    def view(self) -> View:
        contents = (self.window, self.tag)
        judging = window(self.window, self.phase, self.tag, 1)
        may_submit = self.phase is Phase.OPEN and self.window not in self.submitted
        duties = replace(
            IDLE,
            can_submit=may_submit and self.version not in self.bases,
            can_seal=self.phase is Phase.OPEN and self.window in self.submitted,
            can_commit=self.phase is Phase.COMMIT and contents not in self.commitments,
            can_reveal=self.phase is Phase.REVEAL
            and contents in self.commitments
            and contents not in self.reveals,
            can_attest=self.phase is Phase.ATTEST and contents not in self.attested,
            can_settle=self.phase is Phase.ATTEST and contents in self.attested,
        )
        return view(duties, judging, judging, self.version)

    def records(self) -> list[UpdateRecord]:
        return [
            UpdateRecord(w * 16, ME, 0, root, Encoding.INT8, 7, 1)
            for w, root in self.submitted.items()
        ]


class CrashingNode(RuleBasedStateMachine):
    """A node that may die before or after every effect; the journal is real, the world is small."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = World()
        self.serial = 0
        self.start()

    def start(self) -> None:
        self.journal = Journal(Path(self.folder.name) / "journal.sqlite", 1, FEDERATION, ME)

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()

    @rule(at=st.integers(0, 3), crash_before=st.booleans(), crash_after=st.booleans())
    def look_and_act(self, at: int, crash_before: bool, crash_after: bool) -> None:
        seen = self.world.view()
        self.journal.reconcile(self.world.records())
        notes = self.journal.notes(seen.judging.id, 9, {}, frozenset())
        actions = decide(seen, notes, GENERALLY, ME, 0.0)
        if not actions:
            return
        action = actions[at % len(actions)]
        if not crash_before:
            self.perform(action, crash_after)
        if crash_before or crash_after:
            self.journal.close()
            self.start()

    def perform(self, action: Action, crash_after: bool) -> None:
        world, journal = self.world, self.journal
        match action:
            case Train(version):
                self.serial += 1
                root = Root(self.serial.to_bytes(32, "big"), RAW)
                journal.train(Trained(version, root, Encoding.INT8, 7), f"{self.serial}.npy")
            case Submit(trained):
                assert world.window not in world.submitted, "submitted twice in one window"
                assert trained.root not in world.submitted.values(), "one update submitted twice"
                world.submitted[world.window] = trained.root
                world.bases.append(trained.base_version)
            case Publish(update):
                assert update // 16 in world.submitted, "published before it was on the chain"
                if not crash_after:
                    journal.published(update)
            case Resolve(update):
                journal.resolved(update, used=True)
            case Score(window_, tag):
                self.serial += 1
                journal.score(window_, tag, Scored((self.serial % 100,), 1))
            case Commit(window_, tag, scored):
                assert (window_, tag) not in world.commitments, "committed twice"
                world.commitments[window_, tag] = scored
            case Reveal(window_, tag, scored):
                assert world.commitments[window_, tag] == scored, "revealed other scores"
                world.reveals[window_, tag] = scored
            case Recompute(window_, tag):
                journal.recompute(window_, tag, RECOMPUTED)
            case Offer(window_, tag):
                if not crash_after:
                    journal.offered(window_, tag)
            case Attest(window_, tag, recomputed):
                assert (window_, tag) not in world.attested, "attested twice"
                world.attested[window_, tag] = recomputed
            case Seal(_):
                world.phase = Phase.COMMIT
            case Settle(_):
                world.version += 1
                world.window += 1
                world.tag += 1
                world.phase = Phase.OPEN
            case Wake():
                pass
            case other:
                pytest.fail(f"not asked for by this world: {other}")

    @precondition(lambda self: self.world.phase in (Phase.COMMIT, Phase.REVEAL))
    @rule()
    def others_finish_the_phase(self) -> None:
        mine = (self.world.window, self.world.tag)
        if self.world.phase is Phase.COMMIT:
            if mine in self.world.commitments:
                self.world.phase = Phase.REVEAL
        elif mine in self.world.reveals:
            self.world.phase = Phase.ATTEST

    @precondition(lambda self: self.world.phase is Phase.COMMIT)
    @rule()
    def a_reorg_changes_the_windows_contents(self) -> None:
        self.world.tag += 100

    @precondition(lambda self: self.world.phase is Phase.OPEN)
    @rule()
    def a_reorg_undoes_the_submission(self) -> None:
        if self.world.submitted.pop(self.world.window, None) is not None:
            self.world.bases.pop()

    @invariant()
    def nothing_revealed_differs_from_what_was_committed(self) -> None:
        for contents, scored in self.world.reveals.items():
            assert self.world.commitments[contents] == scored

    @invariant()
    def there_is_always_something_to_do_or_to_wait_for(self) -> None:
        seen = self.world.view()
        self.journal.reconcile(self.world.records())
        notes = self.journal.notes(seen.judging.id, 9, {}, frozenset())
        waits = (self.world.phase, (self.world.window, self.world.tag))
        acted = {**self.world.commitments, **self.world.reveals}
        assert decide(seen, notes, GENERALLY, ME, 0.0) or waits[1] in acted


TestCrashingNode = CrashingNode.TestCase
TestCrashingNode.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
