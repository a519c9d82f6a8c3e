"""Printable text: escapes of everything that a log must not hold as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_api.text.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße, 東京 ok", "Grüße, 東京 ok"),
        ("a\r\nb\x1b[31m\x00\x85", r"a\r\nb\x1b[31m\x00\x85"),
        ("\u202eabc\u2066\u200f\u2028\ufeff", r"\u202eabc\u2066\u200f\u2028\ufeff"),
        ("\ud800", r"\ud800"),
        ("x" * 10, "x" * 10),
        ("x" * 11, "x" * 10 + "…"),
    ],
)
def test_what_cannot_be_shown_is_escaped_and_what_is_long_is_cut(text: str, shown: str) -> None:
    assert printable(text, 10 if len(set(text)) == 1 else 100) == shown


@given(st.text(st.characters()))
def test_the_result_is_one_line_of_printable_characters(text: str) -> None:
    shown = printable(text, 20)
    assert shown.isprintable()
    assert len(shown) <= 20 * len("\\U0010ffff") + 1
