"""Assembly: segments in absolute time, in order, inside the audio; language and usage of the whole recording."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.events import FinalSegments, TranscriptEnd
from asr_api.longform.assembly import TranscriptAssembler
from asr_api.longform.transcription import TranscribedPiece
from asr_api.pcm import AudioEnd
from asr_api.transcript import LanguageGuess, Segment, StageTimes, Usage, WindowTranscript, Word


def piece(start_ms: int, end_ms: int, *segments: Segment, language: str | None = "en") -> TranscribedPiece:
    return TranscribedPiece(start_ms, end_ms, WindowTranscript(segments, language))


def words_at(*times: int) -> tuple[Word, ...]:
    return tuple(Word(start_ms, end_ms, f" {start_ms}") for start_ms, end_ms in pairwise(times))


def test_times_are_absolute() -> None:
    omitted = (Segment(100, 200, " la", (Word(100, 200, " la"),)),)
    transcript = WindowTranscript(
        (Segment(500, 900, " Hello.", (Word(500, 900, " Hello."),)),), "en", omitted=omitted, times=StageTimes(1, 2, 3)
    )
    event = TranscriptAssembler(None).add(TranscribedPiece(10_000, 20_000, transcript))
    assert event == FinalSegments(
        (Segment(10_500, 10_900, " Hello.", (Word(10_500, 10_900, " Hello."),)),),
        20_000,
        "en",
        (Segment(10_100, 10_200, " la", (Word(10_100, 10_200, " la"),)),),
        StageTimes(1, 2, 3),
    )


def test_a_language_that_others_voted_for_has_the_probability_that_the_window_gave_it() -> None:
    guesses = (LanguageGuess("nn", 0.5), LanguageGuess("en", 0.3))
    for code, expected in (("nn", 0.5), ("en", 0.3), ("fr", 0.0)):
        transcript = WindowTranscript((), code, guesses)
        assert TranscriptAssembler(None).add(TranscribedPiece(0, 9, transcript)).language_probability == expected


def test_the_beginning_of_a_window_is_absolute_whatever_the_times_of_its_text() -> None:
    omitted = Segment(100, 200, " la", seek_ms=4_000)
    transcript = WindowTranscript((Segment(0, 9_000, " a", seek_ms=0), Segment(7_000, 9_500, " b", seek_ms=4_000)))
    event = TranscriptAssembler(None).add(TranscribedPiece(10_000, 18_000, replace(transcript, omitted=(omitted,))))
    assert [(segment.start_ms, segment.seek_ms) for segment in event.segments] == [(10_000, 10_000), (18_000, 14_000)]
    assert [segment.seek_ms for segment in event.omitted] == [14_000]


def test_segments_end_with_their_piece_and_their_words_with_them() -> None:
    long = Segment(8_000, 12_000, " a b", words_at(8_000, 9_500, 12_000))
    late = Segment(11_000, 12_000, " c", words_at(11_000, 12_000))
    (first, second) = TranscriptAssembler(None).add(piece(5_000, 15_000, long, late)).segments
    assert first == Segment(13_000, 15_000, " a b", (Word(13_000, 14_500, " 8000"), Word(14_500, 15_000, " 9500")))
    assert second == Segment(15_000, 15_000, " c", (Word(15_000, 15_000, " 11000"),))


def test_segments_do_not_overlap() -> None:
    assembler = TranscriptAssembler(None)
    event = assembler.add(piece(0, 10_000, Segment(0, 6_000, " a"), Segment(4_000, 9_000, " b")))
    assert event.segments == (Segment(0, 6_000, " a"), Segment(6_000, 9_000, " b"))
    inside = assembler.add(piece(10_000, 20_000, Segment(0, 9_000, " c"), Segment(100, 500, " d")))
    assert inside.segments == (Segment(10_000, 19_000, " c"), Segment(19_000, 19_000, " d"))


def test_the_language_with_the_most_speech_is_the_recordings() -> None:
    assembler = TranscriptAssembler("fr")
    assert assembler.add(piece(0, 10, language=None)).language == "fr"  # as requested
    assert assembler.add(piece(10, 10_000, Segment(0, 1_000, " Ja."), language="de")).language == "de"
    assert assembler.add(piece(10_000, 20_000, Segment(0, 9_000, " Yes."), language="en")).language == "en"
    assert assembler.add(piece(20_000, 30_000, language=None)).language == "en"  # of the piece before
    assert assembler.finish(AudioEnd()).language == "en"


def test_usage_and_length_are_of_all_pieces() -> None:
    assembler = TranscriptAssembler(None)
    for start_ms in (0, 10_000):
        transcript = WindowTranscript((), num_tokens=7, times=StageTimes(1, 2, 3))
        assembler.add(TranscribedPiece(start_ms, start_ms + 10_000, transcript))
    end = AudioEnd(is_truncated=True)
    assert assembler.finish(end) == TranscriptEnd(20_000, None, Usage(20_000, 2, 14, StageTimes(2, 4, 6)), end)


def test_a_recording_without_audio_has_an_end() -> None:
    assert TranscriptAssembler(None).finish(AudioEnd()) == TranscriptEnd(0)
    assembler = TranscriptAssembler("en")
    assert assembler.add(piece(3_000, 3_000, language=None)) == FinalSegments((), 3_000, "en")
    assert assembler.finish(AudioEnd()).audio_ms == 3_000


TIMES = st.tuples(st.integers(0, 12_000), st.integers(0, 12_000)).map(sorted)
PIECES = st.lists(st.tuples(st.integers(0, 9_000), st.lists(TIMES, max_size=6).map(sorted)), max_size=5)


@settings(max_examples=150, deadline=None)
@given(PIECES)
def test_segments_are_in_order_and_inside_the_audio(pieces: list[tuple[int, list[list[int]]]]) -> None:
    """Whatever times the model gives."""
    assembler, segments, texts, start_ms = TranscriptAssembler(None), list[Segment](), list[str](), 0
    for length_ms, times in pieces:
        given_segments = [Segment(a, b, f" {a} {b}", words_at(a, (a + b) // 2, b)) for a, b in times]
        event = assembler.add(piece(start_ms, start_ms + length_ms, *given_segments))
        assert all(start_ms <= segment.start_ms <= segment.end_ms <= event.audio_ms for segment in event.segments)
        start_ms = event.audio_ms
        segments += event.segments
        texts += [segment.text for segment in given_segments]
    assert assembler.finish(AudioEnd()).audio_ms == start_ms
    assert [segment.text for segment in segments] == texts
    edges = [edge for segment in segments for edge in (segment.start_ms, segment.end_ms)]
    assert edges == sorted(edges)
    for segment in segments:
        inside = [edge for word in segment.words for edge in (word.start_ms, word.end_ms)]
        assert [segment.start_ms, *inside, segment.end_ms] == sorted([segment.start_ms, *inside, segment.end_ms])
