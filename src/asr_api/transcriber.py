"""The journey of one request: source → PCM → windows → engine → window transcripts → transcript.

In: a spool and options. Out: pieces of the transcript, in order, as windows finish.
Knows nothing about HTTP, models or fairness.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import TypeVar

from asr_api.audio.decode import Decoder, PcmStream
from asr_api.audio.spool import Spool
from asr_api.audio.windows import Window, WindowCutter, has_more_speech, is_silent
from asr_api.engine_process import EngineProcess
from asr_api.engines.protocol import EngineInfo
from asr_api.errors import AsrError, InternalError, RequestError, Unavailable
from asr_api.metrics import Metrics
from asr_api.options import TranscribeOptions
from asr_api.pcm import SAMPLES_PER_MS
from asr_api.scheduler import Lane, Scheduler
from asr_api.text.stitch import Stitcher
from asr_api.transcript import Segment, Transcript, TranscriptPart, WindowSpan, WindowTranscript

T = TypeVar("T")

MIN_PROGRESS_MS = 1000  # a pass that gets no further is the last one


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
        self._window_s = window_s
        self._stride_s = stride_s

    async def transcribe(self, spool: Spool, options: TranscribeOptions) -> AsyncGenerator[TranscriptPart, None]:
        """Parts in order; the last one ends with the audio. Use it in `contextlib.aclosing(…)`: closing it at any
        point frees the decoder, the queue and the slots. The spool stays the caller's.
        """
        stitcher = Stitcher()
        language, end_ms = options.language, 0
        with self._counted(), self._scheduler.open_lane() as lane:
            async with (
                self._decoder.open(spool) as pcm,
                aclosing(self._hear_in_order(self._cut(pcm, lane), lane, options)) as heard_windows,
            ):
                async for span, heard in heard_windows:
                    segments = stitcher.push(span, heard)
                    language, end_ms = heard.language or language, span.end_ms
                    yield TranscriptPart(segments, end_ms - span.overlap_after_ms, language)
                yield TranscriptPart(stitcher.finish(), end_ms, language, pcm.is_truncated)

    async def _cut(self, pcm: PcmStream, lane: Lane) -> AsyncGenerator[Window, None]:
        """Windows while decoding goes on; decoding pauses while the lane holds as many as it may."""
        window_s = min(self._window_s, self.info.window_s)
        cutter = WindowCutter(window_s, min(self._stride_s, window_s / 2))
        started_s = time.monotonic()
        async for block in pcm:
            for window in cutter.push(block):
                self.metrics.stage_s.labels("decode").observe(time.monotonic() - started_s)
                await self._scheduler.take_room(lane)
                lane.unsubmitted_s = max(0, (pcm.duration_hint_ms or 0) - window.span.end_ms) / 1000
                yield window
                started_s = time.monotonic()
        lane.unsubmitted_s = 0.0
        for window in cutter.finish():
            await self._scheduler.take_room(lane)
            yield window

    async def _hear_in_order(
        self, windows: AsyncGenerator[Window, None], lane: Lane, options: TranscribeOptions
    ) -> AsyncGenerator[tuple[WindowSpan, WindowTranscript], None]:
        """Several windows are in the engine at once; they come out as they went in."""
        hearings: asyncio.Queue[asyncio.Task[tuple[WindowSpan, WindowTranscript]] | None] = asyncio.Queue()

        async def hear(window: Window) -> tuple[WindowSpan, WindowTranscript]:
            heard = await self._hear(window, lane, options)
            self._scheduler.give_room(lane)
            return window.span, heard

        async def feed() -> None:
            try:
                async for window in windows:
                    hearings.put_nowait(asyncio.create_task(hear(window)))
            finally:
                hearings.put_nowait(None)

        feeder = asyncio.create_task(feed())
        try:
            while hearing := await hearings.get():
                yield await hearing
            await feeder  # raises what ended the decoding
        finally:
            # All are told to stop before the first is waited for: the wait itself may be cancelled.
            leftovers: list[asyncio.Task[object]] = [feeder, *(hearing for hearing in _drain(hearings) if hearing)]
            for task in leftovers:
                task.cancel()
            await asyncio.gather(*leftovers, return_exceptions=True)

    async def _hear(self, window: Window, lane: Lane, options: TranscribeOptions) -> WindowTranscript:
        """All that is said in a window, in as many passes as it takes; silence takes none."""
        if is_silent(window.pcm):
            self.metrics.silent_windows.inc()
            return WindowTranscript(())
        heard = await self._scheduler.submit(lane, window.pcm, options)
        while (resume_ms := _resume_ms(window, heard)) is not None:
            self.metrics.resumed_windows.inc()
            # The rest is too short to doubt the language that the whole was heard in.
            options = replace(options, language=heard.language or options.language)
            pcm = window.pcm[resume_ms * SAMPLES_PER_MS :]
            rest = await self._scheduler.submit(lane, pcm, options, is_rest=True)
            heard = _join(heard, rest, resume_ms)
            if rest.resume_ms is None and (not rest.segments or rest.segments[-1].end_ms < MIN_PROGRESS_MS):
                break  # nothing more to be had
        return replace(heard, resume_ms=None)

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
    languages: Counter[str] = Counter()
    part = TranscriptPart((), 0)
    async with aclosing(parts):
        async for part in parts:
            segments += part.segments
            languages.update([part.language] if part.language else [])
    language = max(languages, key=lambda code: languages[code], default=None)
    return Transcript(tuple(segments), part.audio_ms, language, part.is_truncated)


def _resume_ms(window: Window, heard: WindowTranscript) -> int | None:
    """From where the rest of a window must be heard again, if any: the engine ran out of tokens there, or the model
    stopped in the middle of speech, which models do. What the next window hears as well is not looked at.
    """
    if heard.resume_ms is not None:
        return None if is_silent(window.pcm[heard.resume_ms * SAMPLES_PER_MS :]) else heard.resume_ms
    end_ms = heard.segments[-1].end_ms if heard.segments else 0
    own = window.pcm[: len(window.pcm) - window.span.overlap_after_ms * SAMPLES_PER_MS]
    return end_ms if end_ms > 0 and has_more_speech(own, end_ms * SAMPLES_PER_MS) else None


def _join(heard: WindowTranscript, rest: WindowTranscript, offset_ms: int) -> WindowTranscript:
    """One window heard in two passes, the second from `offset_ms` on."""
    if offset_ms <= 0 or (rest.resume_ms is not None and rest.resume_ms <= 0):
        raise InternalError("The engine asked for a window to be heard again from its start; this is a bug.")
    return WindowTranscript(
        segments=(*heard.segments, *(segment.shifted(offset_ms) for segment in rest.segments)),
        language=heard.language,
        guesses=heard.guesses,
        num_tokens=heard.num_tokens + rest.num_tokens,
        resume_ms=None if rest.resume_ms is None else offset_ms + rest.resume_ms,
        omitted=(*heard.omitted, *(segment.shifted(offset_ms) for segment in rest.omitted)),
    )


def _drain(queue: asyncio.Queue[T]) -> list[T]:
    return [queue.get_nowait() for _ in range(queue.qsize())]
