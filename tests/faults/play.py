"""A run of faults, and what must be true after each and at the end."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bafl.devnet import Kubo, wait_until
from bafl.store.base import open_store
from tests.faults.cast import COUNT, PATIENCE_S, Actor, Cast, cast
from tests.faults.kinds import KINDS, Kind

KILLS_A_ROUND = {"local": 12, "kubo": 5}
"""The others come once a round each; so many moments to die at are tried beside them."""

OTHERS_OVER_KUBO = 5
"""What a round over Kubo has beside the daemon's own faults; to the others it is all one."""

GROWTH = 2
"""Versions that must follow after the last fault."""

GROWTH_S = 300.0

_PREFIX = re.compile(r"^[\d-]+ [\d:,]+ \S+ (0x\w{40}: )?")
"""Of a node's line: time, logger and its own address."""


@dataclass
class Outcome:
    """What a run came to.

    faults: how many, by name. lines: what was done to whom, and what was said of it.
    voided: windows that made no version, by reason.
    """

    seed: int
    store: str
    faults: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list, repr=False)
    versions: int = 0
    windows: int = 0
    updates: int = 0
    voided: Counter[str] = field(default_factory=Counter)
    ahead_s: int = 0
    seconds: float = 0.0


def schedule(seed: int, count: int, *, kubo: bool) -> list[tuple[Kind, int, random.Random]]:
    """Fault by fault: its kind, whom it meets, and what it draws from."""
    draw = random.Random(seed)
    kills = _shuffled_for_ever(draw, [k for k in KINDS.values() if k.name.startswith("kill")])
    others = [k for k in KINDS.values() if not k.name.startswith("kill") and not k.needs_kubo]
    of_kubo = [k for k in KINDS.values() if k.needs_kubo]
    faults: list[tuple[Kind, int, random.Random]] = []
    while len(faults) < count:
        one_round = [*of_kubo, *draw.sample(others, OTHERS_OVER_KUBO)] if kubo else [*others]
        one_round += [next(kills) for _ in range(KILLS_A_ROUND["kubo" if kubo else "local"])]
        draw.shuffle(one_round)
        faults += [
            (kind, draw.randrange(COUNT), random.Random(draw.getrandbits(64))) for kind in one_round
        ]
    return faults[:count]


def play(
    seed: int,
    faults: Sequence[tuple[Kind, int, random.Random]],
    folder: Path,
    kubo: Kubo | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> Outcome:
    """Bring faults upon a federation, one after another.

    Raises AssertionError, NotReadyError or ProcessFailedError that names the fault; logs are in
    `folder`.
    """
    began = time.monotonic()
    keys = [hashlib.sha256(f"faults {seed} {index}".encode()).digest() for index in range(COUNT)]
    # The chain's clock is this machine's only by chance.
    ahead_s = random.Random(seed).choice([-5, 4, 11]) * 3600 + 7
    outcome = Outcome(seed, "kubo" if kubo else "local", ahead_s=ahead_s)
    with cast(folder, keys, ahead_s, kubo) as play:
        for number, (kind, index, draw) in enumerate(faults, start=1):
            actor = play.actors[index]
            line = f"{number:3} {kind.name} ({actor.name})"
            begun = time.monotonic()
            try:
                said = _meet(play, kind, actor, draw)
            except Exception as error:
                raise AssertionError(f"seed {seed}, fault {line}: {error}") from error
            outcome.faults[kind.name] += 1
            head, seconds = play.stage.federation.head(), time.monotonic() - begun
            outcome.lines.append(f"{line}: {said or 'nothing to notice'}")
            tell(f"{outcome.lines[-1]} (version {head.version}, after {seconds:.1f} s)")
            time.sleep(draw.uniform(0, 1.0))
        grown = play.stage.federation.head().version + GROWTH

        def there() -> bool:
            play.require_running()
            return play.stage.federation.head().version >= grown

        wait_until(there, f"version {grown}", seconds=GROWTH_S)
        play.actors[0].processes.stop()
        _judge(play, outcome)
    outcome.seconds = time.monotonic() - began
    return outcome


def _meet(play: Cast, kind: Kind, actor: Actor, draw: random.Random) -> str:
    since = [len(one.log.lines) for one in play.actors]
    kind.bring(play, actor, draw)

    def heard() -> str | None:
        if kind.says is None:
            return None
        whose = range(COUNT) if kind.to_all else [actor.index]
        lines = (play.actors[i].log.said(kind.says, since[i]) for i in whose)
        return next((line for line in lines if line), None)

    if kind.says is not None:
        wait_until(lambda: heard() is not None, f"a line like {kind.says!r}", seconds=PATIENCE_S)
    play.require_running()
    history = play.history.sync()
    assert not history.slashes, f"an honest node was slashed: {history.slashes}"
    return _PREFIX.sub("", heard() or "").replace(str(Path(play.stage.home).parent), "")


def _judge(play: Cast, outcome: Outcome) -> None:
    """Hold the promise against the chain's log, its money and the payloads."""
    federation, history = play.stage.federation, play.stage.history
    assert not history.slashes, f"an honest node was slashed: {history.slashes}"
    for window in history.windows:
        if history.settled(window):
            unrevealed = history.commitments(window).keys() - history.reveals(window).keys()
            assert not unrevealed, f"window {window}: committed and not revealed by {unrevealed}"
    stakes = 0
    for actor in play.actors:
        address = actor.account.address
        mine = history.updates_by(address)
        assert len({record.root for record in mine}) == len(mine), f"{actor.name} submitted twice"
        participant = federation.participant(address)
        assert participant.stake_wei == federation.parameters.min_stake_wei
        stakes += participant.stake_wei
    head = federation.head()
    assert head.stakes_wei == stakes
    balance = federation.connection.balance(federation.address)
    booked = head.pool_wei + head.stakes_wei + head.credits_wei + head.slashed_wei
    assert balance == booked, f"the contract holds {balance} wei and books {booked}"
    assert history.funded_wei + stakes == balance
    store = open_store(play.stage.store, "tests")
    for window in history.windows:
        if history.tallied(window):
            lost = [r.id for r in history.updates(window) if not store.has(r.root)]
            assert not lost or window + 8 <= head.open_window, f"payloads of {lost} are gone"
    report = play.stage.audit()
    assert report.ok, f"the audit found: {[v for v in report.versions if v.note]}"
    outcome.versions = len(history.versions) - 1
    outcome.windows = head.judging_window - 1
    outcome.updates = sum(len(history.updates(window)) for window in history.windows)
    reasons = (history.voided(window) for window in history.windows)
    outcome.voided = Counter(reason.name.lower() for reason in reasons if reason is not None)


def _shuffled_for_ever(draw: random.Random, kinds: list[Kind]) -> Iterator[Kind]:
    while True:
        yield from draw.sample(kinds, len(kinds))
