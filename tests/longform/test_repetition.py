"""Repetition at a join: words that the end of the text before has already are dropped, and no others."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.longform.repetition import MAX_WORDS, without_repetition
from asr_api.transcript import Segment, Word


def segment(text: str, start_ms: int = 0, end_ms: int = 1_000, words: tuple[Word, ...] = ()) -> Segment:
    return Segment(start_ms, end_ms, text, words, tokens=(1, 2), logprobs=(-0.1, -0.2))


def joined(before: str, *texts: str) -> str:
    segments = tuple(segment(text, 1_000 * number, 1_000 * number + 900) for number, text in enumerate(texts))
    return "".join(part.text for part in without_repetition(before, segments))


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        pytest.param(" We went to the market.", " to the market. It was closed.", " It was closed.", id="a part"),
        pytest.param(" to the Market", " To the market, and home.", " and home.", id="case and punctuation"),
        pytest.param(" one two three four", " two tree three four five", " five", id="a word that differs"),
        pytest.param(" one two three fo", " two three four five", " four five", id="a cut word before it"),
        pytest.param(" one two three", " one two three", "", id="all"),
        pytest.param(" one two three", " three four five", " three four five", id="one equal word is chance"),
        pytest.param(" one two three", " four five six", " four five six", id="nothing"),
        pytest.param("", " four five six", " four five six", id="nothing before"),
        pytest.param(" four five", "", "", id="nothing behind"),
        pytest.param(
            " out of the house and down the long road to town",
            " of the people there",
            " of the people there",
            id="not the end of the text",
        ),
        pytest.param(" one two", " a b c d e f g h one two nine", " a b c d e f g h one two nine", id="too far behind"),
    ],
)
def test_words_that_repeat_the_end_are_dropped(before: str, after: str, kept: str) -> None:
    assert joined(before, after) == kept


def test_a_repetition_may_span_segments() -> None:
    assert joined(" one two three four", " two three", " four five", " six") == " five six"


def test_only_the_end_of_a_long_text_is_compared() -> None:
    before = " alpha beta " + " ".join(map(str, range(MAX_WORDS)))
    assert joined(before, " alpha beta gamma") == " alpha beta gamma"


def test_a_segment_that_loses_a_part_begins_later_and_has_no_tokens_without_their_bytes() -> None:
    kept, whole = without_repetition(" one two", (segment(" one two nine ten"), segment(" six", 1_000, 2_000)))
    assert kept.text == " nine ten"
    assert 400 <= kept.start_ms <= 600
    assert kept.end_ms == 1_000
    assert (kept.tokens, kept.logprobs) == ((), ())
    assert whole.tokens == (1, 2)


def tokenized(*pieces: str | bytes) -> Segment:
    """A segment with a token for each piece."""
    parts = tuple(piece.encode() if isinstance(piece, str) else piece for piece in pieces)
    tokens, logprobs = tuple(range(len(parts))), tuple(-number / 10 for number in range(len(parts)))
    text = b"".join(parts).decode(errors="replace")
    return Segment(
        0, 1_000, text, (), None, tokens, logprobs, seek_ms=70, start_token=100, end_token=150, token_bytes=parts
    )


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [
        ((" one", " two", " nine", " ten"), (2, 3)),
        ((" o", "ne", " two", ",", " ni", "ne"), (4, 5)),  # words of several tokens, and punctuation
        ((" one", " two", " ", " nine"), (2, 3)),  # a token of blanks belongs to the word behind it
        ((" one", " two", " ", "nine", " "), (2, 3, 4)),
        ((" one", " two", " caf", b"\xc3", b"\xa9"), (2, 3, 4)),  # a letter of two tokens
        ((" one", " two", " ", b"\xc3", " ten"), (2, 3, 4)),  # broken UTF-8
        ((b" \xe2", " one", " two", " ten"), (3,)),  # broken UTF-8 before it
        ((" one", " two nine", " ten"), ()),  # a token across the border
        ((" one", " two ", "nine"), ()),
    ],
)
def test_the_tokens_of_the_rest_are_kept_where_one_begins_with_it(
    pieces: tuple[str | bytes, ...], kept: tuple[int, ...]
) -> None:
    whole = tokenized(*pieces)
    before = " �" if isinstance(pieces[0], bytes) else ""
    (rest,) = without_repetition(f"{before} one two", (whole,))
    assert rest.tokens == kept
    assert rest.logprobs == tuple(whole.logprobs[number] for number in kept)
    assert rest.token_bytes == tuple(whole.token_bytes[number] for number in kept)
    assert not kept or b"".join(rest.token_bytes).decode(errors="replace") == rest.text
    assert (rest.start_token, rest.end_token) == (None, 150 if kept else None)
    assert rest.seek_ms == 70


def test_words_keep_their_times() -> None:
    words = (Word(0, 200, " one"), Word(200, 400, " two,"), Word(700, 900, " nine"))
    (kept,) = without_repetition(" one two", (segment(" one two, nine", words=words),))
    assert kept == Segment(700, 1_000, " nine", words[2:])


def test_words_with_several_blanks_keep_their_times() -> None:
    """A dash is part of a word."""
    words = (Word(0, 200, " - one"), Word(200, 400, " two"), Word(700, 900, " nine ?"))
    (kept,) = without_repetition(" - one two", (segment(" - one two nine ?", words=words),))
    assert kept == Segment(700, 1_000, " nine ?", words[2:])


WORDS = st.lists(st.sampled_from(["one", "two", "three", "four", "five"]), max_size=12)


@settings(max_examples=200, deadline=None)
@given(WORDS, WORDS, st.integers(1, 5))
def test_what_is_kept_is_the_end_of_what_came(before: list[str], after: list[str], size: int) -> None:
    texts = ["".join(f" {word}" for word in after[start : start + size]) for start in range(0, len(after), size)]
    kept = joined(" ".join(before), *texts)
    assert "".join(texts).endswith(kept)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(), unique=True, min_size=6, max_size=30), st.data())
def test_an_exact_repetition_is_dropped(numbers: list[int], data: st.DataObject) -> None:
    words = [f"w{number}" for number in numbers]
    cut = data.draw(st.integers(2, len(words)))
    first = data.draw(st.integers(0, cut - 2))
    assert joined(" ".join(words[:cut]), " " + " ".join(words[first:])).split() == words[cut:]
