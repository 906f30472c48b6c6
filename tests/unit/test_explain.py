"""Every way an update can go is told in a sentence that names the numbers it depends on."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bafl.explain import FAULTS, VOID_REASONS, WAITING, Case, explain, rank_of
from bafl.types import (
    NO_CONSENSUS,
    Encoding,
    Fault,
    Phase,
    Root,
    Tallied,
    UpdateRecord,
    Verdict,
    VoidReason,
)
from tests.reference import tally as reference

AUTHOR = "0x" + "aA" * 20
RECORD = UpdateRecord(
    id=7 * 16 + 1,
    participant=AUTHOR,
    base_version=3,
    root=Root(b"\1" * 32, 0x55),
    encoding=Encoding.INT8,
    samples=100,
    block=50,
)


def tallied(consensus: int, verdict: Verdict, keep: int = 3, share: int = 250_000) -> Tallied:
    """A window of three whose second update is the one looked at."""
    return Tallied(
        window=7,
        keep=keep,
        consensus_bps=(40, consensus, 20),
        verdicts=(Verdict.PAID, verdict, Verdict.PAID),
        shares_ppm=(300_000, share, 300_000),
        agreement_ppm=(900_000,),
        overruled=0,
    )


def case(consensus: int, verdict: Verdict, *given: int, keep: int = 3) -> Case:
    """`given`: what each other validator gave the update; its author gave it the best score."""
    reveals = {f"0x{i:040x}": (0, score, 0) for i, score in enumerate(given)}
    return Case(
        record=RECORD,
        floor_bps=-600,
        phase=Phase.FINAL,
        tallied=tallied(consensus, verdict, keep),
        version=5,
        base_version=4,
        reveals={**reveals, AUTHOR.lower(): (0, 9_990, 0)},
        reward_wei=10**16,
    )


def minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def test_a_poisoned_update_is_below_the_floor_and_who_saw_it_is_told() -> None:
    said = explain(case(-7210, Verdict.REJECTED, -7210, -8000, -9000, -6000, 500))
    assert str(said) == minus(
        "rejected: consensus -7,210 bps is below the floor of -600 bps; "
        "4 of 5 validators scored it below -3,330 (alone it doubles their loss)"
    )


def test_a_slightly_harmful_update_is_below_the_floor_without_that() -> None:
    said = explain(case(-700, Verdict.REJECTED, -700, -800, 10))
    assert "2 of 3 validators scored it below that" in said.why
    assert "doubles" not in said.why


def test_beyond_the_keep_vote_names_rank_and_vote() -> None:
    said = explain(case(-10, Verdict.REJECTED, -10, keep=2))
    assert said.verdict == "rejected"
    assert "rank 3 by consensus" in said.why
    assert "keep the best 2 of 3" in said.why


def test_no_consensus_counts_what_validators_said() -> None:
    said = explain(case(NO_CONSENSUS, Verdict.REJECTED, -32768, -32768, -32767, 5))
    assert "of 4 validators 1 scored it, 2 could not fetch it or took it for a copy" in said.why
    assert "1 found its bytes malformed" in said.why


def test_malformed_counts_validators_without_the_author() -> None:
    said = explain(case(-32767, Verdict.MALFORMED, -32767, -32767, -32767))
    assert said.verdict == "malformed"
    assert "3 of 3 validators" in said.why


def test_accepted_without_pay_says_that_it_added_nothing() -> None:
    said = explain(case(0, Verdict.ACCEPTED, 0, 0, 0))
    assert said.verdict == "accepted"
    assert "consensus 0 bps: it added nothing" in said.why
    assert "used in version 5" in said.why


def test_paid_names_share_staleness_and_money() -> None:
    said = explain(case(120, Verdict.PAID, 120, 110, 130))
    assert str(said) == (
        "paid: consensus +120 bps, used in version 5 with a share of 25.0 % "
        "(already times 0.71, for being 1 version late); earned 0.01 ether"
    )


def test_paid_of_a_window_that_made_no_version_is_told_so() -> None:
    lost = dataclasses.replace(
        case(120, Verdict.PAID, 120), version=None, void=VoidReason.NO_QUORUM, reward_wei=None
    )
    assert "made no version: no model was attested" in explain(lost).why


def test_an_empty_pool_is_told_so() -> None:
    poor = dataclasses.replace(case(120, Verdict.PAID, 120), reward_wei=0)
    assert "the pool had nothing to pay" in explain(poor).why


@pytest.mark.parametrize("phase", [p for p in Phase if p not in (Phase.FINAL, Phase.VOID)])
def test_every_phase_before_the_verdict_has_words(phase: Phase) -> None:
    said = explain(Case(record=RECORD, floor_bps=-600, phase=phase))
    assert said.verdict
    assert said.why


@pytest.mark.parametrize("reason", list(VoidReason))
def test_every_reason_for_a_void_window_has_words(reason: VoidReason) -> None:
    said = explain(Case(record=RECORD, floor_bps=-600, phase=Phase.VOID, void=reason))
    assert said.verdict == "not judged"
    assert VOID_REASONS[reason] in said.why


def test_every_fault_has_words() -> None:
    assert set(FAULTS) == set(Fault)
    assert all(FAULTS.values())
    assert set(WAITING) | {Phase.FINAL, Phase.VOID} == set(Phase)


scores = st.one_of(
    st.integers(-10_000, 9_990), st.just(reference.UNAVAILABLE), st.just(reference.MALFORMED)
)


@given(st.data(), st.integers(1, 6), st.integers(1, 5))
def test_what_is_told_fits_what_the_tally_decided(data: st.DataObject, n: int, m: int) -> None:
    """Whatever a tally may decide, the sentence names the reason that decided it."""
    row = st.tuples(*[scores] * n)
    window = reference.Input(
        scores=data.draw(st.tuples(*[row] * m)),
        weights=(10,) * m,
        keeps=data.draw(st.tuples(*[st.integers(0, n)] * m)),
        seats=tuple(range(m)),
        active_weight=10 * m,
        author_seat=(255,) * n,
        author_weight=(0,) * n,
        reputations=(300_000,) * n,
        samples=(10,) * n,
        staleness=(0,) * n,
        trust_samples=False,
        reject_below=-600,
    )
    out = reference.tally(window)
    said = Tallied(
        window=7,
        keep=out.keep,
        consensus_bps=out.consensus,
        verdicts=tuple(Verdict(v) for v in out.verdicts),
        shares_ppm=out.shares,
        agreement_ppm=(),
        overruled=out.overruled,
    )
    for index in range(n):
        record = dataclasses.replace(RECORD, id=7 * 16 + index)
        reveals = {f"0x{seat:040x}": row for seat, row in enumerate(window.scores)}
        told = explain(
            Case(record, -600, Phase.FINAL, said, version=5, base_version=3, reveals=reveals)
        )
        rank = rank_of(index, said)
        match told.verdict:
            case "rejected" if "no consensus" in told.why:
                assert rank is None
            case "rejected" if "below the floor" in told.why:
                assert out.consensus[index] < -600
            case "rejected":
                assert rank is not None
                assert rank > out.keep
            case "malformed":
                assert out.verdicts[index] == reference.Verdict.MALFORMED
            case "accepted" | "paid":
                assert rank is not None
                assert rank <= out.keep
                assert (out.consensus[index] > 0) == (told.verdict == "paid")
            case other:
                pytest.fail(other)
