"""Segment times: segments and words begin and end with the speech under them, by the probabilities of the detector.

Models give times before a first word: a second after 12 s of noise, half a second after a pause.
"""

from __future__ import annotations

from dataclasses import replace

from asr_api.audio.vad.speech_activity import CHUNK_MS, SpeechActivity
from asr_api.transcript import Segment, WindowTranscript, Word

SOUND = 0.3  # probability of speech in which a word may begin or end
MIN_PAUSE_MS = 200  # less than that before a word belongs to it
MAX_TAIL_MS = 500  # a longer pause behind a word belongs neither to it nor to a segment
KEPT_MS = 2 * CHUNK_MS  # before the detector is sure, a word has begun


def timed(activity: SpeechActivity, transcript: WindowTranscript) -> WindowTranscript:
    """transcript: of the piece; its text stays as it is"""
    return replace(transcript, segments=tuple(_segment(activity, segment) for segment in transcript.segments))


def _segment(activity: SpeechActivity, segment: Segment) -> Segment:
    words = tuple(_word(activity, word) for word in segment.words)
    start_ms, end_ms = _bounds_ms(activity, segment.start_ms, segment.end_ms)
    if words:
        start_ms, end_ms = words[0].start_ms, max(end_ms, words[-1].end_ms)
    return replace(segment, start_ms=start_ms, end_ms=end_ms, words=words)


def _word(activity: SpeechActivity, word: Word) -> Word:
    start_ms, end_ms = _bounds_ms(activity, word.start_ms, word.end_ms)
    return replace(word, start_ms=start_ms, end_ms=end_ms)


def _bounds_ms(activity: SpeechActivity, start_ms: int, end_ms: int) -> tuple[int, int]:
    """The times without the pauses before and behind the speech between them."""
    bounds = activity.speech_bounds_ms(start_ms, end_ms, SOUND)
    if bounds is None:
        return start_ms, end_ms
    if bounds[0] - start_ms >= MIN_PAUSE_MS:
        start_ms = bounds[0] - KEPT_MS
    if end_ms - bounds[1] > MAX_TAIL_MS:
        end_ms = bounds[1] + KEPT_MS
    return start_ms, end_ms
