"""What a person or a script sees: lines and tables, or one JSON object."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bafl import units
from bafl.foreign import printable, printable_lines

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 400
"""Columns assumed where output is no terminal: nothing is cut or wrapped there."""


@dataclass
class Output:
    """Where a verb's results go.

    as_json: one JSON object on stdout instead of text. full: addresses and digests whole.
    """

    as_json: bool = False
    full: bool = False

    @cached_property
    def console(self) -> Console:
        """Standard output; in colour only on a terminal."""
        return _console(stderr=False)

    @cached_property
    def errors(self) -> Console:
        """Standard error, for progress."""
        return _console(stderr=True)

    def line(self, text: str = "") -> None:
        """Print a line, unless a script reads."""
        if not self.as_json:
            self.console.print(printable_lines(text), markup=False, soft_wrap=True)

    def emit(self, value: Mapping[str, Any]) -> None:
        """Print the result for a script, if one reads."""
        if self.as_json:
            print(json.dumps(value, ensure_ascii=False, indent=2))
            sys.stdout.flush()

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        title: str = "",
        right: Sequence[str] = (),
    ) -> None:
        """Print an aligned table, unless a script reads. right: columns of numbers."""
        if not self.as_json:
            self.console.print(make_table(columns, rows, title=title, right=right))

    def address(self, address: str) -> str:
        """Return an address as it is shown: short, or whole with `--full`."""
        return address if self.full else units.shorten(address)

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Show on a terminal that something takes a while; it vanishes when done."""
        if self.as_json or not self.errors.is_terminal:
            yield
            return
        with self.errors.status(what):
            yield


def currency_json(currency: units.Currency) -> Mapping[str, Any]:
    """Return what amounts are in, for a script; a null address is the chain's own currency."""
    return {
        "address": None if currency.is_native else currency.address,
        "symbol": currency.symbol,
        "decimals": currency.decimals,
    }


def make_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    right: Sequence[str] = (),
) -> Any:
    """Return a rich table; cells are plain text, whoever wrote them."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(title, style="bold") if title else None,
        title_justify="left",
        show_edge=False,
        pad_edge=False,
        header_style="bold",
    )
    for name in columns:
        last = name == columns[-1]
        table.add_column(
            name, justify="right" if name in right else "left", no_wrap=not last, overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(printable(cell, None), style=_STYLES.get(cell, "")) for cell in row))
    return table


_STYLES: Mapping[str, str] = {
    "paid": "green",
    "final": "green",
    "ok": "green",
    "rejected": "red",
    "malformed": "red",
    "void": "yellow",
    "differs": "red",
}
"""Words that are worth a colour, where there is any."""


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else PLAIN_WIDTH)
