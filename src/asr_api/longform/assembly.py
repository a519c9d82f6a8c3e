"""Assembly: transcribed windows in order → transcript events with stitched text, language and usage."""

from __future__ import annotations

from collections import Counter

from anyio import CapacityLimiter, to_thread

from asr_api.events import FinalSegments, PartialSegments, TranscriptEnd, TranscriptEvent
from asr_api.longform.continuation import shifted
from asr_api.longform.stitch import Stitcher
from asr_api.longform.transcription import TranscribedWindow
from asr_api.pcm import AudioEnd
from asr_api.transcript import Segment, Usage


class TranscriptAssembler:
    """The events of one recording."""

    def __init__(self, language: str | None, limiter: CapacityLimiter) -> None:
        """language: that the request names; limiter: of threads"""
        self._limiter = limiter
        self._language = language  # of the latest window
        self._audio_ms = 0
        self._usage = Usage()
        self._stitcher = Stitcher()
        self._spoken_ms: Counter[str] = Counter()  # by language
        self._had_pending = False

    async def add(self, window: TranscribedWindow) -> list[TranscriptEvent]:
        """The segments that this window makes final, and those that the next window may change."""
        span, transcript = window.span, window.transcript
        if span.overlap_before_ms:  # an alignment of two texts, which may take long
            segments = await to_thread.run_sync(self._stitcher.push, span, transcript, limiter=self._limiter)
        else:
            segments = self._stitcher.push(span, transcript)
        self._language, self._audio_ms = transcript.language or self._language, span.end_ms
        usage = self._usage
        num_tokens = usage.num_tokens + transcript.num_tokens
        self._usage = Usage(span.end_ms, usage.num_windows + 1, num_tokens, usage.times + transcript.times)
        self._count_speech(segments)
        audio_ms = span.end_ms - span.overlap_after_ms
        omitted = shifted(transcript.omitted, span.start_ms)
        events: list[TranscriptEvent] = [
            FinalSegments(segments, audio_ms, self._language, omitted, transcript.times),
        ]
        pending = self._stitcher.pending
        if pending or self._had_pending:
            events.append(PartialSegments(pending))
        self._had_pending = bool(pending)
        return events

    def finish(self, end: AudioEnd) -> list[TranscriptEvent]:
        """The segments that waited for a window that does not come, and the end."""
        segments = self._stitcher.finish()
        self._count_speech(segments)
        main_language = max(self._spoken_ms, key=self._spoken_ms.__getitem__, default=None)
        return [
            FinalSegments(segments, self._audio_ms, self._language),
            TranscriptEnd(self._audio_ms, main_language, self._usage, end),
        ]

    def _count_speech(self, segments: tuple[Segment, ...]) -> None:
        if self._language is not None:
            self._spoken_ms[self._language] += sum(segment.end_ms - segment.start_ms for segment in segments)
