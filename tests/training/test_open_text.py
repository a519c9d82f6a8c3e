"""Open sentences: what is kept of a file of English, and how it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.open_text import open_sentences, sentence_of, words


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"A guild?" asked her mother', "A guild? asked her mother."),
        ("'We are, above all, a keen school,' he said.", "We are, above all, a keen school, he said."),
        ("It’s twenty-three; don't wait -- go!", "It's twenty three, don't wait, go!"),
        ("the dogs' bowls...", "The dogs bowls."),
        ("Well , yes?!", "Well, yes?"),
        ("In 1835 it closed.", None),
        ("A café in Paris.", None),
        ("word " * 26, None),
        ("...", None),
    ],
)
def test_a_line_becomes_a_plain_sentence_or_nothing(line: str, expected: str | None) -> None:
    assert sentence_of(line) == expected


def test_the_same_words_count_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Go home.\nNo way.\n")
    (tmp_path / "b.txt").write_text("go home!\nIt rains.\n")
    assert open_sentences([tmp_path / "a.txt", tmp_path / "b.txt"]) == ["Go home.", "No way.", "It rains."]


def test_words_have_no_case_and_no_marks() -> None:
    assert words("It's five o'clock, Mr. Holland!") == ["it's", "five", "o'clock", "mr", "holland"]
