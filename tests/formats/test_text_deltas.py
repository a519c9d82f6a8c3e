"""Text deltas: together they are the text of the transcript, whatever blanks its segments begin and end with."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asr_api.formats.text_deltas import TextDeltas
from asr_api.transcript import Segment

TEXTS = st.text(alphabet=" a\n\u3000é.", max_size=6)


@given(st.lists(st.lists(TEXTS, max_size=3), max_size=5))
def test_the_deltas_together_are_the_text(groups: list[list[str]]) -> None:
    deltas = TextDeltas()
    pushed = [deltas.push([Segment(0, 0, text) for text in texts]) for texts in groups]
    assert "".join(pushed) == deltas.text == "".join(text for texts in groups for text in texts).strip()


def test_a_delta_comes_as_soon_as_there_is_text() -> None:
    deltas = TextDeltas()
    assert deltas.push([Segment(0, 10, " Hello,"), Segment(10, 20, " world. ")]) == "Hello, world."
    assert deltas.push([]) == ""
    assert deltas.push([Segment(20, 30, " Bye.")]) == "  Bye."
