"""Lost speech: speech without words is found, wherever it is in a window; pauses, noise and doubtful text are not."""

from __future__ import annotations

import pytest

from asr_api.longform.lost_speech import LostSpeech, find_lost_speech
from asr_api.transcript import Segment, WindowTranscript
from tests.speech_activities import PAUSE, SPEECH, activity

SPOKEN = activity((SPEECH, 19.2))


def segment(start_ms: int, end_ms: int, *, num_tokens: int = 100) -> Segment:
    return Segment(start_ms, end_ms, " words", tokens=tuple(range(num_tokens)))


def lost(*segments: Segment, end_ms: int = 19_200, start_ms: int = 0) -> LostSpeech | None:
    return find_lost_speech(SPOKEN, start_ms, end_ms, WindowTranscript(segments))


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        pytest.param((), LostSpeech(0, 19_200), id="all"),
        pytest.param((segment(0, 19_200),), None, id="nothing"),
        pytest.param((segment(0, 9_600),), LostSpeech(9_600, 19_200), id="the end"),
        pytest.param((segment(9_600, 19_200),), LostSpeech(0, 9_600, has_text_behind=True), id="the beginning"),
        pytest.param(
            (segment(0, 6_400), segment(9_600, 19_200)),
            LostSpeech(6_400, 9_600, has_text_behind=True),
            id="the middle",
        ),
        pytest.param((segment(0, 6_400), segment(7_360, 18_300)), None, id="less than a second"),
        pytest.param((segment(0, 9_600), segment(3_200, 6_400), segment(9_600, 19_200)), None, id="segments overlap"),
        pytest.param((segment(0, 40_000),), None, id="a segment longer than the audio"),
        pytest.param((segment(19_200, 19_200),), LostSpeech(0, 19_200, has_text_behind=True), id="an empty segment"),
    ],
)
def test_speech_without_words_is_found(segments: tuple[Segment, ...], expected: LostSpeech | None) -> None:
    assert lost(*segments) == expected


@pytest.mark.parametrize(("num_tokens", "is_lost"), [(15, True), (16, False), (0, False)])
def test_a_segment_with_few_tokens_for_its_speech_leaves_words_out(num_tokens: int, is_lost: bool) -> None:
    """No tokens: of a model that gives none."""
    sparse = segment(3_200, 12_800, num_tokens=num_tokens)
    found = lost(segment(0, 3_200), sparse, segment(12_800, 19_200))
    assert found == (LostSpeech(3_200, 12_800) if is_lost else None)


@pytest.mark.parametrize(
    ("duration_ms", "num_chars", "end_ms", "is_lost"),
    [
        pytest.param(1_000, 36, 19_200, True, id="more than can be said"),
        pytest.param(1_000, 34, 19_200, False, id="fast speech"),
        pytest.param(100, 29, 19_200, False, id="a few words with a wrong time"),
        pytest.param(900, 40, 900, False, id="at the end of a window, where times are cut off"),
    ],
)
def test_a_text_that_is_too_long_for_its_time_was_not_spoken(
    duration_ms: int, num_chars: int, end_ms: int, is_lost: bool
) -> None:
    said = Segment(0, duration_ms, "x" * num_chars, tokens=tuple(range(10)))
    rest = segment(duration_ms, end_ms) if end_ms > duration_ms else segment(end_ms, end_ms)
    assert lost(said, rest, end_ms=end_ms) == (LostSpeech(0, duration_ms) if is_lost else None)


def test_few_tokens_are_enough_for_little_speech() -> None:
    assert lost(segment(0, 2_976, num_tokens=1), end_ms=2_976) is None
    long = WindowTranscript((segment(0, 19_200, num_tokens=2),))
    assert find_lost_speech(activity((SPEECH, 1.6), (PAUSE, 17.6)), 0, 19_200, long) is None


def test_speech_behind_the_end_of_a_window_belongs_to_the_next() -> None:
    assert lost(segment(0, 6_400), end_ms=6_400) is None
    assert lost(segment(0, 6_400), end_ms=7_700) == LostSpeech(6_400, 7_700)


def test_times_are_relative_to_the_window() -> None:
    speech = activity((PAUSE, 9.6), (SPEECH, 3.2), (PAUSE, 3.2))
    assert find_lost_speech(speech, 6_400, 9_600, WindowTranscript(())) == LostSpeech(0, 9_600)
    assert find_lost_speech(speech, 6_400, 9_600, WindowTranscript((segment(3_200, 6_400),))) is None
    assert find_lost_speech(speech, 0, 9_600, WindowTranscript(())) is None
    assert find_lost_speech(speech, 12_800, 3_200, WindowTranscript(())) is None


def test_pauses_and_weak_speech_are_no_loss() -> None:
    weak = activity((0.45, 10.0), amplified=0.9)
    assert find_lost_speech(weak, 0, 10_000, WindowTranscript(())) is None


def test_text_that_was_left_out_stands_for_the_speech_under_it() -> None:
    omitted = (segment(12_800, 19_200), segment(3_200, 9_600))
    transcript = WindowTranscript((segment(0, 3_200), segment(9_600, 12_800)), omitted=omitted)
    assert find_lost_speech(SPOKEN, 0, 19_200, transcript) is None


def test_a_second_loss_is_found_behind_the_first() -> None:
    transcript = WindowTranscript((segment(3_200, 6_400), segment(9_600, 12_800), segment(12_800, 19_200)))
    first = find_lost_speech(SPOKEN, 0, 19_200, transcript)
    assert first == LostSpeech(0, 3_200, has_text_behind=True)
    second = find_lost_speech(SPOKEN, 0, 19_200, transcript, from_ms=first.end_ms)
    assert second == LostSpeech(6_400, 9_600, has_text_behind=True)
    assert find_lost_speech(SPOKEN, 0, 19_200, transcript, from_ms=second.end_ms) is None
