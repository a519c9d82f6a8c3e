"""Segment times: segments and words begin and end with the speech under them; their text stays."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.audio.vad.speech_activity import SpeechActivity
from asr_api.longform.segment_times import KEPT_MS, MAX_TAIL_MS, MIN_PAUSE_MS, timed
from asr_api.transcript import Segment, WindowTranscript, Word
from tests.speech_activities import PAUSE, SPEECH, activity


def timed_one(speech: SpeechActivity, segment: Segment) -> Segment:
    return timed(speech, WindowTranscript((segment,))).segments[0]


def words_at(*times: int) -> tuple[Word, ...]:
    """Words that follow each other."""
    return tuple(Word(start_ms, end_ms, f" {start_ms}") for start_ms, end_ms in pairwise(times))


def test_a_segment_begins_with_its_speech() -> None:
    segment = timed_one(activity((PAUSE, 12.0), (SPEECH, 3.0)), Segment(0, 15_000, " Good morning."))
    assert abs(segment.start_ms - 12_000) <= 100
    assert segment.end_ms == 15_000


def test_a_segment_ends_with_its_speech() -> None:
    segment = timed_one(activity((SPEECH, 3.2), (PAUSE, 6.0)), Segment(0, 9_000, " Good morning."))
    assert (segment.start_ms, segment.end_ms) == (0, 3_200 + KEPT_MS)


def test_short_pauses_belong_to_a_segment() -> None:
    speech = activity((PAUSE, 0.96), (SPEECH, 3.2), (PAUSE, 3.0))
    segment = Segment(960 - MIN_PAUSE_MS + 1, 4_160 + MAX_TAIL_MS, " Good morning.")
    assert timed_one(speech, segment) == segment


def test_times_stay_where_no_speech_is_found() -> None:
    segment = Segment(1_000, 4_000, " Psst.", words_at(1_000, 4_000))
    assert timed_one(activity((PAUSE, 5.0)), segment) == segment
    assert timed_one(activity((SPEECH, 0.96)), segment) == segment  # behind the end of the audio


def test_words_and_their_segment_agree() -> None:
    speech = activity((PAUSE, 12.0), (SPEECH, 3.2), (PAUSE, 4.8))
    segment = timed_one(speech, Segment(0, 20_000, " 0 12500 14000", words_at(0, 12_500, 14_000, 20_000)))
    assert abs(segment.words[0].start_ms - 12_000) <= 100
    assert segment.words[-1].end_ms == 15_200 + KEPT_MS
    assert (segment.start_ms, segment.end_ms) == (segment.words[0].start_ms, segment.words[-1].end_ms)


def test_a_word_begins_after_the_pause_before_it() -> None:
    speech = activity((SPEECH, 1.6), (PAUSE, 1.6), (SPEECH, 1.6))
    segment = timed_one(speech, Segment(0, 4_800, " 0 1600 4000", words_at(0, 1_600, 4_000, 4_800)))
    assert [word.start_ms for word in segment.words] == [0, 3_200 - KEPT_MS, 4_000]


@pytest.mark.parametrize("time_ms", [0, 320, 999, 1_000, 2_000])
def test_empty_times_stay(time_ms: int) -> None:
    segment = Segment(time_ms, time_ms, " a", words_at(time_ms, time_ms))
    assert timed_one(activity((SPEECH, 1.0)), segment) == segment


PARTS = st.lists(st.tuples(st.sampled_from([PAUSE, 0.2, 0.35, SPEECH]), st.floats(0.02, 3)), min_size=1, max_size=8)
TIMES = st.lists(st.integers(0, 12_000), min_size=2, max_size=12).map(sorted)


@settings(max_examples=100, deadline=None)
@given(PARTS, TIMES, st.booleans())
def test_times_are_in_order_and_inside_the_old_ones(
    parts: list[tuple[float, float]], times: list[int], has_words: bool
) -> None:
    segments = tuple(
        Segment(start_ms, end_ms, " a b", words_at(start_ms, (start_ms + end_ms) // 2, end_ms) if has_words else ())
        for start_ms, end_ms in pairwise(times)
    )
    result = timed(activity(*parts), WindowTranscript(segments, "en", num_tokens=5))
    assert (result.language, result.num_tokens) == ("en", 5)
    assert [segment.text for segment in result.segments] == [segment.text for segment in segments]
    edges = [edge for segment in result.segments for edge in (segment.start_ms, segment.end_ms)]
    assert edges == sorted(edges)
    for segment, old in zip(result.segments, segments, strict=True):
        assert old.start_ms <= segment.start_ms <= segment.end_ms <= old.end_ms
        assert [word.text for word in segment.words] == [word.text for word in old.words]
        inside = [edge for word in segment.words for edge in (word.start_ms, word.end_ms)]
        assert inside == sorted(inside)
        assert not inside or (inside[0], inside[-1]) == (segment.start_ms, segment.end_ms)


def test_words_that_were_aligned_with_noise_are_put_where_the_speech_is() -> None:
    speech = activity((PAUSE, 0.96), (SPEECH, 1.92), (PAUSE, 5.76))
    words = (Word(5_000, 5_500, " in"), Word(5_500, 6_400, " 1813."))
    transcript = WindowTranscript((Segment(0, 8_000, " in 1813.", words=words),))
    (segment,) = timed(speech, transcript).segments
    assert [word.text for word in segment.words] == [" in", " 1813."]
    assert 896 <= segment.words[0].start_ms < segment.words[1].start_ms < segment.words[1].end_ms <= 2_944


def test_a_first_word_that_was_aligned_with_noise_begins_with_the_speech() -> None:
    speech = activity((PAUSE, 3.2), (SPEECH, 3.2))
    words = (Word(1_000, 1_300, " To"), Word(1_300, 3_900, " the"), Word(3_900, 6_000, " north"))
    (segment,) = timed(speech, WindowTranscript((Segment(0, 6_000, " To the north", words=words),))).segments
    assert segment.start_ms == segment.words[0].start_ms == segment.words[1].start_ms == 3_200 - 64
    assert segment.words[2] == words[2]
