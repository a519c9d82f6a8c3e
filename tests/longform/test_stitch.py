"""Stitching: no word is lost or doubled where windows overlap, although models are unreliable at their edges."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.longform.stitch import Stitcher
from asr_api.transcript import Quality, Segment, WindowSpan, WindowTranscript, Word

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LONG_WORDS = ["country", "important", "yesterday", "together"]
VOCABULARY = [*DIGITS, "the", "of", "and", "a", "to", "is", "it", "was", *LONG_WORDS]


@dataclass(frozen=True)
class Spoken:
    text: str
    start_ms: int
    end_ms: int


def spoken(texts: list[str], rng: random.Random) -> list[Spoken]:
    """The words at a natural pace: 60 ms a letter, sometimes with a breath in between."""
    words, now_ms = [], rng.randrange(500)
    for text in texts:
        duration_ms = 120 + 60 * len(text)
        words.append(Spoken(text, now_ms, now_ms + duration_ms))
        now_ms += duration_ms + rng.choice((20, 60, 60, 250))
    return words


def window_transcript(words: list[Spoken], span: WindowSpan, rng: random.Random, noise_ms: int) -> WindowTranscript:
    """The words of a window as a model gives them: cut words are garbled or missing, times are off."""
    texts: list[tuple[str, int, int]] = []
    for word in words:
        if span.start_ms <= word.start_ms and word.end_ms <= span.end_ms:
            texts.append((word.text, word.start_ms, word.end_ms))
        elif word.start_ms < span.end_ms and word.end_ms > span.start_ms and rng.random() < 0.5:
            texts.append(("uh" + word.text[:1], max(word.start_ms, span.start_ms), min(word.end_ms, span.end_ms)))
    segments = []
    last_ms = 0
    while texts:
        group = texts[: rng.randint(1, 9)]
        texts = texts[len(group) :]
        start_ms, end_ms = (
            time_ms - span.start_ms + rng.randint(-noise_ms, noise_ms) for time_ms in (group[0][1], group[-1][2])
        )
        start_ms = max(last_ms, start_ms)
        last_ms = max(start_ms, end_ms)
        segments.append(Segment(start_ms, last_ms, "".join(" " + text for text, _, _ in group)))
    return WindowTranscript(tuple(segments))


def timed(transcript: WindowTranscript, words: list[Spoken], span: WindowSpan) -> WindowTranscript:
    """The same with the true times of its words, as far as their segment reaches."""
    segments = []
    ahead = iter([word for word in words if word.start_ms < span.end_ms and word.end_ms > span.start_ms])
    for segment in transcript.segments:
        timed_words = []
        for text in segment.text.split():
            word = next(word for word in ahead if word.text == text or text == "uh" + word.text[:1])
            times = (word.start_ms - span.start_ms, word.end_ms - span.start_ms)
            start_ms, end_ms = (min(max(time, segment.start_ms), segment.end_ms) for time in times)
            timed_words.append(Word(start_ms, end_ms, f" {text}", 0.5))
        segments.append(replace(segment, words=tuple(timed_words), quality=Quality(temperature=0.2)))
    return WindowTranscript(tuple(segments))


def spans(words: list[Spoken], window_ms: int, overlap_ms: int) -> list[WindowSpan]:
    """Windows that all overlap, as over loud music."""
    result: list[WindowSpan] = []
    start_ms, length_ms = 0, words[-1].end_ms + 100
    while True:
        end_ms = min(start_ms + window_ms, length_ms)
        before_ms, after_ms = overlap_ms if start_ms else 0, 0 if end_ms == length_ms else overlap_ms
        result.append(WindowSpan(len(result), start_ms, end_ms, before_ms, after_ms))
        if end_ms == length_ms:
            return result
        start_ms = end_ms - overlap_ms


def stitched(*windows: tuple[WindowSpan, WindowTranscript]) -> list[Segment]:
    stitcher = Stitcher()
    segments = [segment for span, transcript in windows for segment in stitcher.push(span, transcript)]
    return [*segments, *stitcher.finish()]


TWO_SPANS = WindowSpan(0, 0, 30_000, 0, 5_000), WindowSpan(1, 25_000, 40_000, 5_000, 0)


def stitched_pair(first: WindowTranscript, second: WindowTranscript) -> list[Segment]:
    return stitched((TWO_SPANS[0], first), (TWO_SPANS[1], second))


def assert_complete(words: list[Spoken], segments: list[Segment]) -> None:
    assert "".join(segment.text for segment in segments).split() == [word.text for word in words]
    edges = [time_ms for segment in segments for time_ms in (segment.start_ms, segment.end_ms)]
    assert edges == sorted(edges)


def texts_of(vocabulary: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(vocabulary), min_size=40, max_size=120)


PHRASES = st.lists(st.tuples(st.integers(1, 6), st.sampled_from(VOCABULARY)), min_size=10, max_size=30)
REPEATED = PHRASES.map(lambda phrases: [text for times, word in phrases for text in [*["no"] * times, word]])


@pytest.mark.parametrize(
    ("strategy", "overlap_ms", "noise_ms"),
    [(texts_of(VOCABULARY), 4_000, 200), (texts_of(DIGITS), 5_000, 150), (REPEATED, 5_000, 50)],
    ids=["any words", "strings of digits", "repeated words"],
)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data(), st.integers(0, 2**32))
def test_no_word_is_lost_or_doubled(
    strategy: st.SearchStrategy[list[str]], overlap_ms: int, noise_ms: int, data: st.DataObject, seed: int
) -> None:
    rng = random.Random(seed)
    words = spoken(data.draw(strategy), rng)
    windows = [(span, window_transcript(words, span, rng, noise_ms)) for span in spans(words, 20_000, overlap_ms)]
    assert_complete(words, stitched(*windows))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(texts_of(VOCABULARY), st.integers(0, 2**32))
def test_words_stay_with_their_text_and_keep_their_times(texts: list[str], seed: int) -> None:
    rng = random.Random(seed)
    words = spoken(texts, rng)
    segments = stitched(
        *((span, timed(window_transcript(words, span, rng, 0), words, span)) for span in spans(words, 20_000, 4_000))
    )
    assert_complete(words, segments)
    for segment in segments:
        assert "".join(word.text for word in segment.words) == segment.text
        edges = [segment.start_ms, *(t for w in segment.words for t in (w.start_ms, w.end_ms)), segment.end_ms]
        assert edges == sorted(edges)
        assert segment.quality == Quality(temperature=0.2)
    found = [Spoken(word.text[1:], word.start_ms, word.end_ms) for segment in segments for word in segment.words]
    assert found == words


def test_a_word_cut_at_a_seam_is_timed_in_proportion() -> None:
    """Windows may disagree on what is one word where nothing stands between words."""
    first = Segment(26_000, 30_000, "今日は天", (Word(26_000, 29_000, "今日は", 0.5), Word(29_000, 30_000, "天", 0.6)))
    second = Segment(0, 9_000, "は天気が", (Word(2_900, 6_000, "は天気", 0.7), Word(6_000, 9_000, "が", 0.8)))
    segments = stitched_pair(WindowTranscript((first,)), WindowTranscript((second,)))
    words = [(word.text, word.probability) for segment in segments for word in segment.words]
    assert words == [("今日は", 0.5), ("天気", 0.7), ("が", 0.8)]
    assert [segment.text for segment in segments] == ["今日は", "天気が"]
    assert segments[1].words[0] == Word(29_000, 31_000, "天気")  # not before the segment in front of it ends


def window(*segments: tuple[int, int, str]) -> WindowTranscript:
    return WindowTranscript(tuple(Segment(*segment) for segment in segments))


def test_at_a_quiet_cut_segments_are_final_and_unchanged() -> None:
    stitcher = Stitcher()
    first = stitcher.push(WindowSpan(0, 0, 27_000), window((0, 2_000, " Hello,"), (2_500, 27_400, " world.")))
    assert first == (Segment(0, 2_000, " Hello,"), Segment(2_500, 27_000, " world."))
    second = stitcher.push(WindowSpan(1, 27_000, 30_000), window((500, 3_000, " Bye.")))
    assert second == (Segment(27_500, 30_000, " Bye."),)
    assert stitcher.finish() == ()


def test_segments_before_an_overlap_are_final_at_once() -> None:
    stitcher = Stitcher()
    first = window((0, 20_000, " a b c"), (20_000, 29_000, " d e f"))
    assert stitcher.push(TWO_SPANS[0], first) == (Segment(0, 20_000, " a b c"),)
    assert stitcher.finish() == (Segment(20_000, 29_000, " d e f"),)


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (window((24_000, 29_900, " only in the first")), window(), " only in the first"),
        (window(), window((100, 4_000, " only in the second")), " only in the second"),
        (
            window((25_000, 30_000, " alpha bravo charlie delta")),
            window((0, 5_000, " echo foxtrot golf hotel")),
            " alpha bravo golf hotel",  # no agreement: each up to the middle
        ),
        (
            window((20_000, 30_000, " 今日は天気がいいですね")),
            window((0, 9_000, "がいいですね。明日も晴れ")),
            " 今日は天気がいいですね。明日も晴れ",
        ),
        (window((25_000, 29_000, " It's ninety-seven.")), window((100, 4_000, " its ninety seven")), None),
    ],
    ids=["then silence", "after silence", "disagreement", "no spaces", "punctuation"],
)
def test_a_seam(first: WindowTranscript, second: WindowTranscript, text: str | None) -> None:
    joined = "".join(segment.text for segment in stitched_pair(first, second))
    if text is None:
        assert joined.lower().replace("'", "").count("its") == 1
    else:
        assert joined == text


def test_a_word_at_the_end_is_kept_if_the_next_window_has_no_text() -> None:
    segments = stitched_pair(window((26_000, 27_000, " one"), (30_000, 30_000, " last")), window())
    assert [segment.text for segment in segments] == [" one", " last"]
