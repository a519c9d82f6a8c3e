"""`Transcriber`: PCM source → windows → engine → window transcripts → transcript events, for one request at a time.

This is the main coroutine of the service; what happens to a window between its cut and its transcript is in longform/.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from anyio import CapacityLimiter

from asr_api.audio.vad import VoiceActivityFilter
from asr_api.errors import RequestError, Unavailable
from asr_api.events import TranscriptEvent
from asr_api.longform.assembly import TranscriptAssembler
from asr_api.longform.transcription import LongForm
from asr_api.longform.windows import WindowLength, cut_windows
from asr_api.metrics import ModelMetrics
from asr_api.model_pool import ModelPool
from asr_api.options import TranscribeOptions
from asr_api.pcm import PcmSource
from asr_api.request import RequestScope


class Transcriber:
    """Transcribes any number of recordings at the same time with the models of a pool."""

    def __init__(self, pool: ModelPool, vad: VoiceActivityFilter, limiter: CapacityLimiter) -> None:
        """vad: for requests that ask for it; limiter: of threads that analyse audio; all stay the caller's"""
        self.pool = pool
        self._vad = vad
        self._limiter = limiter

    async def transcribe(
        self, source: PcmSource, options: TranscribeOptions, request: RequestScope
    ) -> AsyncGenerator[TranscriptEvent, None]:
        """Events in order; the last one is TranscriptEnd. Use it in `contextlib.aclosing(…)`: closing it at any point
        ends the source and frees the queue and the slots.

        source: not entered yet; entered and left here. Raises RequestError, Unavailable and ServerFault
        """
        model = self.pool.get(request.model)
        muted = self._vad.only_speech(source) if options.vad else source
        with _count_outcome(model.metrics), model.scheduler.open_queue(request) as queue:
            long_form = LongForm(model.scheduler, queue, options, model.metrics, self._limiter)
            async with aclosing(self._transcribe(muted, long_form, model.window_length, options)) as events:
                async for event in events:
                    yield event

    async def _transcribe(
        self, source: PcmSource, long_form: LongForm, length: WindowLength, options: TranscribeOptions
    ) -> AsyncGenerator[TranscriptEvent, None]:
        assembler = TranscriptAssembler(options.decode.language, self._limiter)
        async with (
            source as pcm,
            aclosing(cut_windows(pcm, length, self._limiter)) as windows,
            aclosing(long_form.transcribe(windows, pcm.duration_hint_ms)) as transcribed_windows,
        ):
            async for window in transcribed_windows:
                for event in await assembler.add(window):
                    yield event
            for event in assembler.finish(pcm.end):
                yield event


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
