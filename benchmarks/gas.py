"""What a federation's transactions cost: `python -m benchmarks.gas` (`make gas`).

A federation of 16 trainers and 5 validators with windows of 16 updates and commit-reveal lives on
a private Anvil until its ring has wrapped and everybody has been paid; then whole windows are
measured from the receipts of real transactions, refunds not counted. Writes
benchmarks/results/gas.json:

- `submit`, `commit`, `reveal`, `attest`: the median transaction of its kind;
- `commitAndReveal`, `revealAndTally`: the last commitment with its reveal, and the last reveal with
  the tally, in the same transaction, as nodes send them;
- `tally`: the tally on its own, as it comes where a validator does not reveal;
- `settle`: the attestation that completes the set, which also settles the window;
- `settleAlone`: `settle` called after the deadline, where one validator did not attest;
- `seal`: the submission that fills a window and begins its turn;
- `finalize`: the attestation that reaches the quorum, which writes the new version;
- `perUpdateAllIn`: all transactions of a version, divided by its updates;
- `runtimeBytes`, `tallyWorst`: the contract's size; the last reveal and the tally of 16 updates by
  32 validators.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
from collections import defaultdict
from importlib import resources
from pathlib import Path
from typing import Any, Final

from eth_utils.crypto import keccak

from bafl.chain.abi import artifact, interface
from bafl.chain.calls import commitment, pack_scores
from bafl.devnet import Anvil
from bafl.types import RAW

RESULTS: Final = Path(__file__).parent / "results" / "gas.json"
ETHER: Final = 10**18
TRAINER, VALIDATOR = 1, 2
SIZE: Final = 16  # updates a window
WARM_UP: Final = 70  # windows; the ring has 8, and 64 versions
MEASURED: Final = 16
BARS: Final = {"submit": 45_000, "perUpdateAllIn": 100_000, "tallyWorst": 3_000_000}
LENGTHS: Final = {"commit": 600, "reveal": 600, "attest": 600}  # of the phases, s
GAS_LIMIT: Final = 15_000_000  # below the cap of a transaction on Ethereum


class Chain:
    """A federation on its own chain, and the receipts of what is done to it.

    size: updates a window. adds_refunds: whether `send` traces what the receipt has less.
    """

    def __init__(
        self,
        anvil: Anvil,
        trainers: int,
        validators: int,
        size: int = SIZE,
        adds_refunds: bool = True,
    ) -> None:
        self.anvil = anvil
        self.size = size
        self.adds_refunds = adds_refunds
        people = [account.address for account in anvil.accounts]
        self.owner, self.people = people[0], people[1:]
        self.trainers = self.people[:trainers]
        self.validators = self.people[trainers : trainers + validators]
        self.abi = interface("Federation")
        names = ("Members", "Judging")
        libraries = {name: self._create(artifact(name).initcode({})) for name in names}
        lens = self._create(artifact("FederationLens").initcode({}))
        genesis = (keccak(text="manifest"), keccak(text="genesis"), RAW)
        initcode = artifact("Federation").initcode(
            libraries, self.owner, lens, genesis, self._parameters()
        )
        self.address = self._create(initcode)
        self.send(self.owner, "fund", 1000 * ETHER, value=1000 * ETHER)
        for who in self.trainers:
            self.send(who, "join", TRAINER, bytes(32), ETHER, value=ETHER)
        for who in self.validators:
            self.send(who, "join", VALIDATOR, bytes(32), ETHER, value=ETHER)

    def _parameters(self) -> tuple[Any, ...]:
        periods = (LENGTHS["commit"], LENGTHS["reveal"], LENGTHS["attest"])
        staleness, floor, slash = 8, -600, 20_000
        money = (ETHER, 10**15)  # least stake, reward a second
        return (
            *(self.size, self.size - 1, 3600, *periods),
            *(staleness, 4, floor, slash, 86_400, 7 * 86_400),
            *(*money, False, True, self.owner, "0x000000000000000000000000000000000000dEaD"),
            "0x0000000000000000000000000000000000000000",  # the native currency
        )

    def _create(self, initcode: bytes) -> str:
        receipt = self._transact({"from": self.owner, "data": "0x" + initcode.hex()})
        return str(receipt["contractAddress"])

    def _transact(self, transaction: dict[str, str]) -> dict[str, Any]:
        transaction["gas"] = hex(GAS_LIMIT)
        digest = self.anvil.rpc("eth_sendTransaction", transaction)
        receipt: dict[str, Any] | None = None
        while receipt is None:  # mined at once, but after the answer
            receipt = self.anvil.rpc("eth_getTransactionReceipt", digest)
        if receipt["status"] != "0x1":
            sys.exit(f"benchmarks.gas: reverted: {transaction}")
        return receipt

    def send(self, who: str, name: str, *arguments: object, value: int = 0) -> int:
        """Send a transaction; the gas it used, with refunds added back where those are traced."""
        data = "0x" + self.abi.encode(name, arguments).hex()
        sent = {"from": who, "to": self.address, "data": data, "value": hex(value)}
        receipt = self._transact(sent)
        refund = self._refund(receipt["transactionHash"]) if self.adds_refunds else 0
        return int(receipt["gasUsed"], 16) + refund

    def _refund(self, digest: str) -> int:
        """What the chain gave back: gas that the trace shows and the receipt does not."""
        options = {"disableMemory": True, "disableStack": True, "disableStorage": True}
        trace = self.anvil.rpc("debug_traceTransaction", digest, options)
        return int(trace["structLogs"][-1].get("refund") or 0)

    def read(self, name: str, *arguments: object) -> Any:
        """What a view says."""
        call = {"to": self.address, "data": "0x" + self.abi.encode(name, arguments).hex()}
        answer = self.anvil.rpc("eth_call", call, "latest")
        return self.abi.decode(name, bytes.fromhex(answer[2:]))[0]

    def window(self) -> Any:
        """The window being judged."""
        return self.read("window", self.read("head")[2])


class Life:
    """A window's life, over and over; `gas` has what each transaction of a kind cost."""

    def __init__(self, chain: Chain, seed: int = 1) -> None:
        self.chain = chain
        self.random = random.Random(seed)
        self.gas: dict[str, list[int]] = defaultdict(list)

    def version(self, absent: int = 0) -> int:
        """Make a version, in whose judging the last `absent` validators do nothing; its cost."""
        chain = self.chain
        before = sum(map(sum, self.gas.values()))
        base = chain.read("head")[0]
        authors = self.random.sample(chain.trainers, chain.size)
        for i, who in enumerate(authors):
            submission = (base, self.random.randbytes(32), RAW, 1, self.random.randrange(1, 5000))
            kind = "seal" if i == chain.size - 1 else "submit"
            self.gas[kind].append(chain.send(who, "submitUpdate", *submission))
        chain.anvil.advance(30)
        present = chain.validators[: len(chain.validators) - absent]
        self.judge(chain.window(), authors, present)
        self.attest(chain.window(), present)
        if absent:
            chain.anvil.advance(LENGTHS["attest"] + 1)
            window = chain.window()[0]
            self.gas["settleAlone"].append(chain.send(chain.owner, "settle", window))
        assert chain.read("head")[0] == base + 1
        return sum(map(sum, self.gas.values())) - before

    def judge(self, window: Any, authors: list[str], present: list[str]) -> None:
        """All of `present` commit and reveal; where that is all there are, as their nodes do it."""
        number, tag = window[0], window[6]
        truth = [self.random.randrange(-20, 150) for _ in authors]
        commits, reveals = [], []
        for who in present:
            scores = [10 * round((mark + self.random.gauss(0, 30)) / 10) for mark in truth]
            salt = self.random.randbytes(32)
            place = (self.chain.anvil.chain_id, self.chain.address, number, tag, who)
            promise = commitment(*place, scores, len(authors), salt)
            commits.append((who, "commitScores", number, promise, tag))
            reveals.append(
                (who, "revealScores", number, tag, len(authors), pack_scores(scores), salt)
            )
        tally = (present[0], "tally", number, authors, present)
        if len(present) == len(self.chain.validators):
            *commits, last_commit = commits
            *reveals, last_reveal, first_reveal = reveals
            self._send("commit", *commits)
            self._together("commitAndReveal", last_commit, first_reveal)
            self._send("reveal", *reveals)
            self._together("revealAndTally", last_reveal, tally)
        else:
            self._send("commit", *commits)
            self.chain.anvil.advance(LENGTHS["commit"] + 1)
            self._send("reveal", *reveals)
            self._send("tally", tally)

    def _send(self, kind: str, *calls: tuple[Any, ...]) -> None:
        self.gas[kind] += [self.chain.send(*call) for call in calls]

    def _together(self, kind: str, *calls: tuple[Any, ...]) -> None:
        """One transaction, by the sender of the first."""
        parts = [self.chain.abi.encode(name, arguments) for _, name, *arguments in calls]
        self._send(kind, (calls[0][0], "multicall", parts))

    def attest(self, window: Any, present: list[str]) -> None:
        """All of `present` attest the same."""
        chain = self.chain
        quorum = -(-2 * len(chain.validators) // 3)
        digest = self.random.randbytes(32)
        for i, who in enumerate(present):
            metric = self.random.randrange(10**6)
            spent = chain.send(who, "attestModel", window[0], window[6], digest, metric)
            kind = "settle" if i + 1 == len(chain.validators) else "attest"
            self.gas["finalize" if i + 1 == quorum else kind].append(spent)


def measure() -> dict[str, int]:
    """The figures of gas.json."""
    with Anvil(accounts=60, options=["--steps-tracing"]) as anvil:
        life = Life(Chain(anvil, trainers=SIZE + 1, validators=5))
        for _ in range(WARM_UP):
            life.version()
        life.gas.clear()
        spent = [life.version() for _ in range(MEASURED)]
        life.version(absent=1)
        figures = {kind: round(statistics.median(all_)) for kind, all_ in life.gas.items()}
        figures["perUpdateAllIn"] = round(statistics.mean(spent) / SIZE)
    with Anvil(accounts=60, options=["--steps-tracing"]) as anvil:
        crowd = Life(Chain(anvil, trainers=SIZE + 1, validators=32))
        crowd.version()
        figures["tallyWorst"] = crowd.gas["revealAndTally"][0]
    shipped = resources.files("bafl.chain") / "artifacts" / "Federation.json"
    figures["runtimeBytes"] = json.loads(shipped.read_text())["deployed"]["size"]
    return figures


def main() -> None:
    """Measure, print, write; exit with 1 where a bar is missed."""
    figures = measure()
    for name, value in sorted(figures.items()):
        bar = BARS.get(name)
        print(f"{name:>16} {value:>10,}" + (f"   (bar {bar:,})" if bar else ""))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(dict(sorted(figures.items())), indent=2) + "\n")
    missed = [name for name, bar in BARS.items() if figures[name] > bar]
    if missed:
        sys.exit(f"benchmarks.gas: over the bar: {', '.join(missed)}")


if __name__ == "__main__":
    main()
