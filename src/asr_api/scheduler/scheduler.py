"""Who may come in, what the engine does next, and what becomes of its windows when it dies.

In: windows of many requests, each in a queue. Out: their window transcripts, as futures. `run_once` decides and never
waits, so a test can drive it with a fake clock. Knows nothing about sources or HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence

from asr_api.engine_process.ports import EnginePort
from asr_api.engine_process.supervisor import EngineState
from asr_api.engines.protocol import FinishedJob, WindowJob
from asr_api.errors import (
    AsrError,
    EngineRestarting,
    ModelLoading,
    RequestCrashedWorker,
    ServerDraining,
    ServerOverloaded,
)
from asr_api.metrics import Metrics, SpeedMeter
from asr_api.options import TranscribeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from asr_api.scheduler.fair_queue import FairQueue, QueuedWindow, RequestQueue, num_kept_slots
from asr_api.transcript import WindowTranscript

logger = logging.getLogger(__name__)

MIN_AHEAD = 2  # windows that a request may always hold: one in the engine, one behind it
MAX_RESERVE = 4  # windows cut ahead of the slots; each holds a megabyte
MAX_DEATHS = 3  # of the engine with the same window inside
MAX_RETRY_AFTER_S = 120  # clients don't believe more


class Scheduler:
    """Call it from the event loop's thread only; it listens to the engine from its construction on."""

    def __init__(
        self,
        engine: EnginePort,
        *,
        metrics: Metrics,
        max_requests: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._max_requests = max_requests
        self._clock = clock
        self._speed = SpeedMeter(clock)
        self._queue = FairQueue()
        self._running: dict[int, QueuedWindow] = {}  # by job id, in order of admission
        self._job_ids = itertools.count()
        self._ending: str | None = None  # why no window can be transcribed any more
        self._is_draining = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        engine.subscribe(self)

    # -- at the door -------------------------------------------------------------------------------------------

    def check_ready(self) -> None:
        """Raises ModelLoading, EngineRestarting or ServerDraining."""
        self._check_open()
        if self._engine.state is EngineState.RESTARTING:
            raise EngineRestarting("The engine is being restarted; try again in a few seconds.", retry_after_s=2)

    def check_capacity(self) -> None:
        """As check_ready; raises ServerOverloaded, with the time to come back, when all places are taken."""
        self.check_ready()
        self._check_places()

    def _check_open(self) -> None:
        if self._is_draining:
            raise ServerDraining("The server is stopping and takes no new requests; try another one.", retry_after_s=5)
        self._check_engine()

    def _check_engine(self) -> None:
        state = self._engine.state
        if self._ending is not None or state in {EngineState.FAILED, EngineState.CLOSED}:
            raise ServerDraining("The server is stopping and takes no new requests; try another one.", retry_after_s=5)
        if state is EngineState.LOADING:
            raise ModelLoading("The model is still being loaded; try again in a few seconds.", retry_after_s=2)

    def _check_places(self) -> None:
        if len(self._queue.queues) >= self._max_requests:
            wait_s = self._retry_after_s()
            message = f"All {self._max_requests} places for requests are taken; try again in {wait_s} s."
            raise ServerOverloaded(message, retry_after_s=wait_s)

    def _retry_after_s(self) -> int:
        # With equal shares, the request with the least left is done after all queues were served as much.
        known_s = [queue.remaining_s for queue in self._queue.queues if queue.submitted_s or queue.unsubmitted_s]
        first_s = min(known_s, default=0.0) * len(self._queue.queues) / self._speed.rtfx
        return min(max(1, math.ceil(first_s)), MAX_RETRY_AFTER_S)

    async def drain(self) -> None:
        """Closes the door and returns when no queue is open. Who was let in before may still open one."""
        self._is_draining = True
        await self._is_idle.wait()

    def stop(self) -> None:
        """Takes no new request and fails the open ones."""
        self._is_draining = True
        self._end("The server stopped before this request was done; send it again.")

    # -- requests ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def open_queue(self) -> Iterator[RequestQueue]:
        """A place for one request; leaving it takes its windows out of the queue and the engine.

        Raises what check_capacity raises, but a restart or the beginning of the end is no reason to turn away: who
        comes here was let in at the door, and has perhaps sent all of its audio since then.
        """
        self._check_engine()
        self._check_places()
        queue = self._queue.open_queue()
        self._is_idle.clear()
        self._show()
        try:
            yield queue
        finally:
            self._close_queue(queue)

    async def acquire_window(self, queue: RequestQueue) -> None:
        """Returns when the queue may hold one more window, which is what bounds the memory of long files."""
        while queue.num_windows >= self.max_windows:
            queue.room.clear()
            await queue.room.wait()
        queue.num_windows += 1

    def release_window(self, queue: RequestQueue) -> None:
        """One window less: all of it was heard."""
        queue.num_windows -= 1
        queue.room.set()

    def submit(
        self, queue: RequestQueue, pcm: Pcm, options: TranscribeOptions, *, is_continuation: bool = False
    ) -> asyncio.Future[WindowTranscript]:
        """Queues one window. The future raises RequestCrashedWorker, ServerDraining when the engine is lost, or what
        the engine raises for options that it can't honour.

        is_continuation: of a window that was heard in part; it goes before the windows that follow it
        """
        heard: asyncio.Future[WindowTranscript] = asyncio.get_running_loop().create_future()
        if self._ending is not None:
            heard.set_exception(ServerDraining(self._ending))
            return heard
        job = WindowJob(next(self._job_ids), pcm, options, is_urgent=self._queue.is_urgent(queue))
        queue.submitted_s += len(pcm) / SAMPLE_RATE_HZ
        self._queue.push(QueuedWindow(queue, job, heard, queued_s=self._clock()), is_next=is_continuation)
        self.run_once()
        return heard

    def _close_queue(self, queue: RequestQueue) -> None:
        self._queue.close_queue(queue)
        job_ids = [job_id for job_id, ticket in self._running.items() if ticket.queue is queue]
        for job_id in job_ids:
            del self._running[job_id]
        self._speed.note(is_busy=bool(self._running))
        self._engine.cancel(job_ids)
        for ticket in queue.held:
            ticket.heard.cancel()
        for other in self._queue.queues:
            other.room.set()  # the fewer queues, the more each may hold
        if not self._queue.queues:
            self._is_idle.set()
        self.run_once()

    @property
    def max_windows(self) -> int:
        """Windows that one request may hold: its slots full, and a reserve, so that none waits for a decoder."""
        n_slots = self._engine.info.n_slots
        reserve = min(n_slots, MAX_RESERVE)
        fair = (n_slots + reserve) // max(1, len(self._queue.queues))
        return max(MIN_AHEAD, min(fair, n_slots - num_kept_slots(n_slots) + reserve))

    @property
    def num_open_requests(self) -> int:
        return len(self._queue.queues)

    @property
    def backlog_s(self) -> float:
        """Audio seconds that open requests are known to have still untranscribed."""
        return sum(queue.remaining_s for queue in self._queue.queues)

    # -- the decision ------------------------------------------------------------------------------------------

    def run_once(self) -> int:
        """Gives the engine's free slots to the windows that are next; returns how many."""
        batch: list[QueuedWindow] = []
        while ticket := self._next(self._engine.free_slots - len(batch)):
            batch.append(ticket)
            self._running[ticket.job.job_id] = ticket
            ticket.queue.num_running += 1
        if batch:
            self._hand_over(batch)
        self._show()
        return len(batch)

    def _next(self, free_slots: int) -> QueuedWindow | None:
        if free_slots <= 0:  # also while the engine is not ready and has no info to ask for
            return None
        return self._queue.pop(free_slots, self._engine.info.n_slots, self._running.values())

    def _hand_over(self, batch: Sequence[QueuedWindow]) -> None:
        now_s = self._clock()
        for ticket in batch:
            ticket.admitted_s = now_s
            self._metrics.stage_s.labels("queue").observe(now_s - ticket.queued_s)
        self._speed.note(is_busy=True)
        self._metrics.batch_windows.observe(len(self._running))
        if len({ticket.queue for ticket in self._running.values()}) > 1:
            self._metrics.shared_batches.inc()
        self._engine.admit([ticket.job for ticket in batch])

    def _show(self) -> None:
        self._metrics.open_requests.set(len(self._queue.queues))
        self._metrics.queued_windows.set(self._queue.num_waiting)
        self._metrics.busy_slots.set(len(self._running))
        self._metrics.backlog_s.set(self.backlog_s)

    # -- what the engine tells ---------------------------------------------------------------------------------

    def on_room(self) -> None:
        self._metrics.slots.set(self._engine.info.n_slots)
        self.run_once()

    def on_finished(self, finished: Sequence[FinishedJob]) -> None:
        now_s = self._clock()
        for job in finished:
            ticket = self._running.pop(job.job_id, None)
            if ticket is None:  # its queue was closed in the meantime
                continue
            self._leave(ticket)
            if not ticket.heard.done():
                ticket.heard.set_result(job.transcript)
            self._speed.note(is_busy=bool(self._running), audio_s=ticket.audio_s)
            self._metrics.stage_s.labels("engine").observe(now_s - ticket.admitted_s)
            self._metrics.windows.inc()
            self._metrics.audio_s.inc(ticket.audio_s)
            self._metrics.tokens.inc(job.transcript.num_tokens)
        self.run_once()

    def on_refused(self, job_id: int, error: AsrError) -> None:
        """This window asks for what the engine can't do."""
        ticket = self._running.pop(job_id, None)
        if ticket is not None:
            self._leave(ticket)
            _fail(ticket, error)
        self._speed.note(is_busy=bool(self._running))
        self.run_once()

    def on_lost(self, job_ids: Sequence[int]) -> None:
        """The innocent run again before all others; a culprit is found by running the suspects one by one."""
        lost = [ticket for job_id in job_ids if (ticket := self._running.pop(job_id, None))]
        self._speed.note(is_busy=bool(self._running))
        for ticket in lost:
            ticket.num_deaths += 1
            if ticket.num_deaths >= MAX_DEATHS:
                self._give_up(ticket)
        self._queue.push_front([ticket for ticket in lost if ticket.num_deaths < MAX_DEATHS])
        self.run_once()

    def on_failed(self, error: AsrError) -> None:
        """No window will be transcribed any more."""
        logger.log(logging.ERROR if self._queue.queues else logging.DEBUG, "open requests fail: %s", error)
        self._end("The engine can't be started again and the server is stopping; try another one.")

    def _end(self, reason: str) -> None:
        self._ending = reason
        for queue in self._queue.queues:
            for ticket in queue.held:
                _fail(ticket, ServerDraining(reason))

    def _give_up(self, ticket: QueuedWindow) -> None:
        self._leave(ticket)
        num_deaths = ticket.num_deaths
        message = f"The engine ended {num_deaths} times while it worked on this audio; it will not be tried again."
        logger.error("%s", message)
        _fail(ticket, RequestCrashedWorker(message))

    def _leave(self, ticket: QueuedWindow) -> None:
        """The window comes out of the engine for good."""
        ticket.queue.num_running -= 1
        ticket.queue.held.discard(ticket)


def _fail(ticket: QueuedWindow, error: AsrError) -> None:
    if not ticket.heard.done():
        ticket.heard.set_exception(error)
