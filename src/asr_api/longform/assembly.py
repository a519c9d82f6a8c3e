"""Assembly: transcribed pieces in order → transcript events in absolute time, with language and usage."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from asr_api.events import FinalSegments, TranscriptEnd
from asr_api.longform.chain import shifted
from asr_api.longform.transcription import TranscribedPiece
from asr_api.pcm import AudioEnd
from asr_api.transcript import Segment, Usage


class TranscriptAssembler:
    """The events of one recording. Its segments are monotone and do not overlap in time."""

    def __init__(self, language: str | None) -> None:
        """language: that the request names"""
        self._language = language  # of the latest piece
        self._audio_ms = 0
        self._usage = Usage()
        self._end_ms = 0  # of the last segment
        self._spoken_ms: Counter[str] = Counter()  # by language

    def add(self, piece: TranscribedPiece) -> FinalSegments:
        transcript = piece.transcript
        segments = tuple(
            self._in_order(segment, piece.end_ms) for segment in shifted(transcript.segments, piece.start_ms)
        )
        self._language, self._audio_ms = transcript.language or self._language, piece.end_ms
        usage = self._usage
        num_tokens = usage.num_tokens + transcript.num_tokens
        self._usage = Usage(piece.end_ms, usage.num_pieces + 1, num_tokens, usage.times + transcript.times)
        if self._language is not None:
            self._spoken_ms[self._language] += sum(segment.end_ms - segment.start_ms for segment in segments)
        omitted = shifted(transcript.omitted, piece.start_ms)
        probability = transcript.language_probability
        return FinalSegments(segments, piece.end_ms, self._language, omitted, transcript.times, probability)

    def finish(self, end: AudioEnd) -> TranscriptEnd:
        main_language = max(self._spoken_ms, key=self._spoken_ms.__getitem__, default=None)
        return TranscriptEnd(self._audio_ms, main_language, self._usage, end)

    def _in_order(self, segment: Segment, piece_end_ms: int) -> Segment:
        """Models may place the end of the last segment behind the end of the audio."""
        start_ms = max(min(segment.start_ms, piece_end_ms), self._end_ms)
        self._end_ms = max(min(segment.end_ms, piece_end_ms), start_ms)
        return _clipped(segment, start_ms, self._end_ms)


def _clipped(segment: Segment, start_ms: int, end_ms: int) -> Segment:
    """The segment with other times, its words inside them."""
    words = (
        replace(
            word, start_ms=min(max(word.start_ms, start_ms), end_ms), end_ms=min(max(word.end_ms, start_ms), end_ms)
        )
        for word in segment.words
    )
    return replace(segment, start_ms=start_ms, end_ms=end_ms, words=tuple(words))
