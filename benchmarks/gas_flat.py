"""Whether gas grows with a federation's age or size: `make gas-flat`, some minutes.

Two federations with commit-reveal live on a private Anvil, and each kind of transaction is measured
as in `benchmarks.gas` (but as the receipts have it, after refunds), with the same random numbers
before and after:

- `versions`: 16 trainers, 5 validators, windows of 16; around version 10 and around version 1,000;
- `participants`: windows of 4 with 10 registered participants, who go on as before once 10,000 are
  registered; and then with authors drawn from all of these (`anyOf10000`), where none shares a
  storage word with another, as the first five do. `join` is one more joining.

Writes benchmarks/results/gas-flat.json.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
from pathlib import Path
from typing import Final

from bafl.devnet import Anvil
from benchmarks.gas import ETHER, SIZE, TRAINER, Chain, Life

RESULTS: Final = Path(__file__).parent / "results" / "gas-flat.json"
# Thousands of blocks with their traces or states would take all memory there is.
OPTIONS: Final = ["--auto-impersonate", "--prune-history", "--transaction-block-keeper", "64"]
YOUNG, OLD = 10, 1_000  # versions
FEW, MANY = 10, 10_000  # participants
MEASURED: Final = 6  # windows each
BAR: Final = 1.01  # at most so much more

Figures = dict[str, int]


def measure(life: Life) -> Figures:
    """The median of each kind over the next windows, and all that an update costs."""
    life.random = random.Random(1)
    life.gas.clear()
    spent = [life.version() for _ in range(MEASURED)]
    figures = {kind: round(statistics.median(costs)) for kind, costs in sorted(life.gas.items())}
    return figures | {"perUpdateAllIn": round(statistics.mean(spent) / life.chain.size)}


def live_until(life: Life, version: int) -> None:
    """Make versions up to this one."""
    while life.chain.read("head")[0] < version:
        life.version()


def by_version() -> dict[str, Figures]:
    with Anvil(accounts=30, options=OPTIONS) as anvil:
        life = Life(Chain(anvil, SIZE + 1, 5, adds_refunds=False))
        live_until(life, YOUNG)
        young = measure(life)
        live_until(life, OLD)
        return {str(YOUNG): young, str(OLD): measure(life)}


def join(chain: Chain, number: int) -> int:
    """One more trainer; what that cost."""
    who = f"0x{number + 2**159:040x}"
    chain.anvil.rpc("anvil_setBalance", who, hex(1000 * ETHER))
    chain.trainers.append(who)
    return chain.send(who, "join", TRAINER, bytes(32), ETHER, value=ETHER)


def by_participants() -> dict[str, Figures]:
    with Anvil(accounts=30, options=OPTIONS) as anvil:
        chain = Chain(anvil, 5, 5, size=4, adds_refunds=False)
        life = Life(chain)
        live_until(life, YOUNG)
        first = list(chain.trainers)
        few = measure(life)
        few["join"] = statistics.median_low([join(chain, i) for i in range(9)])
        for i in range(9, MANY - FEW):
            join(chain, i)
        one_more = join(chain, MANY)
        everybody, chain.trainers = chain.trainers, first
        many = measure(life) | {"join": one_more}
        chain.trainers = random.Random(2).sample(everybody, 20)
        live_until(life, chain.read("head")[0] + 40)  # the first of one's updates costs more
        return {str(FEW): few, str(MANY): many, f"anyOf{MANY}": measure(life)}


def main() -> None:
    """Measure, print, write; exit with 1 where something has grown."""
    results = {"versions": by_version(), "participants": by_participants()}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    grown = []
    for what, columns in results.items():
        print(f"{what:>16}" + "".join(f"{name:>14}" for name in columns))
        (_, before), (_, after), *_ = columns.items()
        for kind in before:
            costs = [figures.get(kind) for figures in columns.values()]
            print(f"{kind:>16}" + "".join(f"{cost:>14,}" for cost in costs if cost))
            if after[kind] > BAR * before[kind]:
                grown.append(f"{kind} with {what}")
    if grown:
        sys.exit(f"benchmarks.gas_flat: grows: {', '.join(grown)}")


if __name__ == "__main__":
    main()
