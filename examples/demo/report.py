"""What the demo showed, in figures: a table, a plot, and the same as JSON."""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bafl.data import DataSet
from bafl.tasks.base import TrainContext
from bafl.tasks.ready import build
from bafl.types import Verdict
from examples.demo.plays import Play
from examples.demo.watch import REFUSED, Scene


@dataclass(frozen=True, slots=True)
class Report:
    """The demo's figures. accuracy*: the task's metric on the central test set, 0 to 1.

    accepted: used in a version, paid for or not. earned: for updates and for judging together.
    local: mean over honest participants training alone on their own data; central: one model on
    all of it; both with as many passes over the data as the federation had versions.
    """

    versions: int
    accuracy: float
    accuracy_local: float
    accuracy_central: float
    poison_submitted: int
    poison_accepted: int
    poison_paid: int
    poison_earned_ether: float
    poison_earned_judging_ether: float
    poison_reputation: float
    poison_slashed_ether: float
    honest_submitted: int
    honest_refused: int
    honest_slashed: int
    honest_earned_ether: float
    straggler_submitted: int
    straggler_accepted: int
    restarts: int
    store: str
    audit_ok: bool
    seconds: float

    def write(self, path: Path) -> None:
        """Write it as JSON, with names as JSON has them."""
        values = {camel(name): value for name, value in asdict(self).items()}
        path.write_text(json.dumps(values, indent=2) + "\n")


