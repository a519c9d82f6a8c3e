"""The model in a process of its own: started, watched and restarted.

In: a picklable engine factory and window jobs. Out: calls to an `EngineListener`, in the event loop's thread.
Knows nothing about requests, queues or fairness.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import signal
from collections.abc import Callable, Sequence
from typing import Protocol

from asr_api.engine_process.child_process import ChildProcess
from asr_api.engine_process.worker import (
    Admit,
    Cancel,
    Cancelled,
    Finished,
    JobsFailed,
    LoadFailed,
    Ready,
    Refused,
    SharedWindow,
    Stop,
)
from asr_api.engines.protocol import Engine, EngineInfo, FinishedJob, WindowJob
from asr_api.errors import AsrError, ModelLoading, StartupError
from asr_api.metrics import Metrics

logger = logging.getLogger(__name__)

MAX_FAILED_LOADS = 3  # deaths in a row without having been ready in between
BACK_OFF_S = 0.5  # after the first of them; doubles
STOP_TIMEOUT_S = 5.0


class EngineState(enum.Enum):
    LOADING = "loading"  # for the first time
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"  # it cannot be started again; the server should end
    CLOSED = "closed"


class EngineListener(Protocol):
    """What the engine process tells; every call comes in the event loop's thread."""

    def on_room(self) -> None:
        """Slots became free, or the engine became ready."""

    def on_finished(self, finished: Sequence[FinishedJob]) -> None: ...

    def on_refused(self, job_id: int, error: AsrError) -> None:
        """The engine can't do what this job asks for."""

    def on_lost(self, job_ids: Sequence[int]) -> None:
        """The engine died, or had to give up, with these jobs in it."""

    def on_failed(self, error: AsrError) -> None: ...


