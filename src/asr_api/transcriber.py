"""The journey of one request: source → PCM → windows → engine → window transcripts → transcript.

In: a spool and options. Out: pieces of the transcript, in order, as windows finish. What happens to a window between
its cut and its transcript is in hearing.py. Knows nothing about HTTP, models or fairness.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from asr_api.audio.decoding.decoder import Decoder
from asr_api.audio.sources.spool import Spool
from asr_api.audio.vad import VoiceActivityFilter
from asr_api.audio.window_cutter import Window, WindowCutter
from asr_api.engine_process.supervisor import EngineProcess
from asr_api.engines.protocol import EngineInfo
from asr_api.errors import AsrError, RequestError, Unavailable
from asr_api.longform.stitch import Stitcher
from asr_api.longform.transcription import LongForm, shifted
from asr_api.metrics import Metrics
from asr_api.options import TranscribeOptions
from asr_api.pcm import PcmSource
from asr_api.scheduler import RequestQueue, Scheduler
from asr_api.transcript import Segment, Transcript, TranscriptPart


class Transcriber:
    """Everything that an edge needs. Owns its parts: `start` starts them, `aclose` ends them."""

    def __init__(
        self,
        engine: EngineProcess,
        scheduler: Scheduler,
        decoder: Decoder,
        *,
        metrics: Metrics,
        window_s: float = 30.0,
        stride_s: float = 5.0,
    ) -> None:
        self.metrics = metrics
        self._engine = engine
        self._scheduler = scheduler
        self._decoder = decoder
        self._voice_activity = VoiceActivityFilter()
        self._window_s = window_s
        self._stride_s = stride_s

    async def transcribe(self, spool: Spool, options: TranscribeOptions) -> AsyncGenerator[TranscriptPart, None]:
        """Parts in order; the last one ends with the audio. Use it in `contextlib.aclosing(…)`: closing it at any
        point frees the decoder, the queue and the slots. The spool stays the caller's.
        """
        stitcher = Stitcher()
        language, end_ms = options.language, 0
        with self._counted(), self._scheduler.open_queue() as queue:
            hearing = LongForm(self._scheduler, queue, options, self.metrics)
            source: PcmSource = self._decoder.decode(spool)
            async with (
                self._voice_activity.only_speech(source) if options.vad else source as pcm,
                aclosing(hearing.in_order(self._cut(pcm, queue))) as heard_windows,
            ):
                async for window in heard_windows:
                    span, heard = window.span, window.transcript
                    segments, omitted = stitcher.push(span, heard), shifted(heard.omitted, span.start_ms)
                    language, end_ms = heard.language or language, span.end_ms
                    yield TranscriptPart(segments, end_ms - span.overlap_after_ms, language, omitted=omitted)
                yield TranscriptPart(
                    stitcher.finish(), end_ms, language, pcm.end.is_truncated, is_damaged=pcm.end.is_damaged
                )

    async def _cut(self, pcm: PcmSource, queue: RequestQueue) -> AsyncGenerator[Window, None]:
        """Windows while decoding goes on; decoding pauses while the queue holds as many as it may."""
        window_s = min(self._window_s, self.info.window_s)
        cutter = WindowCutter(window_s, min(self._stride_s, window_s / 2))
        queue.unsubmitted_s = (pcm.duration_hint_ms or 0) / 1000
        decoded, started_s = self.metrics.stage_s.labels("decode"), time.monotonic()
        async for block in pcm:
            for window in cutter.push(block):
                decoded.observe(time.monotonic() - started_s)
                await self._scheduler.acquire_window(queue)
                queue.unsubmitted_s = max(0, (pcm.duration_hint_ms or 0) - window.span.end_ms) / 1000
                yield window
                started_s = time.monotonic()
        queue.unsubmitted_s = 0.0
        for window in cutter.finish():
            decoded.observe(time.monotonic() - started_s)
            await self._scheduler.acquire_window(queue)
            yield window
            started_s = time.monotonic()

    # -- for the edges -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Returns when a request could be served. Raises StartupError, or another AsrError, when none ever will."""
        await asyncio.gather(self._decoder.start(), self._engine.start())

    async def wait_failed(self) -> AsrError:
        """Waits until the engine can't be started again; the server should then end with this error."""
        return await self._engine.wait_failed()

    async def drain(self) -> None:
        """Closes the door and returns when no transcription is open; one that was let in before may still begin."""
        await self._scheduler.drain()

    async def aclose(self) -> None:
        """Fails the requests that are still open and ends all processes."""
        self._scheduler.stop()
        await self._engine.close()
        await self._decoder.aclose()
        self._voice_activity.close()

    def check_ready(self) -> None:
        """Raises ModelLoading, EngineRestarting or ServerDraining."""
        self._scheduler.check_ready()

    def check_capacity(self) -> None:
        """As check_ready; raises ServerOverloaded, with the time to come back, when all places are taken."""
        try:
            self._scheduler.check_capacity()
        except Unavailable:
            self.metrics.requests.labels("refused").inc()
            raise

    @property
    def info(self) -> EngineInfo:
        """Raises ModelLoading until the engine was ready for the first time."""
        return self._engine.info

    @property
    def num_open_requests(self) -> int:
        return self._scheduler.num_open_requests

    @property
    def backlog_s(self) -> float:
        """Audio seconds that open requests are known to have still untranscribed."""
        return self._scheduler.backlog_s

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
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
            self.metrics.requests.labels(outcome).inc()


async def collect(parts: AsyncGenerator[TranscriptPart, None]) -> Transcript:
    """The whole transcript, for replies that are not streamed; closes the generator."""
    segments: list[Segment] = []
    omitted: list[Segment] = []
    spoken_ms: Counter[str] = Counter()  # by language
    part = TranscriptPart((), 0)
    async with aclosing(parts):
        async for part in parts:
            segments += part.segments
            omitted += part.omitted
            if part.language is not None:
                spoken_ms[part.language] += sum(segment.end_ms - segment.start_ms for segment in part.segments)
    language = max(spoken_ms, key=spoken_ms.__getitem__, default=None)
    return Transcript(tuple(segments), part.audio_ms, language, part.is_truncated, tuple(omitted), part.is_damaged)
