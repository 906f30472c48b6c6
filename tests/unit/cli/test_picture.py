"""What `status` and `watch` show follows from the log."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bafl.chain.history import History
from bafl.chain.logs import Event
from bafl.chain.records import Member
from bafl.cli.names import AT_ONCE, MAX_NAME, Names
from bafl.cli.picture import curve, person, recent
from bafl.cli.verbs.watch import SPARKS, spark
from bafl.explain import case_of, explain, phase_of
from bafl.store.local import LocalStore
from bafl.strictjson import dump
from bafl.types import Phase, Role, Root

A, B, C = ("0x" + digit * 40 for digit in "123")
GENESIS = Root(b"\1" * 32, 0x55)
MODEL = b"\2" * 32
CREATED = ("FederationCreated", {"owner": A, "manifest": bytes(32), "model": GENESIS.digest})


def scores(*values: int) -> bytes:
    return b"".join(v.to_bytes(2, "big", signed=True) for v in values).ljust(32, b"\0")


def story() -> list[tuple[str, dict[str, Any]]]:
    """Three join; window 1 gets two updates; A's is paid, B's is below the floor; version 1."""
    joined = [
        ("Joined", {"participant": who, "roles": 3, "stake": 10**17, "profile": bytes(32)})
        for who in (A, B, C)
    ]
    seated = [
        ("SeatTaken", {"participant": who, "seat": seat}) for seat, who in enumerate((A, B, C))
    ]
    submitted = [
        (
            "UpdateSubmitted",
            {
                "updateId": 16 + index,
                "participant": who,
                "baseVersion": 0,
                "rootDigest": bytes([index + 5]) * 32,
                "rootCodec": 0x55,
                "encoding": 1,
                "samples": 10,
            },
        )
        for index, who in enumerate((A, B))
    ]
    turn = {
        "window": 1,
        "baseVersion": 0,
        "tag": 7,
        "active": 0b111,
        "weights": (10, 10, 30),
    }
    revealed = [
        ("ScoresRevealed", {"window": 1, "validator": who, "scores": scores(*given), "keep": 1})
        for who, given in ((A, (20, -7000)), (B, (10, 20)), (C, (30, -6500)))
    ]
    tallied = {
        "window": 1,
        "keep": 1,
        "consensus": scores(30, -6500),
        "verdicts": scores(4, 1),
        "shares": (1_000_000).to_bytes(3, "big") + bytes(3),
        "agreement": (0, 0, 0),
        "overruled": 0,
    }
    attested = [
        (
            "ModelAttested",
            {"window": 1, "validator": who, "rootDigest": digest, "metric": metric},
        )
        for who, digest, metric in ((A, MODEL, 500_000), (B, b"\x09" * 32, 0), (C, MODEL, 900_000))
    ]
    return [
        CREATED,
        *joined,
        *seated,
        *submitted,
        ("WindowSealed", {"window": 1, "updates": 2}),
        ("TurnBegan", turn),
        *revealed,
        ("WindowTallied", tallied),
        *attested,
        ("VersionFinalized", {"version": 1, "window": 1, "rootDigest": MODEL}),
    ]


def told(until: str = "VersionFinalized") -> History:
    """The history up to and including the last event of that name."""
    events = story()
    last = max(i for i, (name, _) in enumerate(events) if name == until)
    history = History(GENESIS)
    for block, (name, arguments) in enumerate(events[: last + 1]):
        history.apply(Event(name, arguments, block, 0, bytes(32)))
    return history


def test_the_curve_is_the_weighted_median_of_who_attested_the_final_model() -> None:
    (point,) = curve(told())
    assert (point.version, point.window, point.metric) == (1, 1, 0.9)


def test_a_participants_row_counts_its_updates_by_what_became_of_them() -> None:
    history = told()
    first, second, third = (person(history, who) for who in (A, B, C))
    assert (first.submitted, first.used, first.refused) == (1, 1, 0)
    assert (second.submitted, second.used, second.refused) == (1, 0, 1)
    assert (third.submitted, third.used, third.refused) == (0, 0, 0)
    assert first.stake_wei == 10**17
    assert first.roles == Role.TRAINER | Role.VALIDATOR


@pytest.mark.parametrize(
    ("until", "phase", "verdict"),
    [
        ("UpdateSubmitted", Phase.OPEN, "waiting"),
        ("WindowSealed", Phase.SEALED, "waiting"),
        ("TurnBegan", Phase.COMMIT, "being judged"),
        ("ScoresRevealed", Phase.REVEAL, "being judged"),
        ("WindowTallied", Phase.ATTEST, "rejected"),
    ],
)
def test_an_update_is_explained_at_every_stage(until: str, phase: Phase, verdict: str) -> None:
    history = told(until)
    (_, record) = history.updates(1)
    assert phase_of(history, 1) == phase
    assert explain(case_of(history, record, -600, phase)).verdict == verdict


def test_the_explanation_leaves_the_authors_own_score_out() -> None:
    history = told()
    (_, record) = history.updates(1)
    said = explain(case_of(history, record, -600, Phase.FINAL))
    assert "2 of 2 validators scored it below" in said.why


def test_recent_verdicts_are_newest_first_and_only_verdicts() -> None:
    assert [record.id for record in recent(told(), 5)] == [17, 16]
    assert recent(told("TurnBegan"), 5) == []
    assert [record.id for record in recent(told(), 1)] == [17]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_a_spark_has_a_mark_a_value_in_order(values: list[float]) -> None:
    drawn = spark(values)
    assert len(drawn) == len(values)
    marks = [SPARKS.index(mark) for mark in drawn]
    for (a, x), (b, y) in itertools.pairwise(zip(values, marks, strict=True)):
        assert math.copysign(1, b - a) * (y - x) >= 0 or a == b


def test_names_come_from_profiles_and_never_fail(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")

    def profile(data: bytes) -> bytes:
        path = tmp_path / "profile"
        path.write_bytes(data)
        return store.put(path).digest

    given = {
        A: profile(dump({"format": 1, "name": "Clinic \x1b[2J" + "x" * 90})),
        B: profile(b"not JSON"),
        C: b"\7" * 32,
    }
    history = History(GENESIS)
    history.apply(Event(*CREATED, 0, 0, bytes(32)))
    for who, digest in given.items():
        arguments = {"participant": who, "roles": 3, "stake": 1, "profile": digest}
        history.apply(Event("Joined", arguments, 1, 0, bytes(32)))
    names = Names(store).of(history.participants)
    assert set(names) == {A}
    assert names[A].startswith("Clinic ")
    assert "\x1b" not in names[A]
    assert len(names[A]) == MAX_NAME
    assert Names(None).of(history.participants) == {}


def test_profiles_that_nobody_has_hold_a_look_up_for_a_moment_only(tmp_path: Path) -> None:
    now = [0.0]
    asked: list[Root] = []

    class Slow(LocalStore):
        def fetch(self, root: Root, into: Path, limit: int, timeout_s: float) -> None:
            asked.append(root)
            if not self.has(root):
                now[0] += timeout_s
            super().fetch(root, into, limit, timeout_s)

    store, file = Slow(tmp_path / "store"), tmp_path / "profile"
    file.write_bytes(dump({"name": "Clinic"}))
    profiles = [number.to_bytes(32, "big") for number in range(1, 301)] + [store.put(file).digest]
    members = {
        f"0x{number:040x}": Member("", Role.TRAINER, 1, profile, 1)
        for number, profile in enumerate(profiles)
    }
    names = Names(store, lambda: now[0])
    names.of(members)
    assert 0 < len(asked) <= 2 * AT_ONCE
    looks = 1
    while len(asked) < len(profiles):
        names.of(members)
        looks += 1
        assert looks <= len(profiles)
    assert len(set(asked)) == len(asked)
    assert list(names.of(members).values()) == ["Clinic"]
