"""`Transcriber`: PCM source → pieces → windows → engine → transcripts → transcript events, for one request at a time.

This is the main coroutine of the service; what happens to a piece between its cut and its transcript is in longform/.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from anyio import CapacityLimiter

from asr_api.audio.vad.muted_source import MutedSource
from asr_api.audio.vad.speech_activity import OpenDetector
from asr_api.errors import RequestError, Unavailable
from asr_api.events import TranscriptEvent
from asr_api.longform.assembly import TranscriptAssembler
from asr_api.longform.pieces import WindowLength, cut_pieces
from asr_api.longform.transcription import LongForm
from asr_api.metrics import ModelMetrics
from asr_api.model_pool import ModelPool
from asr_api.options import TranscribeOptions
from asr_api.pcm import PcmSource
from asr_api.request import RequestScope


class Transcriber:
    """Transcribes any number of recordings at the same time with the models of a pool."""

    def __init__(self, pool: ModelPool, open_detector: OpenDetector, limiter: CapacityLimiter) -> None:
        """limiter: of threads that analyse audio; pool and limiter stay the caller's"""
        self.pool = pool
        self._open_detector = open_detector
        self._limiter = limiter

    async def transcribe(
        self, source: PcmSource, options: TranscribeOptions, request: RequestScope, *, is_counted: bool = True
    ) -> AsyncGenerator[TranscriptEvent, None]:
        """Events in order; the last one is TranscriptEnd. Use it in `contextlib.aclosing(…)`: closing it at any point
        ends the source and frees the queue and the slots.

        source: not entered yet; entered and left here. is_counted: False where the caller counts the outcome.
        Raises RequestError, Unavailable and ServerFault
        """
        model = self.pool.get(request.model)
        muted = source if options.vad is None else MutedSource(source, options.vad, self._open_detector, self._limiter)
        counted = count_outcome(model.metrics, request) if is_counted else contextlib.nullcontext()
        with counted, model.scheduler.open_queue(request) as queue:
            long_form = LongForm(model.scheduler, queue, options, model.metrics, self._limiter)
            async with aclosing(self._transcribe(muted, long_form, model.window_length, options)) as events:
                async for event in events:
                    yield event

    async def _transcribe(
        self, source: PcmSource, long_form: LongForm, length: WindowLength, options: TranscribeOptions
    ) -> AsyncGenerator[TranscriptEvent, None]:
        assembler = TranscriptAssembler(options.decode.language)
        piece_length = length.piece(is_conditioned=options.condition_on_previous_text)
        async with (
            source as pcm,
            aclosing(cut_pieces(pcm, piece_length, self._open_detector, self._limiter)) as pieces,
            aclosing(long_form.transcribe(pieces, length.window_s, pcm.duration_hint_ms)) as transcribed_pieces,
        ):
            long_form.check_deadline(pcm.duration_hint_ms)
            async for piece in transcribed_pieces:
                yield assembler.add(piece)
            yield assembler.finish(pcm.end)


@contextlib.contextmanager
def count_outcome(metrics: ModelMetrics, request: RequestScope) -> Iterator[None]:
    """Of the block. The edge counts a request that misses its deadline: its transcription may go on for others."""
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
        is_counted_at_edge = outcome == "cancelled" and request.listener.has_missed_deadline
        if not is_counted_at_edge:
            metrics.requests[outcome].inc()
