"""Chain: windows follow the text, lost speech gets another beginning, and every chain ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.audio.piece_cutter import Piece
from asr_api.audio.vad.speech_activity import SpeechActivity
from asr_api.longform.chain import KEPT_LEAD_MS, MAX_PREVIOUS_SEGMENTS, Chain, Window
from asr_api.transcript import LanguageGuess, Quality, Segment, StageTimes, WindowTranscript
from tests.speech_activities import PAUSE, SPEECH, ConstantDetector, activity, noise

WINDOW_MS = 30_000
Transcribe = Callable[[Window], WindowTranscript]


def piece(*parts: tuple[float, float], amplified: float = 0.0) -> Piece:
    return Piece(0, 0, activity(*parts, amplified=amplified))


def text(start_ms: int, end_ms: int, words: str = " some words", quality: Quality | None = None) -> Segment:
    return Segment(start_ms, end_ms, words, quality=quality)


def whole(window: Window) -> WindowTranscript:
    return WindowTranscript((text(0, window.length_ms),))


@dataclass
class Run:
    """A chain and the windows that it gave."""

    chain: Chain
    windows: list[Window] = field(default_factory=list)

    @property
    def times(self) -> list[tuple[int, int]]:
        return [(window.start_ms, window.start_ms + window.length_ms) for window in self.windows]

    @property
    def segments(self) -> list[tuple[int, int, str]]:
        return [(segment.start_ms, segment.end_ms, segment.text) for segment in self.chain.result().segments]

    @property
    def omitted(self) -> list[tuple[int, int, str]]:
        return [(segment.start_ms, segment.end_ms, segment.text) for segment in self.chain.result().omitted]


def run(of: Piece, *transcripts: WindowTranscript, then: Transcribe = whole, window_ms: int = WINDOW_MS) -> Run:
    """then: transcribes the windows behind those of `transcripts`"""
    result = Run(Chain(of, window_ms))
    prepared: Iterator[WindowTranscript] = iter(transcripts)
    while window := result.chain.next_window():
        result.windows.append(window)
        assert len(result.windows) < 1_000
        result.chain.push(window, next(prepared, None) or then(window))
    return result


# -- where windows begin -------------------------------------------------------------------------------------------


def test_a_window_begins_where_the_text_before_it_ends() -> None:
    first = WindowTranscript((text(0, 24_000),), resume_ms=24_000)
    done = run(piece((SPEECH, 50.0)), first)
    assert done.times == [(0, 30_000), (24_000, 50_000)]
    assert [window.is_first for window in done.windows] == [True, False]
    assert not any(window.is_retried for window in done.windows)
    assert done.segments == [(0, 24_000, " some words"), (24_000, 50_000, " some words")]


def test_segments_know_the_beginning_of_their_window() -> None:
    first = WindowTranscript((text(0, 9_000), text(9_000, 24_000)), omitted=(text(200, 300),), resume_ms=24_000)
    result = run(piece((SPEECH, 50.0)), first).chain.result()
    assert [segment.seek_ms for segment in result.segments] == [0, 0, 24_000]
    assert [segment.seek_ms for segment in result.omitted] == [0]


@pytest.mark.parametrize("token_bytes", [(), (b" four", b" five", b" six", b" seven")])
def test_a_segment_that_loses_repeated_words_keeps_its_window_and_is_no_previous_text(
    token_bytes: tuple[bytes, ...],
) -> None:
    """Whether its tokens are known or not."""
    first = WindowTranscript((text(0, 20_000, " one two three four five"),))
    cut = replace(text(0, 2_000, " four five six seven"), tokens=(4, 5, 6, 7), token_bytes=token_bytes)
    chain = run(piece((SPEECH, 22.0)), first, WindowTranscript((cut,))).chain
    _, kept = chain.result().segments
    assert (kept.text, kept.seek_ms, kept.tokens) == (" six seven", 20_000, (6, 7) if token_bytes else ())
    assert [segment.text for segment in chain.previous] == [" one two three four five"]


def test_windows_without_a_place_to_resume_follow_each_other() -> None:
    assert run(piece((SPEECH, 75.0))).times == [(0, 30_000), (30_000, 60_000), (60_000, 75_000)]


def test_a_window_that_gets_nowhere_is_not_resumed() -> None:
    """At 0.9 s it would be all the same audio again."""
    stuck = WindowTranscript((text(0, 900), text(900, 30_000)), resume_ms=900)
    assert run(piece((SPEECH, 40.0)), stuck).times == [(0, 30_000), (30_000, 40_000)]


def test_text_behind_the_place_to_resume_does_not_count() -> None:
    done = run(piece((SPEECH, 40.0)), WindowTranscript((text(0, 10_000),), resume_ms=10_000))
    assert done.times == [(0, 30_000), (10_000, 40_000)]
    assert done.chain.num_retries == 0


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.05, 0.0999])
def test_a_rest_too_short_for_a_word_has_no_window(seconds: float) -> None:
    assert run(piece((SPEECH, seconds))).times == []
    assert run(piece((SPEECH, 30 + seconds))).times == [(0, 30_000)]


def test_the_shortest_window_has_a_tenth_of_a_second() -> None:
    assert run(piece((SPEECH, 0.1))).times == [(0, 100)]


# -- without speech ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("probability", [0.0, 0.03])
def test_a_piece_without_speech_has_no_window(probability: float) -> None:
    done = run(piece((probability, 70.0)))
    assert (done.times, done.chain.result()) == ([], WindowTranscript(()))


def test_digital_silence_has_no_window_whatever_the_detector_says() -> None:
    silence = SpeechActivity(np.zeros(160_000, np.int16), np.ones(313, np.float32), lambda: ConstantDetector(1.0))
    assert run(Piece(0, 0, silence)).times == []


def test_quiet_speech_has_windows() -> None:
    assert run(piece((PAUSE, 40.0), amplified=0.8)).times == [(0, 30_000), (30_000, 40_000)]


def test_stretches_without_speech_are_skipped() -> None:
    done = run(piece((SPEECH, 30.0), (PAUSE, 60.1), (SPEECH, 4.9)))
    assert done.times == [(0, 30_000), (90_000, 95_000)]


def test_a_long_lead_without_speech_is_left_out() -> None:
    (window,) = (done := run(piece((PAUSE, 12.8), (SPEECH, 5.2)))).windows
    assert window.start_ms == 12_800 - KEPT_LEAD_MS
    assert window.length_ms == 5_200 + KEPT_LEAD_MS
    assert done.segments == [(12_300, 18_000, " some words")]


@pytest.mark.parametrize(
    "of",
    [
        pytest.param(piece((PAUSE, 1.6), (SPEECH, 5.0)), id="a short lead"),
        pytest.param(piece((0.1, 12.8), (SPEECH, 5.0)), id="there may be speech"),
        pytest.param(piece((PAUSE, 12.8), (0.4, 5.0)), id="no clear speech follows"),
        pytest.param(piece((PAUSE, 12.8), (SPEECH, 5.0), amplified=0.3), id="quiet speech"),
    ],
)
def test_a_lead_in_which_someone_may_speak_is_kept(of: Piece) -> None:
    assert run(of).times == [(0, of.length_ms)]


# -- lost speech ---------------------------------------------------------------------------------------------------


def test_speech_lost_in_the_middle_is_the_beginning_of_the_next_window() -> None:
    lossy = WindowTranscript((text(0, 9_600, " one two three"), text(20_000, 29_900, " far behind")))
    after = WindowTranscript((text(0, 20_400, " two three four"),))
    done = run(piece((SPEECH, 30.0)), lossy, after)
    assert done.times == [(0, 30_000), (9_600, 30_000)]
    assert [part for _, _, part in done.segments] == [" one two three", " four"]
    assert (done.omitted, done.chain.num_retries) == ([], 1)
    assert not done.windows[1].is_retried


def test_words_may_repeat_behind_a_timestamp_of_the_model() -> None:
    """Only where a window was cut short, its text may run ahead of its timestamps."""
    first = WindowTranscript((text(0, 20_000, " no no no no"),), resume_ms=20_000)
    done = run(piece((SPEECH, 30.0)), first, WindowTranscript((text(0, 10_000, " no no no no"),)))
    assert [part for _, _, part in done.segments] == [" no no no no", " no no no no"]


def test_omitted_text_before_a_loss_stays_reported() -> None:
    doubt = text(0, 2_000, " ...")
    behind = text(25_000, 29_000, " la")
    lossy = WindowTranscript((text(2_000, 9_600),), omitted=(doubt, behind))
    assert run(piece((SPEECH, 30.0)), lossy).omitted == [(0, 2_000, " ...")]


def test_speech_lost_at_the_beginning_is_decoded_again_by_itself() -> None:
    lossy = WindowTranscript((text(6_400, 30_000, " the rest"),))
    done = run(piece((SPEECH, 30.0)), lossy)
    assert done.times == [(0, 30_000), (0, 6_400), (6_400, 30_000)]
    assert [window.is_retried for window in done.windows] == [False, True, False]
    assert done.segments == [(0, 6_400, " some words"), (6_400, 30_000, " some words")]
    assert (done.omitted, done.chain.num_retries) == ([], 1)


def test_a_window_without_text_is_decoded_again_up_to_a_pause() -> None:
    done = run(piece((SPEECH, 10.0), (PAUSE, 1.0), (SPEECH, 19.0)), WindowTranscript(()))
    assert done.windows[1].is_retried
    assert 10_000 <= done.windows[1].length_ms <= 11_000
    assert done.windows[2].start_ms == done.windows[1].length_ms


def test_speech_that_stays_without_words_is_reported() -> None:
    done = run(piece((SPEECH, 9.6), (PAUSE, 20.4), (SPEECH, 10.0)), WindowTranscript(()), WindowTranscript(()))
    retried = done.windows[1]
    assert retried.is_retried
    assert done.omitted == [(0, retried.length_ms, "")]
    assert [part.quality and part.quality.doubts for part in done.chain.result().omitted] == [("no_speech",)]
    assert done.windows[2].start_ms >= retried.length_ms


def test_a_second_loss_in_a_retried_window_is_noticed() -> None:
    done = run(
        piece((SPEECH, 30.0)), WindowTranscript((text(20_000, 30_000),)), WindowTranscript((text(8_000, 12_000),))
    )
    assert done.times[:3] == [(0, 30_000), (0, 20_000), (12_000, 30_000)]
    assert done.omitted == [(0, 8_000, "")]


def test_every_second_of_speech_without_text_is_reported_once() -> None:
    done = run(piece((SPEECH, 70.0)), then=lambda _: WindowTranscript(()))
    edges = [edge for start_ms, end_ms, _ in done.omitted for edge in (start_ms, end_ms)]
    assert edges[0] == 0
    assert edges[-1] >= 69_000
    assert edges[1:-1:2] == edges[2::2]


# -- what the next window is given ---------------------------------------------------------------------------------


def test_segments_are_given_to_the_next_window_until_they_are_doubtful() -> None:
    sure, unsure = Quality(), Quality(doubts=("low_confidence",))
    chain, given_segments = Chain(piece((SPEECH, 120.0)), WINDOW_MS), list[int]()
    for quality in (sure, None, unsure, Quality(temperature=0.6), Quality(temperature=0.5)):
        given_segments.append(len(chain.previous))
        window = chain.next_window()
        assert window is not None
        chain.push(window, WindowTranscript((text(0, 20_000, quality=quality),), resume_ms=20_000))
    assert [*given_segments, len(chain.previous)] == [0, 1, 2, 0, 0, 1]


def test_no_more_segments_are_kept_than_a_prompt_holds() -> None:
    short = tuple(text(time_ms, time_ms + 300) for time_ms in range(0, 30_000, 300))
    chain = run(piece((SPEECH, 30.0)), WindowTranscript(short)).chain
    assert chain.previous == short[-MAX_PREVIOUS_SEGMENTS:]


def test_the_language_is_that_of_the_first_text() -> None:
    empty = WindowTranscript((), "fr", resume_ms=10_000, omitted=(text(0, 10_000),))
    english = WindowTranscript((text(0, 10_000),), "en", resume_ms=10_000)
    german = WindowTranscript((text(0, 10_000),), "de", (LanguageGuess("de", 0.9),), resume_ms=10_000)
    chain = Chain(piece((SPEECH, 60.0)), WINDOW_MS)
    languages = []
    for transcript in (empty, english, german):
        window = chain.next_window()
        assert window is not None
        chain.push(window, transcript)
        languages.append((chain.language, chain.result().language))
    assert languages == [(None, "fr"), ("en", "en"), ("en", "en")]


def test_the_result_counts_all_windows() -> None:
    first = WindowTranscript((), num_tokens=2, times=StageTimes(1, 1, 1))
    second = WindowTranscript((text(0, 20_000),), num_tokens=3, resume_ms=20_000, times=StageTimes(1, 2, 3))
    result = run(piece((SPEECH, 30.0)), first, second, then=lambda _: WindowTranscript(())).chain.result()
    assert (result.num_tokens, result.times, result.resume_ms) == (5, StageTimes(2, 3, 4), None)


# -- any engine ----------------------------------------------------------------------------------------------------

PARTS = st.lists(st.tuples(st.sampled_from([PAUSE, 0.2, SPEECH]), st.floats(0.01, 25)), min_size=1, max_size=5)


@st.composite
def transcripts(draw: st.DrawFn, length_ms: int) -> WindowTranscript:
    times = sorted(draw(st.lists(st.integers(0, length_ms), max_size=6)))
    num_tokens = draw(st.sampled_from([0, 1, 60]))
    segments = [
        Segment(start_ms, end_ms, draw(st.sampled_from([" one two", " two one one", " x"])), tokens=(1,) * num_tokens)
        for start_ms, end_ms in zip(times[::2], times[1::2], strict=False)
    ]
    resume_ms = draw(st.none() | st.integers(1, max(1, length_ms - 1)))
    spoken = tuple(part for part in segments if resume_ms is None or part.end_ms <= resume_ms)
    num_omitted = draw(st.integers(0, len(spoken)))
    return WindowTranscript(spoken[num_omitted:], "en", resume_ms=resume_ms, omitted=spoken[:num_omitted])


@settings(max_examples=80, deadline=None)
@given(PARTS, st.sampled_from([1_000, 5_000, 30_000]), st.data())
def test_a_chain_goes_on_and_ends_whatever_the_engine_does(
    parts: list[tuple[float, float]], window_ms: int, data: st.DataObject
) -> None:
    of = piece(*parts)
    done = run(of, then=lambda window: data.draw(transcripts(window.length_ms)), window_ms=window_ms)
    starts = [window.start_ms for window in done.windows]
    assert starts == sorted(starts)
    fresh = [window.start_ms for window in done.windows if not window.is_retried]
    assert len(fresh) == len(set(fresh))
    assert len(done.windows) <= 2 * (of.length_ms / 1_000 + 1)
    for window in done.windows:
        assert 0 < window.length_ms <= window_ms
        assert window.start_ms + window.length_ms <= of.length_ms
    edges = [edge for start_ms, end_ms, _ in done.segments for edge in (start_ms, end_ms)]
    assert edges == sorted(edges)
    assert all(0 <= start_ms <= end_ms <= of.length_ms for start_ms, end_ms, _ in [*done.segments, *done.omitted])


def test_a_piece_that_ends_between_chunks_is_transcribed_to_its_end() -> None:
    samples = noise(31.2345, 100)
    odd = SpeechActivity(samples, np.full(977, SPEECH, np.float32), lambda: ConstantDetector(0.0))
    done = run(Piece(0, 0, odd))
    assert done.times == [(0, 30_000), (30_000, 31_234)]
    assert sum(len(window.pcm) for window in done.windows) == len(samples)
