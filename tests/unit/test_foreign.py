"""Foreign text is shown as one line, without anything that steers a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bafl.foreign import printable, printable_lines


def test_foreign_text_cannot_reach_the_terminal() -> None:
    assert printable("a\x1b[31m\n\u202eb") == "a [31m  b"
    assert printable("x" * 1000) == "x" * 300 + "…"
    assert printable("x" * 1000, None) == "x" * 1000
    assert printable("x" * 300) == "x" * 300
    assert printable(7, 1) == "7"


@given(text=st.text(max_size=40))
def test_any_text_becomes_one_plain_line(text: str) -> None:
    shown = printable(text, 20)
    assert shown.isprintable()
    assert len(shown) <= 21


@given(text=st.text(max_size=40))
def test_lines_of_our_own_stay_lines(text: str) -> None:
    shown = printable_lines(text)
    assert shown.count("\n") == text.count("\n")
    assert len(shown) == len(text)
    assert shown.replace("\n", "").isprintable()