def camel(name: str) -> str:
    """Return a Python name as JSON writes it."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def gather(
    scene: Scene, play: Play, data: DataSet, *, store: str, restarts: int, audit_ok: bool,
    seconds: float,
) -> Report:  # fmt: skip
    """Work out the figures from the log, and train alone and centrally for comparison."""
    honest = [address for address, part in scene.cast.items() if not part.poisons]
    rogue = next(address for address in scene.cast if address not in honest)
    slow = next(address for address, part in scene.cast.items() if part.slower > 1)
    versions = len(scene.accuracy) - 1
    alone = [
        reached(play, data, index, versions)
        for index, part in enumerate(play.cast)
        if not part.poisons
    ]
    earned = {a: sum(r.wei for r in scene.history.rewards(a)) / 1e18 for a in scene.cast}
    return Report(
        versions=versions,
        accuracy=round(scene.accuracy[-1], 4),
        accuracy_local=round(float(np.mean(alone)), 4),
        accuracy_central=round(reached(play, data, None, versions), 4),
        poison_submitted=len(scene.history.updates_by(rogue)),
        poison_accepted=sum(v.used for _, v in scene.verdicts(rogue)),
        poison_paid=sum(v is Verdict.PAID for _, v in scene.verdicts(rogue)),
        poison_earned_ether=round(earned[rogue], 6),
        poison_earned_judging_ether=round(
            sum(r.as_validator_wei for r in scene.history.rewards(rogue)) / 1e18, 6
        ),
        poison_reputation=scene.reputation(rogue) / 1e6,
        poison_slashed_ether=sum(
            s.amount_wei for s in scene.history.slashes if s.participant == rogue
        )
        / 1e18,
        honest_submitted=sum(len(scene.history.updates_by(a)) for a in honest),
        honest_refused=sum(v in REFUSED for a in honest for _, v in scene.verdicts(a)),
        honest_slashed=sum(s.participant in honest for s in scene.history.slashes),
        honest_earned_ether=round(float(np.mean([earned[a] for a in honest])), 6),
        straggler_submitted=len(scene.history.updates_by(slow)),
        straggler_accepted=sum(v.used for _, v in scene.verdicts(slow)),
        restarts=restarts,
        store=store,
        audit_ok=audit_ok,
        seconds=round(seconds, 1),
    )


def reached(play: Play, data: DataSet, participant: int | None, rounds: int) -> float:
    """Return the metric on the central test set after so many rounds of training alone.

    participant: whose data; None: everybody's.
    """
    own = build(play.task, data, replace(play.data, participant=participant))
    model = own.model()
    for number in range(rounds):
        own.train(model, TrainContext(base_version=number, seed=number))
    return own.test(model).metric


def show(report: Report, console: Console, metric: str) -> None:
    """Print the report for people."""
    table = Table(title="What happened", box=None, show_header=False, title_justify="left")
    table.add_column(style="dim")
    table.add_column()
    rows = {
        f"{metric} of the federation": f"{report.accuracy:.3f}, after {report.versions} versions",
        "training alone (mean)": f"{report.accuracy_local:.3f}",
        "training on all data in one place": f"{report.accuracy_central:.3f}",
        "the poisoner": (
            f"{report.poison_submitted} updates, {report.poison_accepted} accepted, "
            f"{report.poison_paid} paid; reputation {report.poison_reputation:.2f}; "
            f"earned {report.poison_earned_ether:.3f} ether "
            f"({report.poison_earned_judging_ether:.3f} of it by judging; an honest one "
            f"{report.honest_earned_ether:.3f} in all), slashed {report.poison_slashed_ether:.3f}"
        ),
        "the honest": (
            f"{report.honest_submitted} updates, {report.honest_refused} refused, "
            f"{report.honest_slashed} slashes"
        ),
        "the slow one": (
            f"{report.straggler_submitted} updates, {report.straggler_accepted} accepted; "
            "nobody waited for it"
        ),
        "the killed one": "back at work after SIGKILL" if report.restarts else "did not come back",
        "audit": (
            "every version recomputed bit for bit" if report.audit_ok else "FAILED: see above"
        ),
        "payloads": f"in the {report.store} store",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)


def draw(scene: Scene, report: Report, path: Path) -> None:
    """Save the last picture and the report as an SVG."""
    console = Console(record=True, width=118, file=io.StringIO(), force_terminal=True)
    console.print(scene.picture(0.0))
    console.line()
    show(report, console, scene.central.metric.name)
    drawn = console.export_svg(title="make demo")
    # The viewer's own monospace font will do; nothing is fetched from anywhere.
    path.write_text(re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL))


def plot(scene: Scene, report: Report, path: Path) -> None:
    """Draw the learning curve and everybody's reputation over the windows."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    left.plot(scene.accuracy, color="tab:green", label="federation")
    left.axhline(report.accuracy_central, color="black", lw=1, ls=":", label="all in one place")
    left.axhline(report.accuracy_local, color="tab:gray", lw=1, ls="--", label="training alone")
    left.set(xlabel="version", ylabel=scene.central.metric.name, ylim=(0, 1))
    left.legend(loc="lower right", frameon=False)
    calm = iter(("tab:blue", "tab:cyan", "tab:green", "tab:purple", "tab:brown"))
    for address, part in scene.cast.items():
        curve = scene.history.reputations_of(address)
        windows = [0, *(entry.window for entry in curve)]
        values = [0.3, *(entry.trainer / 1e6 for entry in curve)]
        color, width = ("tab:red", 2.0) if part.poisons else (next(calm), 1.0)
        right.plot(windows, values, label=part.name, color=color, lw=width)
    for jailing in scene.history.jailings:
        window = window_ended_in(scene, jailing.block)
        right.annotate(
            f"{scene.cast[jailing.participant].name} jailed as {str(jailing.role.name).lower()}",
            (window, 0.3), (window, 0.08), color="tab:red", ha="center",
            arrowprops={"arrowstyle": "->", "color": "tab:red"},
        )  # fmt: skip
    right.set(xlabel="window", ylabel="trainer reputation", ylim=(0, 1))
    right.legend(loc="upper left", frameon=False, ncols=2)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def window_ended_in(scene: Scene, block: int) -> int:
    """Return the window that was settled in a block, or the latest."""
    for window in scene.history.windows:
        settled = scene.history.settled(window)
        if settled is not None and settled.block == block:
            return window
    return max(scene.history.windows)
