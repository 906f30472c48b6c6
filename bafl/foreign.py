"""Text that strangers wrote, or that may hold some of theirs, made fit to be shown."""

from __future__ import annotations


def printable(value: object, most: int | None = 300) -> str:
    """Return foreign text as one line of at most `most` characters that steers no terminal."""
    text = str(value)
    if most is not None and len(text) > most:
        text = text[:most] + "…"
    return "".join(c if c.isprintable() else " " for c in text)


def printable_lines(text: str) -> str:
    """Return text of our own, in which foreign text may be, with its lines as they are."""
    return "\n".join(printable(line, None) for line in text.split("\n"))
