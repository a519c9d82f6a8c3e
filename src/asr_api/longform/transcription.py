"""`LongForm`: transcribes the windows of one recording, in order, while several of them are in the engine at once.

The windows vote on the language, a window may be given the text of those before it, and a window that was transcribed
in part is continued.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from anyio import CapacityLimiter, to_thread

from asr_api.audio.window_cutter import Window, is_silent
from asr_api.longform.continuation import find_resume_ms, is_exhausted, join, untranscribed
from asr_api.longform.language_vote import MAX_VOTING_WINDOWS, LanguageVote, is_confident, should_follow
from asr_api.longform.previous_text import next_previous_text
from asr_api.metrics import ModelMetrics
from asr_api.options import DecodeOptions, TranscribeOptions
from asr_api.pcm import SAMPLES_PER_MS
from asr_api.scheduler.fair_queue import RequestQueue
from asr_api.scheduler.scheduler import Scheduler
from asr_api.transcript import StageTimes, WindowSpan, WindowTranscript


@dataclass(frozen=True, slots=True)
class TranscribedWindow:
    """previous_text: for the next window, if it is conditioned on it; empty when there is none to rely on"""

    span: WindowSpan
    transcript: WindowTranscript
    previous_text: str = ""


WindowTask = asyncio.Task[TranscribedWindow]


class LongForm:
    """The windows of one request."""

    def __init__(
        self,
        scheduler: Scheduler,
        queue: RequestQueue,
        options: TranscribeOptions,
        metrics: ModelMetrics,
        limiter: CapacityLimiter,
    ) -> None:
        """limiter: of threads that analyse audio"""
        self._limiter = limiter
        self._scheduler = scheduler
        self._queue = queue
        self._options = options
        self._metrics = metrics
        self._vote = LanguageVote()
        self._is_vote_closed = asyncio.Event()

    async def transcribe(
        self, windows: AsyncGenerator[Window, None], duration_ms: int | None
    ) -> AsyncGenerator[TranscribedWindow, None]:
        """The windows in their order, each transcribed. Closing the generator cancels all of them.

        windows: not advanced while the request holds as many windows as it may; closed by the caller
        duration_ms: of the recording, if known; for the backlog of the queue
        """
        tasks: asyncio.Queue[WindowTask | None] = asyncio.Queue()
        feeder = asyncio.create_task(self._feed(windows, duration_ms or 0, tasks))
        try:
            while task := await tasks.get():
                yield await task
            await feeder  # raises what ended the windows
        finally:
            # All are cancelled before the first is awaited: the wait itself may be cancelled.
            leftovers: list[asyncio.Task[object]] = [feeder, *_remaining(tasks)]
            for leftover in leftovers:
                leftover.cancel()
            await asyncio.gather(*leftovers, return_exceptions=True)

    async def _feed(
        self, windows: AsyncGenerator[Window, None], duration_ms: int, tasks: asyncio.Queue[WindowTask | None]
    ) -> None:
        previous: WindowTask | None = None
        num_windows = 0
        self._queue.unsubmitted_s = duration_ms / 1000
        started_s = time.monotonic()
        try:
            async for window in windows:
                decode_s = time.monotonic() - started_s
                self._metrics.stage_s["decode"].observe(decode_s)
                await self._scheduler.acquire_window(self._queue)
                self._queue.unsubmitted_s = max(0, duration_ms - window.span.end_ms) / 1000
                previous = asyncio.create_task(self._transcribe_in_turn(window, previous, decode_s))
                tasks.put_nowait(previous)
                num_windows += 1
                started_s = time.monotonic()
        finally:
            self._queue.unsubmitted_s = 0.0
            self._vote.end(num_windows)
            self._update_vote()
            tasks.put_nowait(None)

    async def _transcribe_in_turn(
        self, window: Window, previous: WindowTask | None, decode_s: float
    ) -> TranscribedWindow:
        permit = _WindowPermit(self._scheduler, self._queue)
        index = window.span.index
        try:
            previous_text = ""
            if self._options.condition_on_previous_text and previous is not None:
                previous_text = (await previous).previous_text
            options = replace(self._options.decode, previous_text=previous_text)
            transcript = await self._transcribe(window, options, permit)
        finally:
            if not self._vote.has(index):  # silent, or failed: other windows must not wait for its vote
                self._add_vote(index, WindowTranscript(()))
            permit.release()
        transcript = replace(transcript, times=transcript.times + StageTimes(decode_s=decode_s))
        return TranscribedWindow(window.span, transcript, next_previous_text(previous_text, transcript, window.span))

    async def _transcribe(self, window: Window, options: DecodeOptions, permit: _WindowPermit) -> WindowTranscript:
        """The whole window, in as many decodings as it takes; silence takes none."""
        if is_silent(window.pcm):
            self._metrics.silent_windows.inc()
            return WindowTranscript(())
        transcript = await self._scheduler.submit(self._queue, window.pcm, options)
        self._add_vote(window.span.index, transcript)
        if language := await self._voted_language(window.span.index, transcript, permit):
            options = replace(options, language=language)
            voted = await self._scheduler.submit(self._queue, window.pcm, options, is_continuation=True)
            transcript = replace(voted, guesses=transcript.guesses, times=transcript.times + voted.times)
        return await self._continue(window, transcript, options)

    async def _continue(self, window: Window, transcript: WindowTranscript, options: DecodeOptions) -> WindowTranscript:
        while (resume_ms := await self._find_resume_ms(window, transcript)) is not None:
            self._metrics.resumed_windows.inc()
            # The rest is too short to identify another language than that of the whole window.
            options = replace(options, language=transcript.language or options.language)
            pcm = window.pcm[resume_ms * SAMPLES_PER_MS :]
            rest = await self._scheduler.submit(self._queue, pcm, options, is_continuation=True)
            transcript = join(transcript, rest, resume_ms)
            if is_exhausted(rest):
                if not rest.segments and not rest.omitted:
                    transcript = replace(transcript, omitted=(*transcript.omitted, untranscribed(window, resume_ms)))
                break
        return replace(transcript, resume_ms=None)

    async def _find_resume_ms(self, window: Window, transcript: WindowTranscript) -> int | None:
        return await to_thread.run_sync(find_resume_ms, window, transcript, limiter=self._limiter)

    # -- the language of the recording -------------------------------------------------------------------------

    def _add_vote(self, index: int, transcript: WindowTranscript) -> None:
        self._vote.add(index, transcript.guesses if transcript.segments else ())
        self._update_vote()

    def _update_vote(self) -> None:
        if self._vote.is_closed:
            self._is_vote_closed.set()

    async def _voted_language(self, index: int, transcript: WindowTranscript, permit: _WindowPermit) -> str | None:
        """The language in which a window should be decoded once more, if any.

        A confident window does not wait for the vote. With condition_on_previous_text only earlier windows can vote.
        """
        if not transcript.segments or is_confident(transcript.guesses):
            return None
        if not self._options.condition_on_previous_text:
            if index < MAX_VOTING_WINDOWS:
                # Otherwise the windows that still have to vote might never be submitted: a deadlock.
                permit.release()
            await self._is_vote_closed.wait()
        winner = self._vote.winner
        return winner if winner is not None and should_follow(transcript.guesses, winner) else None


class _WindowPermit:
    """What `Scheduler.acquire_window` gave for one window, to be released once."""

    def __init__(self, scheduler: Scheduler, queue: RequestQueue) -> None:
        self._scheduler = scheduler
        self._queue = queue
        self._is_held = True

    def release(self) -> None:
        if self._is_held:
            self._is_held = False
            self._scheduler.release_window(self._queue)


def _remaining(tasks: asyncio.Queue[WindowTask | None]) -> list[WindowTask]:
    return [task for _ in range(tasks.qsize()) if (task := tasks.get_nowait()) is not None]