class EngineProcess:
    """Keeps one engine alive. To a scheduler it is the engine: `free_slots`, `admit`, `cancel`, and a listener."""

    def __init__(
        self,
        factory: Callable[[], Engine],
        *,
        metrics: Metrics,
        heartbeat_timeout_s: float = 60.0,
        load_timeout_s: float = 900.0,
    ) -> None:
        self._factory = factory
        self._metrics = metrics
        self._heartbeat_timeout_s = heartbeat_timeout_s
        self._load_timeout_s = load_timeout_s
        self._listeners: list[EngineListener] = []
        self._state = EngineState.LOADING
        self._info: EngineInfo | None = None
        self._error: AsrError | None = None
        self._life: ChildProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._has_started = asyncio.Event()  # ready or failed
        self._has_failed = asyncio.Event()
        self._free_buffers: list[int] = []
        self._buffer_of: dict[int, int] = {}  # by job id, until the child says that the job is gone

    async def start(self) -> None:
        """Returns when the engine is loaded and warm. Raises StartupError when it cannot be."""
        self._supervisor = asyncio.create_task(self._supervise())
        await self._has_started.wait()
        if self._error is not None:
            raise self._error

    async def wait_failed(self) -> AsrError:
        """Waits until the engine cannot be started again; the server should then end with this error."""
        await self._has_failed.wait()
        if self._error is None:
            raise RuntimeError("the engine failed without an error; this is a bug")
        return self._error

    async def close(self) -> None:
        """Ends the process; jobs in it are dropped."""
        self._set_state(EngineState.CLOSED)
        self._has_started.set()  # nobody should wait for it any longer
        if self._supervisor is None:
            return
        timeout_s = 0.0
        if self._life is None:
            self._supervisor.cancel()
        elif self._life.is_ready:
            self._life.send(Stop())
            timeout_s = STOP_TIMEOUT_S
        _, late = await asyncio.wait([self._supervisor], timeout=timeout_s)
        if late and self._life is not None:
            self._life.kill()
        await asyncio.wait([self._supervisor])

    @property
    def state(self) -> EngineState:
        return self._state

    @property
    def info(self) -> EngineInfo:
        """Raises ModelLoading until the engine was ready for the first time."""
        if self._info is None:
            raise ModelLoading("The model is still being loaded; try again in a moment.", retry_after_s=1)
        return self._info

    @property
    def pid(self) -> int | None:
        """Of the engine's process, while there is one."""
        return self._life.process.pid if self._life else None

    @property
    def free_slots(self) -> int:
        """0 unless ready."""
        return len(self._free_buffers)

    def subscribe(self, listener: EngineListener) -> None:
        self._listeners.append(listener)

    def admit(self, jobs: Sequence[WindowJob]) -> None:
        """Copies the windows into shared memory and tells the child; at most `free_slots` jobs."""
        if self._life is None or len(jobs) > len(self._free_buffers):
            raise ValueError(f"{len(jobs)} jobs for {self.free_slots} free slots; this is a bug")
        handovers: list[SharedWindow] = []
        for job in jobs:
            buffer = self._buffer_of[job.job_id] = self._free_buffers.pop()
            self._life.arena[buffer, : len(job.pcm)] = job.pcm
            handovers.append(SharedWindow(job.job_id, buffer, len(job.pcm), job.options, job.is_urgent))
        self._life.send(Admit(tuple(handovers)))

    def cancel(self, job_ids: Sequence[int]) -> None:
        """Their slots become free when the child has let go of them, within one step; `on_room` tells."""
        held = tuple(job_id for job_id in job_ids if job_id in self._buffer_of)
        if held and self._life is not None:
            self._life.send(Cancel(held))

    # -- one life after the other ------------------------------------------------------------------------------

    async def _supervise(self) -> None:
        try:
            error = await self._live()
        except AsrError as failure:
            error = failure
        except Exception:
            logger.exception("The supervisor of the engine process failed; this is a bug.")
            error = StartupError("The engine process could not be supervised; the log above has the reason.")
        if error is not None:
            self._fail(error)

    async def _live(self) -> AsrError | None:
        """Starts the process as often as needed; returns when it was closed, or why it can't be started again."""
        num_failed_loads = 0
        while True:
            life = self._life = await self._begin()
            watch = asyncio.create_task(life.watch(self._is_busy, self._heartbeat_timeout_s, self._load_timeout_s))
            try:
                code = await life.ended
            except asyncio.CancelledError:
                life.kill()
                raise
            finally:
                watch.cancel()
            life.close()
            self._life = None
            if self._state is EngineState.CLOSED:
                return None
            if self._error is not None:
                return self._error
            num_failed_loads = 0 if life.is_ready else num_failed_loads + 1
            if num_failed_loads == MAX_FAILED_LOADS:
                return StartupError(
                    f"The engine process ended {num_failed_loads} times in a row while loading the model, "
                    f"at last with {_exit_text(code)}; the log above may tell why, often it is too little memory."
                )
            self._handle_exit(code)
            if num_failed_loads > 0:
                await asyncio.sleep(BACK_OFF_S * 2 ** (num_failed_loads - 1))
            self._metrics.engine_restarts.inc()

    async def _begin(self) -> ChildProcess:
        """Starts the process. A server that worked before waits until the machine can start one again."""
        while True:
            try:
                return ChildProcess(self._factory, self._take)
            except OSError as error:
                if self._info is None:
                    raise StartupError("The engine process can't be started; the machine lacks resources.") from error
                logger.exception("The engine process can't be started; trying again.")
            await asyncio.sleep(BACK_OFF_S)

    def _is_busy(self) -> bool:
        return bool(self._buffer_of)

    def _handle_exit(self, code: int) -> None:
        """After an unexpected death: its jobs are lost, and the next life is due."""
        if self._state is EngineState.READY:
            self._set_state(EngineState.RESTARTING)
        lost = list(self._buffer_of)
        logger.error("The engine process ended with %s and %d windows; restarting.", _exit_text(code), len(lost))
        self._free_buffers.clear()
        self._buffer_of.clear()
        for listener in self._listeners:
            listener.on_lost(lost)

    # -- messages from the child -------------------------------------------------------------------------------

    def _take(self, life: ChildProcess, message: object) -> None:
        if life is not self._life or self._state is EngineState.CLOSED:
            return
        match message:
            case Ready():
                life.map_shared_buffers(message)
                self._on_ready(life, message.info)
            case LoadFailed(error):
                self._error = error
            case _:
                self._on_jobs_ended(message)

    def _on_jobs_ended(self, message: object) -> None:
        """Jobs that are no longer in the engine, for whatever reason."""
        match message:
            case Finished(jobs):
                self._release([job.job_id for job in jobs])
                for listener in self._listeners:
                    listener.on_finished(jobs)
            case Refused(job_id, error):
                self._release([job_id])
                for listener in self._listeners:
                    listener.on_refused(job_id, error)
            case Cancelled(job_ids):
                self._release(job_ids)
                for listener in self._listeners:
                    listener.on_room()
            case JobsFailed(job_ids):
                self._release(job_ids)
                for listener in self._listeners:
                    listener.on_lost(job_ids)

    def _on_ready(self, life: ChildProcess, info: EngineInfo) -> None:
        self._info = info
        self._free_buffers = list(range(info.n_slots))
        self._metrics.engine_load_s.set(life.age_s)
        self._set_state(EngineState.READY)
        self._has_started.set()
        for listener in self._listeners:
            listener.on_room()

    def _release(self, job_ids: Sequence[int]) -> None:
        # A job can be finished and cancelled at once; the second message finds its buffer already free.
        self._free_buffers += [self._buffer_of.pop(job_id) for job_id in job_ids if job_id in self._buffer_of]

    def _fail(self, error: AsrError) -> None:
        self._error = error
        self._set_state(EngineState.FAILED)
        self._has_started.set()
        self._has_failed.set()
        for listener in self._listeners:
            listener.on_failed(error)

    def _set_state(self, state: EngineState) -> None:
        self._state = state
        self._metrics.engine_ready.set(state is EngineState.READY)


def _exit_text(code: int) -> str:
    return f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit code {code}"
