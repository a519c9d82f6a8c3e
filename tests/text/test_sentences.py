"""Ends of sentences and clauses are found by punctuation, and titles and initials are none."""

from __future__ import annotations

import pytest

from asr_api.text.sentences import ends_clause, ends_sentence


@pytest.mark.parametrize("text", [" end.", "end?", "“End!”", "end.) ", "结束。", "अंत।", "نهاية؟", "wait..."])
def test_punctuation_ends_a_sentence(text: str) -> None:
    assert ends_sentence(text, " “Next")


@pytest.mark.parametrize(
    ("text", "following"),
    [(" Mr.", " Smith"), (" J.", " Smith"), (" etc.", " and"), ("(e.g.", " Smith"), (" and,", " Next"), ("", "Next")],
)
def test_other_words_end_none(text: str, following: str) -> None:
    assert not ends_sentence(text, following)


def test_a_clause_ends_at_a_comma_a_dash_or_a_full_stop() -> None:
    assert all(map(ends_clause, [" well,", "“well,”", "但是，", "well –", "well;", "wait...", "wait…", "etc."]))
    assert not any(map(ends_clause, [" well", "Mr.", "J.", "e.g.", ""]))
