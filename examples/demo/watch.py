"""What the demo's audience sees: the federation's log, measured on the central test set."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bafl import replay
from bafl.chain.federation import Federation
from bafl.chain.fold import History
from bafl.chain.history import HistoryFile
from bafl.codec.model import read_model
from bafl.explain import case_of, explain, phase_of
from bafl.manifest import Manifest
from bafl.store.shelf import Shelf
from bafl.tasks.arrays import load_arrays
from bafl.tasks.torch import TorchTask
from bafl.types import UpdateRecord, Verdict
from examples.demo.cast import Part

START = 300_000
BARS = " ▁▂▃▄▅▆▇█"
REFUSED = (Verdict.REJECTED, Verdict.MALFORMED)


@dataclass(slots=True)
class Scene:
    """The federation as the audience follows it. cast: who takes part, by address."""

    federation: Federation
    manifest: Manifest
    shelf: Shelf
    central: TorchTask
    cast: dict[str, Part]
    history_file: HistoryFile = field(init=False)
    history: History = field(init=False)
    accuracy: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    started_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.history_file = HistoryFile(self.federation)
        self.look()

    @property
    def federal(self) -> replay.Federal:
        """What the federation's payloads are bound to."""
        return replay.Federal(self.federation.chain_id, self.federation.address, self.manifest)

    def look(self) -> None:
        """Read what is new, and measure new versions."""
        self.history = self.history_file.sync()
        for record in self.history.versions[len(self.accuracy) :]:
            path = replay.model(self.federal, self.history, record.version, self.shelf)
            self.accuracy.append(self.measure(path))

    def measure(self, path: Path) -> float:
        """Return a model file's metric on the central test set."""
        model = self.central.model()
        load_arrays(model, read_model(path, self.manifest).tensors)
        return self.central.test(model).metric

    def note(self, text: str) -> None:
        """Show a line under the picture from now on."""
        self.notes.append(f"{time.monotonic() - self.started_s:5.0f} s  {text}")

    def verdicts(self, address: str) -> list[tuple[UpdateRecord, Verdict]]:
        """Return a participant's updates whose windows were tallied, with their verdicts."""
        judged = []
        for record in self.history.updates_by(address):
            tallied = self.history.tallied(record.window)
            if tallied is not None:
                judged.append((record, tallied.verdicts[record.index]))
        return judged

    def reputation(self, address: str) -> int:
        """Return a trainer's reputation (ppm) as the last window left it."""
        known = self.history.reputations_of(address)
        return known[-1].trainer if known else START

    def picture(self, ends_s: float) -> RenderableType:
        """Draw everything."""
        left = max(0.0, ends_s - time.monotonic())
        head = self.federation.head()
        now = Text.assemble(
            ("version ", "dim"), (f"{len(self.accuracy) - 1}", "bold"),
            (f"   {self.central.metric.name} ", "dim"), (f"{self.accuracy[-1]:.3f}", "bold"),
            ("   window ", "dim"), f"{head.judging_window} of {head.open_window}",
            ("   pool ", "dim"), f"{head.pool_wei / 1e18:.2f} ether",
            f"   {math.ceil(left)}" if left else "", (" s left" if left else "", "dim"),
        )  # fmt: skip
        curve = Text(curve_of(self.accuracy[-60:]), style="green")
        return Group(now, curve, self._participants(), self._latest(), Text("\n".join(self.notes)))

    def _participants(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for name in ("participant", "updates", "paid", "unpaid", "refused", "reputation", "earned"):
            table.add_column(name, justify="left" if name == "participant" else "right")
        table.add_column("")
        for address, part in self.cast.items():
            member = self.federation.participant(address)
            counts = Counter(verdict for _, verdict in self.verdicts(address))
            refused = sum(counts[verdict] for verdict in REFUSED)
            earned = sum(reward.wei for reward in self.history.rewards(address))
            table.add_row(
                part.name,
                str(len(self.history.updates_by(address))),
                str(counts[Verdict.PAID]),
                str(counts[Verdict.ACCEPTED]),
                Text(str(refused), style="red" if refused else ""),
                f"{self.reputation(address) / 1e6:.2f} / {member.validator_reputation / 1e6:.2f}",
                f"{earned / 1e18:.3f}",
                "jailed" if member.trainer_jailed_until_s else part.told,
            )
        return table

    def _latest(self) -> Text:
        """Say what was refused last, and why."""
        text = Text()
        refused = [
            (record, part.name)
            for address, part in self.cast.items()
            for record, verdict in self.verdicts(address)
            if verdict in REFUSED
        ]
        for record, name in sorted(refused, key=lambda pair: pair[0].id)[-3:]:
            phase = phase_of(self.history, record.window)
            floor = self.federation.parameters.reject_below_bps
            why = explain(case_of(self.history, record, floor, phase)).why
            text.append(f"refused {name}'s update {record.id}: {why}\n", style="red")
        return text


def curve_of(values: list[float]) -> str:
    """Return values between 0 and 1 as a line of bars."""
    return "".join(BARS[round(max(0.0, min(1.0, value)) * (len(BARS) - 1))] for value in values)
