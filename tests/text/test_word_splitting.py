"""Words join to the text, however it is tokenized, and are what a reader would call words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.text.word_splitting import SplitWord, split_words


def words_of(tokens: Sequence[bytes]) -> tuple[SplitWord, ...]:
    """The words of tokens that are given as their bytes."""
    return split_words(range(len(tokens)), lambda ids: b"".join(tokens[i] for i in ids).decode(errors="replace"))


def cut(text: str) -> list[bytes]:
    """Split as by a tokenizer: blanks go with the next token, digits and punctuation are tokens of their own."""
    return [token.encode() for token in re.findall(r"\s?[^\W\d]{1,4}|\s?\d|\s?[^\w\s]+|\s", text)]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=5), max_size=30))
def test_words_join_to_the_text(tokens: list[bytes]) -> None:
    words = words_of(tokens)
    assert "".join(word.text for word in words) == b"".join(tokens).decode(errors="replace")
    assert all(word.text for word in words)
    edges = [edge for word in words for edge in (word.first_token, word.last_token + 1)]
    assert all(0 <= edge <= len(tokens) for edge in edges)
    assert all(word.first_token <= word.last_token for word in words)
    assert edges == sorted(edges)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(alphabet="aé 今天ทำกั。“「!(-🎉", max_size=20), st.data())
def test_characters_are_never_cut(text: str, data: st.DataObject) -> None:
    whole = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=8)) | {0, len(whole)})
    words = words_of([whole[begin:end] for begin, end in pairwise(cuts)])
    assert "".join(word.text for word in words) == text
    silent = [word.text for word in words if not re.search(r"[^\s。“「!(-]", word.text)]
    assert not silent or len(words) == 1  # punctuation has a word to belong to


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" Hello, world.", [" Hello,", " world."]),
        (" It's a well-known rate of 3.5%!", [" It's", " a", " well-known", " rate", " of", " 3.5%!"]),
        (" i.e. $1,000: “Why?” (twice).", [" i.e.", " $1,000:", " “Why?”", " (twice)."]),
        (" Ça va ? Bien !", [" Ça", " va ?", " Bien !"]),
        (" - Yes. - No.", [" - Yes.", " - No."]),
        (" 今天「天气」很好。OK吗?", [" 今", "天", "「天", "气」", "很", "好。", "OK", "吗?"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        (" 안녕하세요, 세계!", [" 안녕하세요,", " 세계!"]),
        ("...", ["..."]),
        (" ", [" "]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    tokens = [character.encode() for character in text] if re.search("[東天]", text) else cut(text)
    assert [word.text for word in words_of(tokens)] == words


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["我", "li", "ke", "月"], ["我", "like", "月"]),
        (list("กำลัง"), ["ก", "ำ", "ลั", "ง"]),  # a vowel sign above its letter is no word
    ],
)
def test_scripts_without_spaces(tokens: list[str], words: list[str]) -> None:
    assert [word.text for word in words_of([token.encode() for token in tokens])] == words


def test_token_range_excludes_punctuation() -> None:
    words = words_of([b' "', b"well", b"-", b"known", b".", b'"', b" 3", b".", b"5", b" ?"])
    assert words == (SplitWord(' "well-known."', 1, 3), SplitWord(" 3.5 ?", 6, 8))


def test_character_of_several_tokens() -> None:
    euro, broken = "€".encode(), b"\xe2\x82"
    tokens = [b" ", euro[:1], euro[1:2], euro[2:], b"5", broken, b" x"]
    assert words_of(tokens) == (SplitWord(" €5�", 0, 5), SplitWord(" x", 6, 6))
