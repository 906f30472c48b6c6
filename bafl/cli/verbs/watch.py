"""`bafl watch`: a live picture of a federation."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from bafl import units
from bafl.cli.app import Verb
from bafl.cli.options import session_options
from bafl.errors import ChainError
from bafl.foreign import printable

if TYPE_CHECKING:
    from bafl.cli.names import Names
    from bafl.cli.picture import Judged, Person, Picture
    from bafl.cli.session import Session

LATEST = 8
PEOPLE = (
    "participant", "roles", "trainer", "validator", "updates", "used", "refused", "earned",
    "stake", "state",
)  # fmt: skip
VERDICTS = ("update", "participant", "base", "verdict", "share", "why")
SPARKS = "▁▂▃▄▅▆▇█"


@click.command("watch", cls=Verb, example="bafl watch --config node.toml")
@click.option("--every", type=click.FloatRange(0.2), default=2.0, help="Seconds between looks.")
@click.option("--once", is_flag=True, help="One picture, then end.")
@session_options
def command(session: Session, every: float, once: bool) -> None:
    """Show a federation live.

    Versions, windows and their phases, the metric, reputations, and the latest verdicts with their
    reasons. Needs no key. With --json one object a line for each new block. Ctrl-C ends it.
    """
    from bafl.cli.names import Names

    names = Names(session.store if session.settings.stores else None)
    try:
        if session.output.as_json:
            _lines(session, names, every, once)
        elif once or not session.output.console.is_terminal:
            _print(session, names, every, once)
        else:
            _live(session, names, every)
    except KeyboardInterrupt:
        return


@dataclass(frozen=True, slots=True)
class _Look:
    """One look: the federation, the latest verdicts, and who is called what."""

    seen: Picture
    items: Sequence[Judged]
    names: Mapping[str, str]


def _look(session: Session, names: Names) -> _Look:
    from bafl.cli.picture import judged, picture, recent

    federation = session.federation
    view = federation.view(federation.address)
    history = session.history_file.sync()
    return _Look(
        seen=picture(view, federation.parameters, history, session.waiting(view)),
        items=[judged(history, record, federation, view) for record in recent(history, LATEST)],
        names=names.of(history.participants),
    )


def _lines(session: Session, names: Names, every: float, once: bool) -> None:
    """Print an object a line for each new block."""
    from bafl.cli.picture import judged_json
    from bafl.cli.verbs.status import federation_json
    from bafl.store.cid import cid

    block = -1
    while True:
        look = _look(session, names)
        if look.seen.view.block != block:
            block = look.seen.view.block
            value = {
                **federation_json(session, look.seen),
                "names": dict(look.names),
                "recent": [judged_json(item, cid(item.record.root)) for item in look.items],
            }
            print(json.dumps(value, ensure_ascii=False), flush=True)
        if once:
            return
        time.sleep(every)


def _print(session: Session, names: Names, every: float, once: bool) -> None:
    """Print a new picture whenever something happened: for a file or a pipe."""
    before: object = None
    while True:
        look = _look(session, names)
        windows = [(window.id, window.phase, window.updates) for window in look.seen.windows]
        key = (look.seen.view.head.version, windows)
        if key != before:
            before = key
            session.output.console.print(_render(session, look))
            sys.stdout.flush()
        if once:
            return
        time.sleep(every)


def _live(session: Session, names: Names, every: float) -> None:
    """Redraw the picture in place. A chain that is away comes back: the last one stays, marked."""
    from rich.live import Live

    look, trouble = _look(session, names), ""
    with Live(console=session.output.console, auto_refresh=False) as live:
        while True:
            live.update(_render(session, look, trouble), refresh=True)
            time.sleep(every)
            try:
                look, trouble = _look(session, names), ""
            except ChainError as error:
                trouble = f"{error}; trying again"


def _render(session: Session, look: _Look, trouble: str = "") -> Any:
    from rich.console import Group
    from rich.text import Text

    from bafl.cli.output import make_table
    from bafl.cli.verbs.status import window_line

    out, seen = session.output, look.seen
    now = max(time.time(), seen.view.block_time_s)

    def name(address: str) -> str:
        return look.names.get(address) or out.address(address)

    manifest = session.manifest_or_none
    what = manifest.task if manifest else "federation"
    where = f"chain {session.federation.chain_id}   block {seen.view.block}"
    lines = [
        f"{what} {out.address(session.federation.address)}   {where}",
        *(f"window {window_line(w, seen.view.head.effective_size, now)}" for w in seen.windows),
    ]
    values = [point.metric for point in seen.curve if point.metric is not None]
    version = f"version {seen.view.head.version}"
    if values:
        metric = manifest.metric.name if manifest else "metric"
        version += f"   {metric} {values[-1]:.4g}  {spark(values[-40:])}"
    parts: list[Any] = [Text(version, style="bold"), *(Text(line) for line in lines)]
    people = [
        _person_row(person, name(person.address), now, session.money) for person in seen.people
    ]
    parts += [Text(), make_table(PEOPLE, people, right=PEOPLE[2:9])]
    if look.items:
        verdicts = [_verdict_row(item, name(item.record.participant)) for item in look.items]
        latest = make_table(VERDICTS, verdicts, title="Latest verdicts", right=("share",))
        parts += [Text(), latest]
    if trouble:
        parts.append(Text(printable(trouble, None), style="yellow"))
    return Group(*parts)


def _verdict_row(item: Judged, name: str) -> tuple[str, ...]:
    return (
        f"{item.record.window}/{item.record.index}",
        name,
        f"v{item.record.base_version}",
        item.explanation.verdict,
        units.format_ppm(item.share_ppm) if item.share_ppm else "",
        item.explanation.why,
    )


def _person_row(
    person: Person, name: str, now: float, money: Callable[[int], str]
) -> tuple[str, ...]:
    state = []
    if person.jailed_until_s > now:
        state.append(f"jailed, free {units.format_when(person.jailed_until_s, now)}")
    if person.asleep:
        state.append("asleep")
    if person.leaving:
        state.append("leaving")
    if person.slashed_wei:
        state.append(f"slashed {money(person.slashed_wei)}")
    return (
        name,
        "+".join(role.name[0].lower() for role in person.roles if role.name),
        f"{person.trainer_reputation / 1e6:.2f}",
        f"{person.validator_reputation / 1e6:.2f}",
        str(person.submitted),
        str(person.used),
        str(person.refused),
        money(person.earned_wei),
        money(person.stake_wei),
        ", ".join(state),
    )


def spark(values: list[float]) -> str:
    """Draw a curve in one line of text."""
    low, high = min(values), max(values)
    width = (high - low) or 1.0
    return "".join(SPARKS[round((value - low) / width * (len(SPARKS) - 1))] for value in values)
