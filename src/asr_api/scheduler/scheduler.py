"""`Scheduler` of one engine: the limit of open requests, windows as futures, retries after a crash of the engine.

Windows of many requests go in, each in the queue of its request; their transcripts come out as futures. `run_once`
decides and never waits, so that a test can drive it with a fake clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from asr_api.engine_process.ports import EnginePort, EngineState
from asr_api.engines.protocol import FinishedJob, WindowJob
from asr_api.errors import AsrError, EngineRestarting, ModelLoading, ServerDraining
from asr_api.metrics import ModelMetrics
from asr_api.options import DecodeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from asr_api.request import RequestScope
from asr_api.scheduler.fair_queue import FairQueue, QueuedWindow, RequestQueue, num_reserved_slots
from asr_api.scheduler.lost_windows import LostWindows
from asr_api.scheduler.request_limit import RequestLimit
from asr_api.scheduler.speed import SpeedMeter
from asr_api.transcript import StageTimes, WindowTranscript

logger = logging.getLogger(__name__)

MIN_PIECES = 2  # that a request may always hold: one in the engine, one behind it
MAX_AHEAD = 4  # pieces cut ahead of the slots; each holds a megabyte


class Scheduler:
    """To be called from the event loop's thread only; the engine reports to it from its construction on."""

    def __init__(
        self,
        engine: EnginePort,
        *,
        metrics: ModelMetrics,
        max_requests: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._clock = clock
        self._speed = SpeedMeter(clock)
        self._queue = FairQueue()
        self._limit = RequestLimit(self._queue.queues, self._speed, max_requests)
        self._lost = LostWindows(self._queue, clock)
        self._running: dict[int, QueuedWindow] = {}  # by job id, in order of admission
        self._job_ids = itertools.count()
        self._stop_reason: str | None = None  # why no window can be transcribed any more
        self._is_draining = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        engine.report_to(self)

    # -- admission ---------------------------------------------------------------------------------------------

    def check_ready(self) -> None:
        """Raises ModelLoading, EngineRestarting or ServerDraining."""
        if self._is_draining:
            raise _draining()
        self._check_engine()
        if self._engine.state is EngineState.RESTARTING:
            raise EngineRestarting("The engine is being restarted; try again in a few seconds.", retry_after_s=2)

    def check_capacity(self, account: str = "") -> None:
        """As check_ready; raises ServerOverloaded, with the time to come back, when MAX_REQUESTS are open.

        An account without an open request is admitted beyond them, so that no other one can shut it out.
        """
        self.check_ready()
        self._limit.check_num_requests(account)

    def check_deadline(self, request: RequestScope, audio_s: float = 0.0) -> None:
        """Raises DeadlineUnreachable if its audio, so many seconds, cannot be done beside the other requests."""
        self._limit.check_deadline(request, self._engine.info.window_s, audio_s)

    def _check_engine(self) -> None:
        state = self._engine.state
        if self._stop_reason is not None or state in {EngineState.FAILED, EngineState.CLOSED}:
            raise _draining()
        if state in {EngineState.UNLOADED, EngineState.LOADING}:
            raise ModelLoading("The model is still being loaded; try again in a few seconds.", retry_after_s=2)

    def refuse_new(self) -> None:
        """From now on; a request that was admitted before may still open a queue."""
        self._is_draining = True

    async def wait_until_idle(self) -> None:
        """Returns when no request is open."""
        await self._is_idle.wait()

    def stop(self) -> None:
        """Refuses new requests and fails the open ones."""
        self._is_draining = True
        self._fail_all("The server stopped before this request was done; send it again.")

    # -- requests ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def open_queue(self, request: RequestScope) -> Iterator[RequestQueue]:
        """The queue of one request; leaving it takes its windows out of the queue and the engine.

        Raises what check_capacity raises, except for a restart or a drain: the request was admitted before, and its
        client has perhaps sent all of its audio since then.
        """
        self._check_engine()
        self._limit.check_num_requests(request.account)
        queue = self._queue.open_queue(request)
        self._is_idle.clear()
        self._update_gauges()
        try:
            yield queue
        finally:
            self._close_queue(queue)

    async def acquire_piece(self, queue: RequestQueue) -> None:
        """Returns when the request may hold one more piece; this bounds the memory of long files."""
        while queue.num_pieces >= self.max_pieces:
            queue.has_capacity.clear()
            await queue.has_capacity.wait()
        queue.num_pieces += 1

    def release_piece(self, queue: RequestQueue) -> None:
        """One piece less: it is transcribed completely."""
        queue.num_pieces -= 1
        queue.has_capacity.set()

    def submit(
        self, queue: RequestQueue, pcm: Pcm, options: DecodeOptions, *, is_continuation: bool = False
    ) -> asyncio.Future[WindowTranscript]:
        """Queues one window. The future raises RequestCrashedWorker, CrashingAudio for what crashed the engine before,
        ServerDraining when the engine is lost, or what the engine raises for options that it cannot honour.

        is_continuation: of a piece that is transcribed in part; it goes before the windows of the pieces behind it
        """
        result: asyncio.Future[WindowTranscript] = asyncio.get_running_loop().create_future()
        if self._stop_reason is not None:
            result.set_exception(ServerDraining(self._stop_reason))
            return result
        request, is_urgent = queue.request, self._queue.is_urgent(queue)
        job = WindowJob(next(self._job_ids), pcm, options, is_urgent, request.request_id, request.record.traceparent)
        queue.submitted_s += len(pcm) / SAMPLE_RATE_HZ
        self._queue.push(QueuedWindow(queue, job, result, queued_s=self._clock()), is_next=is_continuation)
        self.run_once()
        return result

    def _close_queue(self, queue: RequestQueue) -> None:
        self._queue.close_queue(queue)
        self._engine.cancel([job_id for job_id, window in self._running.items() if window.queue is queue])
        for window in queue.held:
            window.result.cancel()
        queue.held.clear()
        for other in self._queue.queues:
            other.has_capacity.set()  # the fewer requests, the more pieces each may hold
        if not self._queue.queues:
            self._is_idle.set()
        self.run_once()

    @property
    def max_pieces(self) -> int:
        """Pieces that one request may hold: enough for its slots, and some ahead, so that no slot waits for audio."""
        n_slots = self._engine.info.n_slots
        num_ahead = min(n_slots, MAX_AHEAD)
        fair = (n_slots + num_ahead) // max(1, len(self._queue.queues))
        return max(MIN_PIECES, min(fair, n_slots - num_reserved_slots(n_slots) + num_ahead))

    @property
    def num_open_requests(self) -> int:
        return len(self._queue.queues)

    @property
    def backlog_s(self) -> float:
        """Seconds of audio of open requests that are known and not transcribed yet."""
        return sum(queue.remaining_s for queue in self._queue.queues)

    # -- the next windows --------------------------------------------------------------------------------------

    def run_once(self) -> int:
        """Gives the engine's free slots to the next windows; returns how many."""
        batch: list[QueuedWindow] = []
        engine, running = self._engine, self._running.values()
        while window := self._lost.pop(engine.free_slots - len(batch), engine.num_slots, running):
            batch.append(window)
            self._running[window.job.job_id] = window
            window.queue.num_running += 1
        if batch:
            self._admit(batch)
        self._update_gauges()
        return len(batch)

    def _admit(self, batch: Sequence[QueuedWindow]) -> None:
        now_s = self._clock()
        for window in batch:
            window.admitted_s = now_s
            self._metrics.stage_s["queue"].observe(now_s - window.queued_s)
        self._speed.note(is_busy=True)
        self._metrics.batch_windows.observe(len(self._running))
        if len({window.queue for window in self._running.values()}) > 1:
            self._metrics.shared_batches.inc()
        self._engine.admit([window.job for window in batch])

    def _update_gauges(self) -> None:
        self._metrics.open_requests.set(len(self._queue.queues))
        self._metrics.queued_windows.set(self._queue.num_waiting)
        self._metrics.busy_slots.set(len(self._running))
        self._metrics.backlog_s.set(self.backlog_s)

    # -- reports of the engine ---------------------------------------------------------------------------------

    def on_capacity(self) -> None:
        self._metrics.slots.set(self._engine.num_slots)
        self.run_once()

    def on_finished(self, finished: Sequence[FinishedJob]) -> None:
        now_s = self._clock()
        for job in finished:
            window = self._running.pop(job.job_id, None)
            if window is None or window not in window.queue.held:  # its request was closed in the meantime
                continue
            window.leave_engine()
            self._lost.clear(window)
            engine_s = now_s - window.admitted_s
            if not window.result.done():
                times = StageTimes(queue_s=window.admitted_s - window.queued_s, engine_s=engine_s)
                window.result.set_result(replace(job.transcript, times=times))
            self._speed.note(is_busy=bool(self._running), audio_s=window.audio_s)
            self._metrics.stage_s["engine"].observe(engine_s)
            self._metrics.windows.inc()
            self._metrics.audio_s.inc(window.audio_s)
            self._metrics.tokens.inc(job.transcript.num_tokens)
        self.run_once()

    def on_refused(self, job_id: int, error: AsrError) -> None:
        """The engine cannot honour the options of this window, or lacks the memory for it."""
        window = self._running.pop(job_id, None)
        if window is not None:
            window.leave_engine()
            window.fail(error)
        self._speed.note(is_busy=bool(self._running))
        self.run_once()

    def on_cancelled(self, job_ids: Sequence[int]) -> None:
        for job_id in job_ids:
            self._running.pop(job_id, None)
        self._speed.note(is_busy=bool(self._running))
        self.run_once()

    def on_lost(self, job_ids: Sequence[int]) -> None:
        self._requeue(job_ids, is_killed=False)

    def on_killed(self, job_ids: Sequence[int]) -> None:
        self._requeue(job_ids, is_killed=True)

    def _requeue(self, job_ids: Sequence[int], *, is_killed: bool) -> None:
        lost = [window for job_id in job_ids if (window := self._running.pop(job_id, None))]
        self._speed.note(is_busy=bool(self._running))
        self._lost.requeue(lost, is_killed=is_killed)
        self.run_once()

    def on_failed(self, error: AsrError) -> None:
        """No window will be transcribed any more."""
        logger.log(logging.ERROR if self._queue.queues else logging.DEBUG, "open requests fail: %s", error)
        self._fail_all("The engine cannot be started again and the server is stopping; try another one.")

    def _fail_all(self, reason: str) -> None:
        self._stop_reason = reason
        for queue in self._queue.queues:
            for window in [*queue.held]:
                window.fail(ServerDraining(reason))


def _draining() -> ServerDraining:
    return ServerDraining("The server is stopping and takes no new requests; try another one.", retry_after_s=5)
