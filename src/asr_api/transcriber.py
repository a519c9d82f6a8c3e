"""`Transcriber`: PCM source → windows → engine → window transcripts → transcript events, for one request at a time.

This is the main coroutine of the service; what happens to a window between its cut and its transcript is in longform/.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import anyio.to_thread

from asr_api.audio.vad import VoiceActivityFilter
from asr_api.errors import RequestError, Unavailable
from asr_api.events import FinalSegments, PartialSegments, TranscriptEnd, TranscriptEvent
from asr_api.longform.continuation import shifted
from asr_api.longform.stitch import Stitcher
from asr_api.longform.transcription import LongForm, TranscribedWindow
from asr_api.longform.windows import cut_windows
from asr_api.metrics import ModelMetrics
from asr_api.model_pool import ModelPool
from asr_api.options import TranscribeOptions
from asr_api.pcm import PcmSource
from asr_api.request import RequestScope
from asr_api.transcript import Segment, Usage


class Transcriber:
    """Transcribes any number of recordings at the same time with the models of a pool."""

    def __init__(self, pool: ModelPool, vad: VoiceActivityFilter) -> None:
        """vad: for requests that ask for it; both stay the caller's"""
        self.pool = pool
        self._vad = vad

    async def transcribe(
        self, source: PcmSource, options: TranscribeOptions, request: RequestScope
    ) -> AsyncGenerator[TranscriptEvent, None]:
        """Events in order; the last one is TranscriptEnd. Use it in `contextlib.aclosing(…)`: closing it at any point
        ends the source and frees the queue and the slots.

        source: not entered yet; entered and left here. Raises RequestError, Unavailable and ServerFault
        """
        model = self.pool.get(request.model)
        with _count_outcome(model.metrics), model.scheduler.open_queue(request) as queue:
            length = model.window_length
            long_form = LongForm(model.scheduler, queue, options, model.metrics)
            progress = _Progress(options.decode.language)
            async with (
                self._vad.only_speech(source) if options.vad else source as pcm,
                aclosing(cut_windows(pcm, length.window_s, length.stride_s)) as windows,
                aclosing(long_form.transcribe(windows, pcm.duration_hint_ms)) as transcribed_windows,
            ):
                async for window in transcribed_windows:
                    yield await progress.add(window)
                    if progress.has_news:
                        yield PartialSegments(progress.pending)
                yield FinalSegments(progress.finish(), progress.audio_ms, progress.language)
                yield TranscriptEnd(progress.audio_ms, progress.main_language, progress.usage, pcm.end)


class _Progress:
    """What the transcription of one recording has brought so far."""

    def __init__(self, language: str | None) -> None:
        self.language = language  # of the latest window
        self.audio_ms = 0
        self.usage = Usage()
        self._stitcher = Stitcher()
        self._spoken_ms: Counter[str] = Counter()  # by language
        self._had_pending = False
        self.has_news = False  # about segments that are not final

    async def add(self, window: TranscribedWindow) -> FinalSegments:
        """The segments that this window makes final."""
        span, transcript = window.span, window.transcript
        if span.overlap_before_ms:  # an alignment of two texts, which may take long
            segments = await anyio.to_thread.run_sync(self._stitcher.push, span, transcript)
        else:
            segments = self._stitcher.push(span, transcript)
        self.language, self.audio_ms = transcript.language or self.language, span.end_ms
        self.has_news = bool(self.pending) or self._had_pending
        self._had_pending = bool(self.pending)
        usage = self.usage
        num_tokens = usage.num_tokens + transcript.num_tokens
        self.usage = Usage(span.end_ms, usage.num_windows + 1, num_tokens, usage.times + transcript.times)
        self._count_speech(segments)
        audio_ms = span.end_ms - span.overlap_after_ms
        omitted = shifted(transcript.omitted, span.start_ms)
        return FinalSegments(segments, audio_ms, self.language, omitted, transcript.times)

    @property
    def pending(self) -> tuple[Segment, ...]:
        """Segments that wait for the next window, absolute times."""
        return self._stitcher.pending

    def finish(self) -> tuple[Segment, ...]:
        """The segments that waited for a window that does not come."""
        segments = self._stitcher.finish()
        self._count_speech(segments)
        return segments

    @property
    def main_language(self) -> str | None:
        """The one with the most time of speech."""
        return max(self._spoken_ms, key=self._spoken_ms.__getitem__, default=None)

    def _count_speech(self, segments: tuple[Segment, ...]) -> None:
        if self.language is not None:
            self._spoken_ms[self.language] += sum(segment.end_ms - segment.start_ms for segment in segments)


@contextlib.contextmanager
def _count_outcome(metrics: ModelMetrics) -> Iterator[None]:
    outcome = "cancelled"
    try:
        yield
        outcome = "completed"
    except RequestError:
        outcome = "invalid"
        raise
    except Unavailable:
        outcome = "refused"
        raise
    except Exception:
        outcome = "failed"
        raise
    finally:
        metrics.requests[outcome].inc()
