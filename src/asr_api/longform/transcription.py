"""`LongForm`: transcribes the pieces of one recording, in order, while several of them are in the engine at once.

The pieces vote on the language; the windows of a piece form a chain (longform/chain.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from asr_api.audio.piece_cutter import Piece
from asr_api.errors import DeadlineUnreachable
from asr_api.longform.chain import Chain, Window
from asr_api.longform.language_vote import MAX_VOTING_PIECES, LanguageVote, is_confident, should_follow
from asr_api.longform.segment_times import timed
from asr_api.longform.speech_evidence import weigh
from asr_api.metrics import ModelMetrics
from asr_api.options import DecodeOptions, TranscribeOptions
from asr_api.scheduler.fair_queue import RequestQueue
from asr_api.scheduler.scheduler import Scheduler
from asr_api.transcript import StageTimes, WindowTranscript

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TranscribedPiece:
    """transcript: times relative to the piece"""

    start_ms: int
    end_ms: int
    transcript: WindowTranscript


PieceTask = asyncio.Task[TranscribedPiece]


class LongForm:
    """The pieces of one request."""

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
        self._has_first_window = asyncio.Event()  # the first window of the first piece is transcribed

    async def transcribe(
        self, pieces: AsyncGenerator[Piece, None], window_s: float, duration_ms: int | None
    ) -> AsyncGenerator[TranscribedPiece, None]:
        """The pieces in their order, each transcribed. Closing the generator cancels all of them.

        pieces: not advanced while the request holds as many pieces as it may; closed by the caller
        window_s: length of a full window
        duration_ms: of the recording, if known; for the backlog of the queue
        """
        tasks: asyncio.Queue[PieceTask | None] = asyncio.Queue()
        feeder = asyncio.create_task(self._feed(pieces, round(window_s * 1000), duration_ms or 0, tasks))
        try:
            while task := await tasks.get():
                yield await task
            await feeder  # raises what ended the pieces
        finally:
            # All are cancelled before the first is awaited: the wait itself may be cancelled.
            leftovers: list[asyncio.Task[object]] = [feeder, *_remaining(tasks)]
            for leftover in leftovers:
                leftover.cancel()
            await asyncio.gather(*leftovers, return_exceptions=True)

    def check_deadline(self, duration_ms: int | None) -> None:
        """Cancels the request if a recording of this length cannot be transcribed before its deadline.

        Other listeners of the same transcription have deadlines of their own.
        """
        request = self._queue.request.listener
        try:
            self._scheduler.check_deadline(request, (duration_ms or 0) / 1000)
        except DeadlineUnreachable as error:
            request.cancel(error)

    async def _feed(
        self,
        pieces: AsyncGenerator[Piece, None],
        window_ms: int,
        duration_ms: int,
        tasks: asyncio.Queue[PieceTask | None],
    ) -> None:
        num_pieces = 0
        self._queue.unsubmitted_s = duration_ms / 1000
        started_s = time.monotonic()
        try:
            async for piece in pieces:
                decode_s = (now_s := time.monotonic()) - started_s
                self._queue.request.record.add("decode", started_s, now_s)
                self._metrics.stage_s["decode"].observe(decode_s)
                await self._scheduler.acquire_piece(self._queue)
                self._queue.unsubmitted_s = max(0, duration_ms - piece.end_ms) / 1000
                tasks.put_nowait(asyncio.create_task(self._transcribe(piece, window_ms, decode_s)))
                num_pieces += 1
                if self._queue.request.is_streamed:  # its first text should not share the processor with the rest
                    await self._has_first_window.wait()
                started_s = time.monotonic()
        finally:
            self._queue.unsubmitted_s = 0.0
            self._vote.end(num_pieces)
            self._update_vote()
            tasks.put_nowait(None)

    async def _transcribe(self, piece: Piece, window_ms: int, decode_s: float) -> TranscribedPiece:
        permit = _PiecePermit(self._scheduler, self._queue)
        chain = Chain(piece, window_ms)
        try:
            window = await self._in_thread(chain.next_window)
            if window is None:
                self._metrics.silent_pieces.inc()
            while window is not None:
                transcript = await self._transcribe_window(piece, window, chain, permit)
                window = await self._in_thread(_next_window, chain, window, transcript)
        finally:
            self._has_first_window.set()
            if not self._vote.has(piece.index):  # silent, or failed: other pieces must not wait for its vote
                self._add_vote(piece.index, WindowTranscript(()))
            permit.release()
        self._metrics.retried_windows.inc(chain.num_retries)
        transcript = await self._in_thread(timed, piece.activity, chain.result())
        transcript = replace(transcript, times=transcript.times + StageTimes(decode_s=decode_s))
        return TranscribedPiece(piece.start_ms, piece.end_ms, transcript)

    async def _transcribe_window(
        self, piece: Piece, window: Window, chain: Chain, permit: _PiecePermit
    ) -> WindowTranscript:
        options = self._window_options(window, chain)
        if not window.is_first:
            self._metrics.resumed_windows.inc()
            return await self._decode(piece, window, options)
        transcript = await self._decode(piece, window, options)
        self._has_first_window.set()
        self._add_vote(piece.index, transcript)
        if language := await self._voted_language(piece.index, transcript, permit):
            voted = await self._decode(piece, window, replace(options, language=language), is_continuation=True)
            transcript = replace(voted, guesses=transcript.guesses, times=transcript.times + voted.times)
        return transcript

    def _window_options(self, window: Window, chain: Chain) -> DecodeOptions:
        """A window that is retried may have another language than the windows before; all others have the same."""
        options = self._options.decode
        if not window.is_first and not window.is_retried:
            options = replace(options, language=chain.language or options.language)
        if self._options.condition_on_previous_text and not window.is_retried:
            options = replace(options, previous_segments=chain.previous)
        return options

    async def _decode(
        self, piece: Piece, window: Window, options: DecodeOptions, *, is_continuation: bool = False
    ) -> WindowTranscript:
        is_continuation = is_continuation or not window.is_first
        transcript = await self._scheduler.submit(self._queue, window.pcm, options, is_continuation=is_continuation)
        ended_s, times, record = time.monotonic(), transcript.times, self._queue.request.record
        record.add("queue", ended_s - times.engine_s - times.queue_s, ended_s - times.engine_s)
        record.add("engine", ended_s - times.engine_s, ended_s)
        return await self._in_thread(weigh, piece.activity, window.start_ms, transcript, options.prompt)

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await to_thread.run_sync(work, *arguments, limiter=self._limiter)

    # -- the language of the recording -------------------------------------------------------------------------

    def _add_vote(self, index: int, transcript: WindowTranscript) -> None:
        self._vote.add(index, transcript.guesses if transcript.segments else ())
        self._update_vote()

    def _update_vote(self) -> None:
        if self._vote.is_closed:
            self._is_vote_closed.set()

    async def _voted_language(self, index: int, transcript: WindowTranscript, permit: _PiecePermit) -> str | None:
        """The language in which the first window of a piece should be decoded once more, if any.

        A confident window does not wait for the vote.
        """
        if not transcript.segments or is_confident(transcript.guesses):
            return None
        if index < MAX_VOTING_PIECES:
            # Otherwise the pieces that still have to vote might never be submitted: a deadlock.
            permit.release()
        await self._is_vote_closed.wait()
        winner = self._vote.winner
        return winner if winner is not None and should_follow(transcript.guesses, winner) else None


class _PiecePermit:
    """What `Scheduler.acquire_piece` gave for one piece, to be released once."""

    def __init__(self, scheduler: Scheduler, queue: RequestQueue) -> None:
        self._scheduler = scheduler
        self._queue = queue
        self._is_held = True

    def release(self) -> None:
        if self._is_held:
            self._is_held = False
            self._scheduler.release_piece(self._queue)


def _next_window(chain: Chain, window: Window, transcript: WindowTranscript) -> Window | None:
    chain.push(window, transcript)
    return chain.next_window()


def _remaining(tasks: asyncio.Queue[PieceTask | None]) -> list[PieceTask]:
    return [task for _ in range(tasks.qsize()) if (task := tasks.get_nowait()) is not None]
