"""Why an update got what it got, in sentences; pure, from what the log says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bafl.judge.rules import DISQUALIFIED_BELOW, MALFORMED, UNAVAILABLE_OR_COPY
from bafl.types import (
    NO_CONSENSUS,
    Fault,
    Phase,
    Tallied,
    UpdateRecord,
    Verdict,
    VoidReason,
)
from bafl.units import ETHER, Currency, format_ppm, signed

if TYPE_CHECKING:
    from bafl.chain.history import History

VOID_REASONS: Final[Mapping[VoidReason, str]] = MappingProxyType(
    {
        VoidReason.TOO_FEW_UPDATES: "too few updates came within twice the waiting time",
        VoidReason.TOO_FEW_VALIDATORS: "too few validators were active at its turn",
        VoidReason.TOO_FEW_REVEALS: "less than two thirds of the voting weight revealed scores",
        VoidReason.NOT_TALLIED: "nobody tallied it in time",
        VoidReason.BARREN: "no update was accepted",
        VoidReason.NO_QUORUM: "no model was attested by two thirds of the voting weight",
    }
)
FAULTS: Final[Mapping[Fault, str]] = MappingProxyType(
    {
        Fault.COMMITTED_NOT_REVEALED: "committed to scores and did not reveal them",
        Fault.MALFORMED_UPDATE: "submitted an update whose bytes break the format",
        Fault.WRONG_ATTESTATION: "attested another model than the final one",
    }
)
WAITING: Final[Mapping[Phase, str]] = MappingProxyType(
    {
        Phase.NONE: "unknown: the chain knows no such window",
        Phase.OPEN: "waiting: its window is open for more updates",
        Phase.SEALED: "waiting: its window is sealed, an earlier one is being judged",
        Phase.COMMIT: "being judged: validators score it and commit to their scores",
        Phase.REVEAL: "being judged: validators reveal their scores",
        Phase.TALLY: "being judged: the scores are in, the tally is due",
        Phase.ATTEST: "being judged: validators attest the model it is part of",
    }
)


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of one update and its window.

    floor_bps: the federation's `reject_below`. tallied, void, version: of its window, as far as it
    is. base_version: W, what the window was applied to; None before its turn. reveals: scores by
    validator, one an update. reward_wei: credited for it; None before the settlement.
    """

    record: UpdateRecord
    floor_bps: int
    phase: Phase
    tallied: Tallied | None = None
    void: VoidReason | None = None
    version: int | None = None
    base_version: int | None = None
    reveals: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    reward_wei: int | None = None
    currency: Currency = ETHER


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of an update. verdict: a word for a table. why: a sentence of its own."""

    verdict: str
    why: str

    def __str__(self) -> str:
        return f"{self.verdict}: {self.why}"


def explain(case: Case) -> Explanation:
    """Say what became of an update, and why."""
    if case.tallied is None:
        if case.void is not None:
            return Explanation(
                "not judged",
                f"its window is void: {VOID_REASONS[case.void]}; nobody's standing fell",
            )
        state, _, reason = WAITING.get(case.phase, "waiting: it is not tallied yet").partition(": ")
        return Explanation(state, reason)
    index = case.record.index
    if index >= len(case.tallied.verdicts):
        return Explanation("unknown", "the log holds no verdict of it: sync again")
    verdict = case.tallied.verdicts[index]
    consensus = case.tallied.consensus_bps[index]
    match verdict:
        case Verdict.MALFORMED:
            return Explanation("malformed", _malformed(case))
        case Verdict.REJECTED if consensus == NO_CONSENSUS:
            return Explanation("rejected", _no_consensus(case))
        case Verdict.REJECTED if consensus < case.floor_bps:
            return Explanation("rejected", _below_floor(case, consensus))
        case Verdict.REJECTED:
            return Explanation("rejected", _beyond_keep(case, case.tallied))
        case Verdict.ACCEPTED:
            unpaid = (
                f"consensus {_bps(consensus)}: it added nothing for the median validator, "
                f"so it is not paid; {_use(case, case.tallied)}"
            )
            return Explanation("accepted", unpaid)
        case Verdict.PAID:
            return Explanation("paid", _paid(case, case.tallied, consensus))
    return Explanation("not judged", "its window was tallied without it")


def case_of(
    history: History,
    record: UpdateRecord,
    floor_bps: int,
    phase: Phase,
    currency: Currency = ETHER,
) -> Case:
    """Gather what the log says of an update. phase: of its window; see `phase_of`."""
    window = record.window
    turn, settled = history.turn(window), history.settled(window)
    reward = None
    if settled is not None and record.index < len(settled.trainers_wei):
        reward = settled.trainers_wei[record.index]
    return Case(
        record=record,
        floor_bps=floor_bps,
        phase=phase,
        tallied=history.tallied(window),
        void=history.voided(window),
        version=history.version_of(window),
        base_version=turn.base_version if turn else None,
        reveals={who: reveal.scores for who, reveal in history.reveals(window).items()},
        reward_wei=reward,
        currency=currency,
    )


def phase_of(history: History, window: int) -> Phase:
    """Return a window's phase as far as the log tells it; deadlines pass without a log."""
    if history.voided(window) is not None:
        return Phase.VOID
    if history.version_of(window) is not None and history.ended(window):
        return Phase.FINAL
    if history.tallied(window) is not None:
        return Phase.ATTEST
    if history.reveals(window):
        return Phase.REVEAL
    if history.turn(window) is not None:
        return Phase.COMMIT
    if history.sealed(window):
        return Phase.SEALED
    return Phase.OPEN if history.updates(window) else Phase.NONE


