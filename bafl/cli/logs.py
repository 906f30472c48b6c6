"""The one place where logging is set up: calm lines for people, or one JSON object a line."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
import warnings
from typing import Final, TextIO

from bafl.foreign import printable

_COLOURS: Final = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31"}


def set_up(*, verbose: bool = False, as_json: bool = False) -> None:
    """Send BAFL's log to stderr (for people) or stdout (as JSON); libraries only from warnings on.

    verbose: BAFL's debug lines too.
    """
    stream = sys.stdout if as_json else sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_AsJson() if as_json else _ForPeople(stream))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("bafl").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.captureWarnings(True)
    if not verbose:
        warnings.simplefilter("ignore")


class _ForPeople(logging.Formatter):
    """`14:03:12 text`, warnings and errors named, in colour only on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._terminal = stream.isatty()

    def format(self, record: logging.LogRecord) -> str:
        moment = dt.datetime.fromtimestamp(record.created).astimezone()
        text = printable(record.getMessage(), None)
        if record.levelno >= logging.WARNING:
            level = record.levelname.lower()
            colour = _COLOURS.get(record.levelno)
            shown = f"\x1b[{colour}m{level}\x1b[0m" if self._terminal and colour else level
            text = f"{shown}: {text}"
        line = f"{moment:%H:%M:%S} {text}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = dt.datetime.fromtimestamp(record.created, tz=dt.UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
