"""Measure how updates are judged, with the package's scoring and the contract's tally.

python -m benchmarks.judging                         Fashion-MNIST, three seeds: some minutes
python -m benchmarks.judging --quick                 digits, one seed: seconds
python -m benchmarks.judging --only flip:4 --seeds 1
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bafl.errors import BaflError
from benchmarks.judging.measure import ATTACKS, Extra, Row, bars, run_all
from benchmarks.judging.participants import Case

RESULTS = Path(__file__).parent.parent / "results" / "judging.json"
QUICK: dict[str, Any] = {
    "task": "digits",
    "samples": 1438,
    "windows": 8,
    "epochs": 8,
    "batch_size": 16,
}


def main() -> int:
    """Run the cases that were asked for; 1 if a bar is missed."""
    asked = _arguments()
    cases = [
        Case(attack, attackers, seed, **(QUICK if asked.quick else {}))
        for attack, attackers in asked.only or ATTACKS
        for seed in range(1 if asked.quick else asked.seeds)
    ]
    console = Console()
    with console.status(f"{len(cases)} cases, each with and without its attackers"):
        measured = run_all(cases)
    console.print(_table(measured))
    rows = [row for row, _ in measured]
    if asked.out is not None or not (asked.quick or asked.only):
        target = asked.out or RESULTS
        target.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps([dataclasses.asdict(row) for row in rows], indent=1)
        target.write_text(text + "\n")
        console.print(f"written to {target}")
    missed = False
    for what, seen, bar, met in bars(rows):
        missed |= not met
        console.print(f"{'met   ' if met else 'MISSED'} {what} {seen:.3f} (bar {bar})")
    return 1 if missed and not asked.quick else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.judging",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="digits, one seed; writes no file")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0 (default 3)")
    parser.add_argument("--only", action="append", type=_attack, metavar="ATTACK:N", default=[])
    parser.add_argument("--out", type=Path, help="where the rows go (default: results, if all ran)")
    return parser.parse_args()


def _attack(text: str) -> tuple[str, int]:
    name, _, count = text.partition(":")
    known = {f"{attack}:{attackers}": (attack, attackers) for attack, attackers in ATTACKS}
    full = text if count else next((key for key in known if key.startswith(f"{name}:")), text)
    if full not in known:
        raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(known)}")
    return known[full]


def _table(measured: Sequence[tuple[Row, Extra]]) -> Table:
    table = Table(title="Judging: updates refused, accuracy, pay in parts of a version's reward")
    for name in ("attack", "seed", "poison refused", "honest refused", "honest paid"):
        table.add_column(name, justify="right")
    for name in ("accuracy", "honest alone", "equal shares", "pay honest", "pay attacker"):
        table.add_column(name, justify="right")
    for name in ("Spearman, honest / others", "Pearson"):
        table.add_column(name, justify="right")
    for row, extra in measured:
        table.add_row(
            f"{row.attackers} x {row.attack}" if row.attackers else row.attack,
            str(row.seed),
            f"{row.poisonRefused}/{row.poisonSubmitted}",
            f"{row.honestRefused}/{row.honestSubmitted}",
            f"{extra.honest_paid:.0%}",
            f"{row.accuracy:.3f}",
            f"{row.accuracyHonestAlone:.3f}",
            f"{extra.accuracy_equal_shares:.3f}",
            f"{row.payPerHonest:.3f}",
            f"{row.payPerAttacker:.3f}",
            _pair(extra.spearman),
            _pair(extra.pearson),
        )
    return table


def _pair(rhos: tuple[float | None, float | None]) -> str:
    return " / ".join(f"{rho:.2f}" for rho in rhos if rho is not None)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BaflError as error:
        print(f"judging: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