def rank_of(index: int, tallied: Tallied) -> int | None:
    """Rank of an update, from 1, among those of its window with a consensus; None without one."""
    scores = tallied.consensus_bps
    if not _real(scores[index]):
        return None
    order = sorted(
        (i for i, score in enumerate(scores) if _real(score)), key=lambda i: (-scores[i], i)
    )
    return order.index(index) + 1


def _malformed(case: Case) -> str:
    saw = sum(score == MALFORMED for score in _given(case))
    return (
        f"{saw} of {len(_given(case))} validators found that the bytes behind its CID break the "
        "format; that costs its author a part of the stake"
    )


def _no_consensus(case: Case) -> str:
    scores = _given(case)
    parts = [
        f"{count} {what}"
        for count, what in (
            (sum(map(_real, scores)), "scored it"),
            (scores.count(UNAVAILABLE_OR_COPY), "could not fetch it or took it for a copy"),
            (scores.count(MALFORMED), "found its bytes malformed"),
        )
        if count
    ]
    of = f"of {len(scores)} validators " if scores else "validators: "
    return (
        f"no consensus: {of}{', '.join(parts) or 'none scored it'}; real scores need more than "
        "half of the revealed weight"
    )


def _below_floor(case: Case, consensus: int) -> str:
    scores = _given(case)
    text = f"consensus {_bps(consensus)} is below the floor of {_bps(case.floor_bps)}"
    severe = sum(_real(score) and score < DISQUALIFIED_BELOW for score in scores)
    if severe:
        return (
            f"{text}; {severe} of {len(scores)} validators scored it below "
            f"{signed(DISQUALIFIED_BELOW)} (alone it doubles their loss)"
        )
    below = sum(_real(score) and score < case.floor_bps for score in scores)
    return f"{text}; {below} of {len(scores)} validators scored it below that"


def _beyond_keep(case: Case, tallied: Tallied) -> str:
    return (
        f"rank {rank_of(case.record.index, tallied)} by consensus "
        f"({_bps(tallied.consensus_bps[case.record.index])}), and the validators voted to keep "
        f"the best {tallied.keep} of {len(tallied.verdicts)}"
    )


def _paid(case: Case, tallied: Tallied, consensus: int) -> str:
    text = f"consensus {_bps(consensus)}, {_use(case, tallied)}"
    if case.reward_wei:
        text += f"; earned {case.currency.format(case.reward_wei)}"
    elif case.reward_wei == 0:
        text += "; the pool had nothing to pay"
    return text


def _use(case: Case, tallied: Tallied) -> str:
    """Where its share went, and what its staleness cost."""
    share = format_ppm(tallied.shares_ppm[case.record.index])
    if case.version is not None:
        text = f"used in version {case.version} with a share of {share}"
    elif case.void is not None:
        return f"but its window made no version: {VOID_REASONS[case.void]}"
    else:
        text = f"will be used with a share of {share}"
    if case.base_version is not None and case.base_version > case.record.base_version:
        late = case.base_version - case.record.base_version
        versions = "version" if late == 1 else "versions"
        text += f" (already times {(1 + late) ** -0.5:.2f}, for being {late} {versions} late)"
    return text


def _given(case: Case) -> list[int]:
    """All scores of the update but its author's own, which does not count."""
    index, author = case.record.index, case.record.participant.lower()
    others = [
        s[index] for who, s in case.reveals.items() if who.lower() != author and index < len(s)
    ]
    return others or [scores[index] for scores in case.reveals.values() if index < len(scores)]


def _real(score: int) -> bool:
    return score > MALFORMED


def _bps(score: int) -> str:
    return f"{'+' if score > 0 else ''}{signed(score)} bps"
