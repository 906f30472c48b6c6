"""A small federation in one process: real training, the package's judging, the contract's tally.

Windows come one after another. Of P participants P - 1 fit into a window; the one left over comes
first in the next, with a base one version old. Nobody is jailed, so that an attacker goes on
through all windows: the harder case. What the tally does not decide (reputations, rewards) follows
the protocol's text, in plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from bafl.aggregate.exact import (
    clip_factors,
    norm_of,
    scaled,
    squared_norm,
    stepped,
    weighted_step,
)
from bafl.data import DataSet
from bafl.judge import Candidate, copies, rules, tiny
from benchmarks.judging.correlation import pearsons
from benchmarks.judging.participants import Case, Participant, Update, Vector, gather
from tests.reference.tally import NO_AGREEMENT, Input, Output, Verdict

PPM = 1_000_000
REJECT_BELOW_BPS = -600
CLIP_MEDIANS = 2
TRAINERS_PART, VALIDATORS_PART = 0.7, 0.3
CURVE_TAIL = 3

Tally = Callable[[Input], Output]


@dataclass(slots=True)
class Outcome:
    """What a run gave.

    accuracies: of the model after each window, 0..1. pay: by participant, in parts of the reward
    of one version. agreements, pearsons: rank correlations as the tally gives them, and Pearson's
    on scores clipped to 500 bps, of (honest, other) validators. windows: one line each.
    """

    poison_submitted: int = 0
    poison_refused: int = 0
    honest_submitted: int = 0
    honest_refused: int = 0
    honest_paid: int = 0
    accuracies: list[float] = field(default_factory=list)
    pay: dict[int, float] = field(default_factory=dict)
    agreements: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    pearsons: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    windows: list[str] = field(default_factory=list)

    @property
    def accuracy(self) -> float:
        """Mean over the last versions: a single one moves by points at this skew."""
        return float(np.mean(self.accuracies[-CURVE_TAIL:]))


def run(case: Case, data: DataSet, tally: Tally) -> Outcome:
    """Run a case to its end."""
    torch.set_num_threads(1)
    people = gather(case, data)
    foul = frozenset(p.index for p in people if p.attack is not None)
    outcome = Outcome(pay={p.index: 0.0 for p in people})
    rng = np.random.default_rng(case.seed)
    weights, version = people[0].genesis, 0
    waiting: dict[int, Update] = {}
    for window in range(1, case.windows + 1):
        first = list(waiting)
        for person in people:
            if person.index not in waiting:
                delta = person.train(weights, version)
                waiting[person.index] = Update(person.index, version, delta)
        others = rng.permutation([p.index for p in people if p.index not in first])
        order = [*first, *(int(i) for i in others)]
        updates = _louder([waiting.pop(i) for i in order[: len(people) - 1]], people)
        given = _judge(people, foul, window, weights, version, updates)
        result = tally(given)
        used = [i for i, v in enumerate(result.verdicts) if v >= Verdict.ACCEPTED]
        _count(outcome, updates, foul, result)
        for person, rho in zip(people, pearsons(given), strict=True):
            if rho is not None:
                outcome.pearsons[person.attack is not None].append(rho)
        _settle(outcome, people, updates, result, final=bool(used))
        if used:
            shares = [result.shares[i] for i in used]
            if case.equal_shares:
                shares = [int(PPM / len(used) / (1 + given.staleness[i]) ** 0.5) for i in used]
            weights = _aggregate(weights, [updates[i].delta for i in used], shares)
            version += 1
        outcome.accuracies.append(people[0].accuracy(weights))
    return outcome


def _judge(
    people: Sequence[Participant],
    foul: frozenset[int],
    window: int,
    weights: Vector,
    version: int,
    updates: Sequence[Update],
) -> Input:
    """Let everybody judge a window; return what the tally needs to decide."""
    candidates = _candidates(updates)
    authors = [u.author for u in updates]
    votes = [p.judge(window, weights, candidates, authors, foul) for p in people]
    seats = {p.index: seat for seat, p in enumerate(people)}
    powers = _powers(people)
    return Input(
        scores=tuple(v.scores for v in votes),
        weights=tuple(powers),
        keeps=tuple(v.keep for v in votes),
        seats=tuple(range(len(people))),
        active_weight=sum(powers),
        author_seat=tuple(seats[a] for a in authors),
        author_weight=tuple(powers[seats[a]] for a in authors),
        reputations=tuple(people[seats[a]].trainer_reputation_ppm for a in authors),
        samples=tuple(people[seats[a]].task.samples for a in authors),
        staleness=tuple(version - u.base for u in updates),
        trust_samples=False,
        reject_below=REJECT_BELOW_BPS,
    )


def _candidates(updates: Sequence[Update]) -> list[Candidate]:
    """What an honest validator finds: clipped updates, copies and idle ones coded."""
    squared = [squared_norm(u.delta) for u in updates]
    norms = [norm_of(s) for s in squared]
    median = sorted(norms)[(len(norms) - 1) // 2]
    copied = copies([str(u.author) for u in updates], len(updates), [[u.delta for u in updates]])
    coded = [tiny(norms[i], median) or i in copied for i in range(len(updates))]
    factors = iter(
        clip_factors([s for s, c in zip(squared, coded, strict=True) if not c], CLIP_MEDIANS)
    )
    return [
        Candidate(code=rules.UNAVAILABLE_OR_COPY)
        if code
        else Candidate(partial(scaled, u.delta, next(factors)))
        for u, code in zip(updates, coded, strict=True)
    ]


def _aggregate(weights: Vector, deltas: Sequence[Vector], shares_ppm: Sequence[int]) -> Vector:
    factors = clip_factors([squared_norm(d) for d in deltas], CLIP_MEDIANS)
    return stepped(weights, weighted_step(deltas, factors, shares_ppm, PPM))


def _louder(updates: Sequence[Update], people: Sequence[Participant]) -> list[Update]:
    """Give noise the median norm of the other updates in its window."""
    noisy = {p.index for p in people if p.attack == "noise"}
    norms = sorted(float(np.linalg.norm(u.delta)) for u in updates if u.author not in noisy)
    median = np.float32(norms[(len(norms) - 1) // 2])
    return [Update(u.author, u.base, u.delta * median) if u.author in noisy else u for u in updates]


def _count(
    outcome: Outcome, updates: Sequence[Update], foul: frozenset[int], result: Output
) -> None:
    line = []
    for update, verdict, score in zip(updates, result.verdicts, result.consensus, strict=True):
        refused = verdict < Verdict.ACCEPTED
        if update.author in foul:
            outcome.poison_submitted += 1
            outcome.poison_refused += refused
        else:
            outcome.honest_submitted += 1
            outcome.honest_refused += refused
            outcome.honest_paid += verdict == Verdict.PAID
        line.append(f"{'!' if update.author in foul else ''}{score}{'x' if refused else ''}")
    outcome.windows.append(f"{' '.join(line)} keep {result.keep}")


def _settle(
    outcome: Outcome,
    people: Sequence[Participant],
    updates: Sequence[Update],
    result: Output,
    *,
    final: bool,
) -> None:
    """Rewards first, by the weights of this window; then reputations."""
    by_index = {p.index: p for p in people}
    powers = _powers(people)
    for update, verdict, share in zip(updates, result.verdicts, result.shares, strict=True):
        author = by_index[update.author]
        if verdict == Verdict.PAID:
            outcome.pay[author.index] += TRAINERS_PART * share / PPM
            author.trainer_reputation_ppm += (PPM - author.trainer_reputation_ppm) // 20
        elif verdict < Verdict.ACCEPTED:
            author.trainer_reputation_ppm -= author.trainer_reputation_ppm // 5
    for seat, (person, rho) in enumerate(zip(people, result.agreement, strict=True)):
        exists = rho != NO_AGREEMENT
        missed = result.overruled >> seat & 1
        if missed:
            person.validator_reputation_ppm -= person.validator_reputation_ppm // 10
        elif exists:
            outcome.agreements[person.attack is not None].append(rho / PPM)
            person.validator_reputation_ppm += (
                (PPM + rho) // 2 - person.validator_reputation_ppm
            ) // 20
        if final and not missed:
            earned = max(rho, 0) / PPM if exists else 0.5
            outcome.pay[person.index] += VALIDATORS_PART * earned * powers[seat] / sum(powers)


def _powers(people: Sequence[Participant]) -> list[int]:
    """Voting weights: equal stakes times (1/2 + reputation / 2), in ppm."""
    return [(PPM + p.validator_reputation_ppm) // 2 for p in people]
