"""Which cases are run, what is reported of them, and the bars they are held to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import fmean

from bafl.data import load
from bafl.devnet import Anvil
from benchmarks.judging.federation import Outcome, run
from benchmarks.judging.participants import Case
from tests.reference.on_chain import ChainTally

PROCESSES = 2
ATTACKS = (("flip", 2), ("flip", 3), ("flip", 4), ("none", 0), ("zero", 1), ("noise", 1))
POISON_REFUSED = 0.98
HONEST_REFUSED = 0.08
CLEAN_REFUSED = 0.02
ACCURACY_LOST = 0.01
IDLE_PAY = 0.1


@dataclass(frozen=True, slots=True)
class Row:
    """One run beside the honest alone. Counts of updates over all windows; accuracies 0..1.

    pay: mean per participant, in parts of one version's reward, over all windows.
    """

    attack: str
    attackers: int
    seed: int
    poisonSubmitted: int  # noqa: N815 - the keys of the published results
    poisonRefused: int  # noqa: N815
    honestSubmitted: int  # noqa: N815
    honestRefused: int  # noqa: N815
    accuracy: float
    accuracyHonestAlone: float  # noqa: N815
    payPerHonest: float  # noqa: N815
    payPerAttacker: float  # noqa: N815


@dataclass(frozen=True, slots=True)
class Extra:
    """What else is worth knowing of a run.

    spearman, pearson: mean correlation of honest and other validators with the rest's consensus.
    honest_paid: share of the honest updates. accuracy_equal_shares: without entropy weights.
    """

    spearman: tuple[float | None, float | None]
    pearson: tuple[float | None, float | None]
    honest_paid: float
    accuracy_equal_shares: float


def run_alone(case: Case) -> Outcome:
    """Run a case with the contract's tally on a chain of its own."""
    with Anvil(accounts=1) as anvil:
        return run(case, load(case.task), ChainTally(anvil))


def run_all(cases: Sequence[Case]) -> list[tuple[Row, Extra]]:
    """Run cases, each also without its attackers and with equal shares, in two processes."""
    runs = {
        variant: None
        for case in cases
        for variant in (
            case,
            dataclasses.replace(case, equal_shares=True),
            _honest_alone(case),
        )
    }
    with ProcessPoolExecutor(PROCESSES) as pool:
        outcomes = dict(zip(runs, pool.map(run_alone, runs), strict=True))
    return [
        (
            _row(case, outcomes[case], outcomes[_honest_alone(case)]),
            _extra(outcomes[case], outcomes[dataclasses.replace(case, equal_shares=True)]),
        )
        for case in cases
    ]


def bars(rows: Iterable[Row]) -> list[tuple[str, float, float, bool]]:
    """Hold each kind of attack, over all its seeds, to its bars: (what, seen, bar, met)."""
    found: list[tuple[str, float, float, bool]] = []
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.attack, row.attackers), []).append(row)
    for (attack, attackers), group in groups.items():
        name = f"{attackers} x {attack}" if attackers else attack
        honest = sum(r.honestRefused for r in group) / sum(r.honestSubmitted for r in group)
        if attack == "none":
            found.append((f"{name}: refused", honest, CLEAN_REFUSED, honest <= CLEAN_REFUSED))
        elif attack == "flip":
            refused = sum(r.poisonRefused for r in group) / sum(r.poisonSubmitted for r in group)
            lost = fmean(r.accuracyHonestAlone - r.accuracy for r in group)
            found += [
                (f"{name}: poison refused", refused, POISON_REFUSED, refused >= POISON_REFUSED),
                (f"{name}: honest refused", honest, HONEST_REFUSED, honest <= HONEST_REFUSED),
                (f"{name}: accuracy lost", lost, ACCURACY_LOST, lost <= ACCURACY_LOST),
            ]
        else:
            pay = fmean(r.payPerAttacker for r in group) / fmean(r.payPerHonest for r in group)
            found.append((f"{name}: pay beside an honest one's", pay, IDLE_PAY, pay <= IDLE_PAY))
    return found


def _honest_alone(case: Case) -> Case:
    """The same federation without its attackers; who they were only matters for the split."""
    if not case.attackers:
        return case
    return dataclasses.replace(case, attack="absent", honest_only=True)


def _row(case: Case, seen: Outcome, alone: Outcome) -> Row:
    honest = [pay for index, pay in seen.pay.items() if index >= case.attackers]
    attackers = [pay for index, pay in seen.pay.items() if index < case.attackers]
    return Row(
        attack=case.attack,
        attackers=case.attackers,
        seed=case.seed,
        poisonSubmitted=seen.poison_submitted,
        poisonRefused=seen.poison_refused,
        honestSubmitted=seen.honest_submitted,
        honestRefused=seen.honest_refused,
        accuracy=round(seen.accuracy, 4),
        accuracyHonestAlone=round(alone.accuracy, 4),
        payPerHonest=round(fmean(honest), 4),
        payPerAttacker=round(fmean(attackers), 4) if attackers else 0.0,
    )


def _extra(seen: Outcome, equal: Outcome) -> Extra:
    return Extra(
        spearman=_means(seen.agreements),
        pearson=_means(seen.pearsons),
        honest_paid=seen.honest_paid / seen.honest_submitted,
        accuracy_equal_shares=equal.accuracy,
    )


def _means(rhos: tuple[list[float], list[float]]) -> tuple[float | None, float | None]:
    honest, others = rhos
    return fmean(honest) if honest else None, fmean(others) if others else None
