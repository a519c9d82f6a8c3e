"""Segment times: segments and words begin and end with the speech under them, by the probabilities of the detector.

Models give times before a first word: a second after 12 s of noise, half a second after a pause.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise

from asr_api.audio.vad.speech_activity import CHUNK_MS, SpeechActivity
from asr_api.transcript import Segment, WindowTranscript, Word

MIN_PAUSE_MS = 200  # less than that before a word belongs to it
MAX_TAIL_MS = 500  # a longer pause behind a word belongs neither to it nor to a segment
KEPT_MS = 2 * CHUNK_MS  # before the detector is sure, a word has begun


def timed(activity: SpeechActivity, transcript: WindowTranscript) -> WindowTranscript:
    """transcript: of the piece; its text stays as it is"""
    return replace(transcript, segments=tuple(_segment(activity, segment) for segment in transcript.segments))


def _segment(activity: SpeechActivity, segment: Segment) -> Segment:
    bounds = activity.speech_bounds_ms(segment.start_ms, segment.end_ms)
    words = segment.words
    if words and bounds is not None and (words[0].start_ms >= bounds[1] or words[-1].end_ms <= bounds[0]):
        words = _spread(words, *bounds)  # where nobody speaks, the attention to which they are aligned is of no use
    words = tuple(_word(activity, word) for word in words)
    if words and bounds is not None and bounds[0] - words[0].start_ms >= MIN_PAUSE_MS:
        words = tuple(_not_before(word, bounds[0] - KEPT_MS) for word in words)
    start_ms, end_ms = _bounds_ms(activity, segment.start_ms, segment.end_ms)
    if words:
        start_ms, end_ms = words[0].start_ms, max(end_ms, words[-1].end_ms)
    return replace(segment, start_ms=start_ms, end_ms=end_ms, words=words)


def _not_before(word: Word, start_ms: int) -> Word:
    return replace(word, start_ms=max(word.start_ms, start_ms), end_ms=max(word.end_ms, start_ms))


def _spread(words: tuple[Word, ...], start_ms: int, end_ms: int) -> tuple[Word, ...]:
    """The words over a stretch, each in proportion to the length of its text."""
    lengths = accumulate((len(word.text) for word in words), initial=0)
    total = max(1, sum(len(word.text) for word in words))
    edges_ms = [start_ms + (end_ms - start_ms) * length // total for length in lengths]
    times = zip(words, pairwise(edges_ms), strict=True)
    return tuple(replace(word, start_ms=start, end_ms=end) for word, (start, end) in times)


def _word(activity: SpeechActivity, word: Word) -> Word:
    start_ms, end_ms = _bounds_ms(activity, word.start_ms, word.end_ms)
    return replace(word, start_ms=start_ms, end_ms=end_ms)


def _bounds_ms(activity: SpeechActivity, start_ms: int, end_ms: int) -> tuple[int, int]:
    """The times without the pauses before and behind the speech between them."""
    bounds = activity.speech_bounds_ms(start_ms, end_ms)
    if bounds is None:
        return start_ms, end_ms
    if bounds[0] - start_ms >= MIN_PAUSE_MS:
        start_ms = bounds[0] - KEPT_MS
    if end_ms - bounds[1] > MAX_TAIL_MS:
        end_ms = bounds[1] + KEPT_MS
    return start_ms, end_ms
