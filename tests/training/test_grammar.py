"""The closed domain of the built-in model: deterministic, split for good, written the way transcripts are."""

from __future__ import annotations

import re

import pytest

from training.grammar import is_held_out, number_words, ordinal_words, sentences

WORDING = re.compile(r"[A-Z][A-Za-z' ,]*[.?]")


def test_a_seed_gives_the_same_sentences() -> None:
    assert sentences(5, 200) == sentences(5, 200)
    assert sentences(5, 200) != sentences(6, 200)


def test_the_split_does_not_depend_on_the_seed() -> None:
    train, held_out = set(sentences(1, 3000)), set(sentences(2, 500, held_out=True))
    assert not train & held_out
    assert all(is_held_out(text) for text in held_out)
    assert not any(is_held_out(text) for text in train)


def test_sentences_are_words_with_a_capital_and_a_mark() -> None:
    for text in sentences(3, 2000):
        assert WORDING.fullmatch(text), text
        assert "  " not in text


def test_sentences_can_be_kept_short() -> None:
    assert max(len(text.split()) for text in sentences(4, 500, max_words=6)) <= 6


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "zero"),
        (15, "fifteen"),
        (40, "forty"),
        (99, "ninety nine"),
        (300, "three hundred"),
        (423, "four hundred and twenty three"),
        (1005, "one thousand and five"),
        (12_340, "twelve thousand three hundred and forty"),
    ],
)
def test_numbers_are_written_out(number: int, expected: str) -> None:
    assert number_words(number) == expected


def test_ordinals_are_written_out() -> None:
    assert [ordinal_words(day) for day in (1, 12, 20, 23, 30, 31)] == [
        "first",
        "twelfth",
        "twentieth",
        "twenty third",
        "thirtieth",
        "thirty first",
    ]
