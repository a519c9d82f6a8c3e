"""Tokens become words and segments: no text is lost, times are in order and inside the audio."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_api.engines.hf.segments import MAX_SEGMENT_MS, PAUSE_MS, ModelOutput, TimedToken, timed_segments, whole_segment
from asr_api.text.compression import compression_ratio
from asr_api.transcript import Doubt, Quality


class Characters:
    """A vocabulary of characters; a space is the delimiter, a tab a control token without text."""

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        return [chr(token) for token in tokens]

    def text(self, tokens: Sequence[int]) -> str:
        return " ".join("".join(chr(token) for token in tokens if token != ord("\t")).split())


class NoMarks(Characters):
    """Its pieces do not mark where words begin."""

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        return [" ?"] * len(tokens)

    def text(self, tokens: Sequence[int]) -> str:
        return "".join(chr(token) for token in tokens)[::-1]


def timed(text: str, *, start_ms: int = 0, step_ms: int = 20) -> list[TimedToken]:
    times = [start_ms + step_ms * index for index in range(len(text))]
    return [TimedToken(ord(char), time, time + step_ms, 0.5) for char, time in zip(text, times, strict=True)]


def test_words_and_their_times() -> None:
    (segment,) = timed_segments(timed("hi you", start_ms=100), Characters(), 1000, with_words=True)
    assert (segment.start_ms, segment.end_ms, segment.text) == (100, 220, " hi you")
    assert [(word.start_ms, word.end_ms, word.text, word.probability) for word in segment.words] == [
        (100, 140, " hi", 0.5),
        (160, 220, " you", 0.5),
    ]
    (without_words,) = timed_segments(timed("hi"), Characters(), 1000)
    assert without_words.words == ()


def test_segments_end_with_a_sentence_and_at_a_pause() -> None:
    tokens = [*timed("one. two"), *timed(" "), *timed("b c", start_ms=2000 + PAUSE_MS)]
    texts = [segment.text for segment in timed_segments(tokens, Characters(), 9000)]
    assert texts == [" one.", " two", " b c"]
    (whole,) = timed_segments(tokens, Characters(), 9000, is_split=False)
    assert whole.text == " one. two b c"


def test_segments_are_short_enough_to_read() -> None:
    segments = timed_segments(timed("word " * 60, step_ms=100), Characters(), 30_000)
    assert len(segments) == 3
    assert all(segment.end_ms - segment.start_ms <= MAX_SEGMENT_MS for segment in segments)


def test_characters_are_words_in_scripts_without_spaces() -> None:
    (segment,) = timed_segments(timed("你好 ok吗"), Characters(), 1000, with_words=True)
    assert segment.text == "你好 ok吗"
    assert [word.text for word in segment.words] == ["你", "好", " ok", "吗"]


def test_vocabulary_without_word_marks() -> None:
    (segment,) = timed_segments(timed("abc"), NoMarks(), 1000, with_words=True)
    assert (segment.text, segment.words, segment.end_ms) == (" cba", (), 60)


@pytest.mark.parametrize("text", ["", " ", "\t", " \t "])
def test_no_text_gives_no_segment(text: str) -> None:
    assert timed_segments(timed(text), Characters(), 1000) == ()
    assert whole_segment(ModelOutput(timed(text)), Characters(), 1000) == ()


@pytest.mark.parametrize(("is_whole", "doubts"), [(True, ()), (False, ("low_confidence",))])
def test_segment_of_a_model_without_times(is_whole: bool, doubts: tuple[Doubt, ...]) -> None:
    output = ModelOutput([TimedToken(ord(char)) for char in "hi you"], is_whole)
    (segment,) = whole_segment(output, Characters(), 777)
    quality = Quality(mean_logprob=None, compression_ratio=compression_ratio("hi you"), doubts=doubts)
    assert (segment.start_ms, segment.end_ms, segment.text, segment.quality) == (0, 777, " hi you", quality)


def test_segments_have_the_figures_of_their_window() -> None:
    """The mean log-probability is that of all tokens; a probability of no speech is not invented."""
    tokens = [*timed("one. two"), TimedToken(ord("s"), 200, 220, 0.1)]
    first, second = timed_segments(tokens, Characters(), 9000)
    assert first.quality == second.quality
    assert first.quality is not None
    assert first.quality.mean_logprob == pytest.approx((8 * math.log(0.5) + math.log(0.1)) / 9)
    assert first.quality.compression_ratio == compression_ratio("one. twos")
    assert (first.quality.temperature, first.quality.no_speech_probability) == (0.0, None)
    (without_words,) = timed_segments(timed("abc"), NoMarks(), 1000)
    assert without_words.quality is not None


def test_a_model_without_probabilities_has_no_mean() -> None:
    (segment,) = timed_segments([TimedToken(ord("a"), 0, 20)], Characters(), 1000, with_words=True)
    assert segment.quality is not None
    assert segment.quality.mean_logprob is None
    assert [word.probability for word in segment.words] == [1.0]


@given(st.text(alphabet="ab .\t你吗", max_size=60), st.integers(1, 3000), st.booleans())
def test_text_is_kept_in_order_inside_the_audio(text: str, audio_ms: int, is_split: bool) -> None:
    segments = timed_segments(timed(text), Characters(), audio_ms, is_split=is_split, with_words=True)
    assert "".join(segment.text for segment in segments).strip() == Characters().text([ord(char) for char in text])
    times = [time for segment in segments for word in segment.words for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert all(time <= audio_ms for time in times)
    assert all("".join(word.text for word in segment.words) == segment.text for segment in segments)
    assert is_split or len(segments) <= 1
