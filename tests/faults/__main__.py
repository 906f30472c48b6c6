"""A hundred faults: `python -m tests.faults --seed 1 --faults 100`.

Writes benchmarks/results/faults.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import nullcontext
from pathlib import Path

from bafl.devnet import Kubo
from tests.faults.play import Outcome, play, schedule

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "faults.json"
SHARE_OF_KUBO = 4
"""One fault of so many meets a federation over Kubo."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--store", choices=("both", "local", "kubo"), default="both")
    parser.add_argument("--logs", type=Path, help="folder for the logs; a new temporary one")
    parser.add_argument("--only", help="only faults with this in their name")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    logs = given.logs or Path(tempfile.mkdtemp(prefix="bafl-faults-"))
    print(f"logs in {logs}")
    of_kubo = {"local": 0, "kubo": given.faults}.get(given.store, given.faults // SHARE_OF_KUBO)
    outcomes: list[Outcome] = []
    for name, count in (("local", given.faults - of_kubo), ("kubo", of_kubo)):
        if count:
            folder = logs / name
            folder.mkdir(parents=True)
            with Kubo(folder / "repo") if name == "kubo" else nullcontext() as kubo:
                faults = schedule(given.seed, 9999 if given.only else count, kubo=name == "kubo")
                if given.only:
                    faults = [fault for fault in faults if given.only in fault[0].name][:count]
                outcomes.append(
                    play(given.seed, faults, folder, kubo, lambda t: print(t, flush=True))
                )
            print(outcomes[-1], flush=True)
    if not given.only:
        rows = [vars(outcome) for outcome in outcomes]
        given.out.write_text(json.dumps({"runs": rows}, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
