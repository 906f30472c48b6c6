"""A federation on a chain of the test's own, driven through `bafl.chain` alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from eth_account import Account
from eth_account.signers.local import LocalAccount

from bafl.chain import calls
from bafl.chain.calls import Call
from bafl.chain.connection import Connection
from bafl.chain.deploy import Deployed, Support, deploy_federation, deploy_support
from bafl.chain.federation import Federation
from bafl.chain.history import HistoryFile
from bafl.chain.sender import Sender
from bafl.devnet import Anvil
from bafl.types import DAG_PB, NATIVE, RAW, Encoding, Genesis, Parameters, Phase, Role, Root, Window

ETHER = 10**18
BOTH = Role.TRAINER | Role.VALIDATOR
GENESIS = Genesis(Root(b"\x01" * 32, RAW), Root(b"\x02" * 32, DAG_PB))
DEAD = "0x000000000000000000000000000000000000dEaD"


def parameters(owner: str, **changes: object) -> Parameters:
    standard = Parameters(
        window_size=3,
        min_updates=3,
        max_wait_s=60,
        commit_period_s=60,
        reveal_period_s=60,
        attest_period_s=60,
        max_staleness=8,
        min_validators=3,
        reject_below_bps=-600,
        slash_ppm=20_000,
        jail_period_s=600,
        unbonding_period_s=3600,
        min_stake_wei=ETHER,
        reward_rate_wei=ETHER // 1000,
        trust_samples=False,
        open=True,
        treasury=owner,
        slash_sink=DEAD,
        currency=NATIVE,
    )
    return replace(standard, **changes)  # type: ignore[arg-type]


def digest(*of: object) -> bytes:
    return hashlib.sha256(repr(of).encode()).digest()


@dataclass
class Life:
    """Participants 0, 1, … are trainers and validators; `owner` deploys and owns."""

    anvil: Anvil
    connection: Connection
    owner: Sender
    support: Support
    deployed: Deployed
    federation: Federation
    people: list[Sender] = field(default_factory=list)
    after_each: Callable[[], None] = lambda: None

    def send(self, sender: Sender, call: Call) -> None:
        sender.send(call)
        self.after_each()

    def join(self, count: int) -> None:
        for _ in range(count):
            person = self.federation.sender(funded(self.anvil))
            self.send(person, calls.join(BOTH, 2 * ETHER, digest("profile", person.address)))
            self.people.append(person)

    def submit(self, who: Sequence[Sender], base: int) -> None:
        for person in who:
            root = Root(digest("update", person.address, base), RAW)
            self.send(person, calls.submit_update(base, root, Encoding.INT8, 100))

    def judging(self) -> Window:
        return self.federation.window(self.federation.head().judging_window)

    def salt(self, person: Sender, window: Window) -> bytes:
        return calls.salt(
            person.account.key,
            self.federation.chain_id,
            self.federation.address,
            window.id,
            window.tag,
            person.address,
        )

    def commit(self, scores: Mapping[str, Sequence[int]], keep: int) -> None:
        window = self.judging()
        for person in self.people:
            if person.address in scores:
                made = calls.commitment(
                    self.federation.chain_id,
                    self.federation.address,
                    window.id,
                    window.tag,
                    person.address,
                    scores[person.address],
                    keep,
                    self.salt(person, window),
                )
                self.send(person, calls.commit_scores(window.id, window.tag, made))

    def reveal(self, scores: Mapping[str, Sequence[int]], keep: int) -> None:
        window = self.judging()
        for person in self.people:
            if person.address in scores:
                salt = self.salt(person, window)
                given = scores[person.address]
                self.send(person, calls.reveal_scores(window.id, window.tag, given, keep, salt))

    def tally(self) -> None:
        window = self.judging().id
        file = HistoryFile(self.federation, start_block=self.deployed.block)
        history = file.sync()
        authors, revealers = history.authors(window), history.revealers(window)
        self.send(self.owner, calls.tally(window, authors, revealers))
        file.close()

    def attest(self, root: bytes, who: Sequence[Sender] | None = None) -> None:
        window = self.judging()
        for person in self.people if who is None else who:
            self.send(person, calls.attest_model(window.id, window.tag, root, 900_000))

    def window(self, scores: Sequence[int], keep: int = 3) -> int:
        """One whole window that all judge alike; the first three submit. Returns its id."""
        self.anvil.advance(10)  # rewards grow with time
        base = self.federation.head().version
        self.submit(self.people[:3], base)
        window = self.judging().id
        given = {person.address: scores for person in self.people}
        self.commit(given, keep)
        self.reveal(given, keep)
        self.tally()
        if self.federation.window(window).phase == Phase.ATTEST:
            self.attest(digest("model", window))
        return window


def funded(anvil: Anvil, wei: int = 100 * ETHER) -> LocalAccount:
    account: LocalAccount = Account.create()
    anvil.set_balance(account.address, wei)
    return account


def found(anvil: Anvil, connection: Connection, **changes: object) -> Life:
    owner = Sender(connection, funded(anvil))
    support = deploy_support(owner)
    deployed = deploy_federation(
        owner, support, owner.address, GENESIS, parameters(owner.address, **changes), bytes(32)
    )
    federation = Federation(connection, deployed.address)
    owner.contract = deployed.address
    return Life(anvil, connection, owner, support, deployed, federation)
