"""`EngineProcess`, the supervisor of the engine process: starts, watches and restarts it, and hands jobs to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from asr_api.engine_process.child_process import ChildProcess
from asr_api.engine_process.exit_cause import exit_text
from asr_api.engine_process.messages import (
    Admit,
    Cancel,
    JobRefused,
    JobsCancelled,
    JobsFailed,
    JobsFinished,
    LoadFailed,
    PcmLocation,
    Ready,
    SlotsChanged,
    Stop,
    job_ids_of,
)
from asr_api.engine_process.ports import EngineListener, EngineState
from asr_api.engines.protocol import Engine, EngineInfo, WindowJob
from asr_api.errors import AsrError, ModelLoading, ServerDraining, StartupError
from asr_api.metrics import ModelMetrics

logger = logging.getLogger(__name__)

MAX_FAILED_LOADS = 3  # exits in a row without having been ready in between; kills from outside do not count
BACK_OFF_S = 0.5  # after the first of them; doubles
STOP_TIMEOUT_S = 5.0


class EngineProcess:
    """Keeps one engine running. It is an `EnginePort`: to a scheduler it is the engine."""

    def __init__(
        self,
        factory: Callable[[], Engine],
        *,
        metrics: ModelMetrics,
        heartbeat_timeout_s: float = 60.0,
        load_timeout_s: float = 900.0,
        is_traced: bool = False,
    ) -> None:
        """factory: picklable; runs in the engine process"""
        self._factory = factory
        self._metrics = metrics
        self._heartbeat_timeout_s = heartbeat_timeout_s
        self._load_timeout_s = load_timeout_s
        self._is_traced = is_traced
        self._listener: EngineListener | None = None
        self._state = EngineState.UNLOADED
        self._info: EngineInfo | None = None
        self._error: AsrError | None = None
        self._child: ChildProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._has_started = asyncio.Event()  # ready, failed or closed
        self._has_failed = asyncio.Event()
        self._num_slots = 0
        self._free_buffers: list[int] = []
        self._buffer_of: dict[int, int] = {}  # by job id, until the child reports that the job is gone
        self._unhandled: list[int] = []  # jobs whose report could not be handled

    async def start(self) -> None:
        """Returns when the engine is loaded and warm. Raises StartupError when it cannot be, and ServerDraining when
        `close` was called meanwhile.
        """
        self._set_state(EngineState.LOADING)
        self._supervisor = asyncio.create_task(self._supervise())
        await self._has_started.wait()
        if self._error is not None:
            raise self._error
        if self._state is EngineState.CLOSED:
            raise ServerDraining("The server stopped while the model was being loaded; start it again.")

    async def wait_failed(self) -> AsrError:
        """Waits until the engine cannot be started again; the server should then end with this error."""
        await self._has_failed.wait()
        if self._error is None:
            raise RuntimeError("the engine failed without an error; this is a bug")
        return self._error

    async def close(self) -> None:
        """Ends the process; jobs in it are dropped."""
        self._set_state(EngineState.CLOSED)
        self._has_started.set()
        if self._supervisor is None:
            return
        timeout_s = 0.0
        if self._child is None:
            self._supervisor.cancel()
        elif self._child.is_ready:
            self._child.send(Stop())
            timeout_s = STOP_TIMEOUT_S
        _, late = await asyncio.wait([self._supervisor], timeout=timeout_s)
        if late and self._child is not None:
            self._child.kill()
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
    def num_slots(self) -> int:
        return self._num_slots

    @property
    def pid(self) -> int | None:
        """Of the engine process, while there is one."""
        return self._child.process.pid if self._child else None

    @property
    def free_slots(self) -> int:
        """0 unless ready."""
        return max(0, min(len(self._free_buffers), self._num_slots - len(self._buffer_of)))

    def report_to(self, listener: EngineListener) -> None:
        if self._listener is not None:
            raise ValueError("the engine process has a listener already; this is a bug")
        self._listener = listener

    def admit(self, jobs: Sequence[WindowJob]) -> None:
        """Copies the PCM of at most `free_slots` jobs into shared buffers and sends the jobs to the child."""
        if self._child is None or len(jobs) > self.free_slots:
            raise ValueError(f"{len(jobs)} jobs for {self.free_slots} free slots; this is a bug")
        locations: list[PcmLocation] = []
        for job in jobs:
            buffer = self._buffer_of[job.job_id] = self._free_buffers.pop()
            self._child.shared_buffers[buffer, : len(job.pcm)] = job.pcm
            locations.append(PcmLocation(buffer, len(job.pcm)))
        without_pcm = tuple(replace(job, pcm=job.pcm[:0]) for job in jobs)
        self._child.send(Admit(without_pcm, tuple(locations)))

    def cancel(self, job_ids: Sequence[int]) -> None:
        """Their slots become free when the child has dropped them, within one step."""
        held = tuple(job_id for job_id in job_ids if job_id in self._buffer_of)
        if held and self._child is not None:
            self._child.send(Cancel(held))

    # -- one child process after another -----------------------------------------------------------------------

    async def _supervise(self) -> None:
        try:
            error = await self._run_children()
        except AsrError as failure:
            error = failure
        except Exception:
            logger.exception("The supervisor of the engine process failed; this is a bug.")
            error = StartupError("The engine process could not be supervised; the log above has the reason.")
        if error is not None:
            self._fail(error)

    async def _run_children(self) -> AsrError | None:
        """Starts the process as often as needed; returns when it was closed, or why it cannot be started again."""
        num_failed_loads = 0
        while True:
            child = self._child = await self._start_child()
            watch = asyncio.create_task(child.watch(self._is_busy, self._heartbeat_timeout_s, self._load_timeout_s))
            try:
                code = await child.ended
            except asyncio.CancelledError:
                child.kill()
                raise
            finally:
                watch.cancel()
            child.close()
            self._child = None
            if self._state is EngineState.CLOSED:
                return None
            if self._error is not None:
                return self._error
            is_outside = child.was_killed_outside
            if not is_outside:
                num_failed_loads = 0 if child.is_ready else num_failed_loads + 1
            if num_failed_loads == MAX_FAILED_LOADS:
                return StartupError(
                    f"The engine process ended {num_failed_loads} times in a row while loading the model, the last "
                    f"time with {exit_text(code)}; see the log above, the usual cause is too little memory."
                )
            self._handle_exit(code, is_outside=is_outside)
            if num_failed_loads > 0:
                await asyncio.sleep(BACK_OFF_S * 2 ** (num_failed_loads - 1))
            self._metrics.engine_restarts.inc()

    async def _start_child(self) -> ChildProcess:
        """A server that was ready before tries again until the machine can start a process."""
        while True:
            try:
                return ChildProcess(self._factory, self._on_message, is_traced=self._is_traced)
            except OSError as error:
                if self._info is None:
                    raise StartupError(
                        f"The engine process cannot be started: {error.strerror or error}; raise that limit of the "
                        "machine or of this process (ulimit)."
                    ) from error
                logger.exception("The engine process cannot be started; trying again.")
            await asyncio.sleep(BACK_OFF_S)

    def _is_busy(self) -> bool:
        return bool(self._buffer_of)

    def _handle_exit(self, code: int, *, is_outside: bool) -> None:
        """After an unexpected exit: the jobs in the process are lost, and it will be started again."""
        if self._state is EngineState.READY:
            self._set_state(EngineState.RESTARTING)
        lost = [*self._buffer_of, *(job_id for job_id in self._unhandled if job_id not in self._buffer_of)]
        logger.error("The engine process ended with %s and %d windows; restarting.", exit_text(code), len(lost))
        self._free_buffers.clear()
        self._buffer_of.clear()
        self._unhandled.clear()
        if self._listener is not None:
            (self._listener.on_killed if is_outside else self._listener.on_lost)(lost)

    # -- messages of the child ---------------------------------------------------------------------------------

    def _on_message(self, child: ChildProcess, message: object) -> None:
        """An error in here ends the child, so that it is started again: its messages would be lost otherwise."""
        if child is not self._child or self._state is EngineState.CLOSED:
            return
        try:
            match message:
                case Ready(info):
                    child.map_shared_buffers(message)
                    self._on_ready(child, info)
                case LoadFailed(error):
                    self._error = error
                case SlotsChanged(num_slots):
                    self._set_num_slots(num_slots)
                case _:
                    self._on_jobs_ended(message)
        except Exception:
            logger.exception("A message of the engine process could not be handled; killing the process.")
            self._unhandled += job_ids_of(message)
            child.kill()

    def _on_jobs_ended(self, message: object) -> None:
        """Jobs that are no longer in the engine, for whatever reason."""
        listener = self._listener
        match message:
            case JobsFinished(jobs):
                self._release([job.job_id for job in jobs])
                if listener is not None:
                    listener.on_finished(jobs)
            case JobRefused(job_id, error):
                self._release([job_id])
                if listener is not None:
                    listener.on_refused(job_id, error)
            case JobsCancelled(job_ids):
                self._release(job_ids)
                if listener is not None:
                    listener.on_cancelled(job_ids)
            case JobsFailed(job_ids):
                self._release(job_ids)
                if listener is not None:
                    listener.on_lost(job_ids)

    def _on_ready(self, child: ChildProcess, info: EngineInfo) -> None:
        self._info = info
        self._free_buffers = list(range(info.n_slots))
        self._metrics.engine_load_s.set(child.age_s)
        self._set_state(EngineState.READY)
        self._has_started.set()
        self._set_num_slots(info.n_slots)

    def _set_num_slots(self, num_slots: int) -> None:
        self._num_slots = num_slots
        if self._listener is not None:
            self._listener.on_capacity()

    def _release(self, job_ids: Sequence[int]) -> None:
        # A job can be finished and cancelled at once; the second message finds its buffer free already.
        self._free_buffers += [self._buffer_of.pop(job_id) for job_id in job_ids if job_id in self._buffer_of]

    def _fail(self, error: AsrError) -> None:
        self._error = error
        self._set_state(EngineState.FAILED)
        self._has_started.set()
        self._has_failed.set()
        if self._listener is not None:
            self._listener.on_failed(error)

    def _set_state(self, state: EngineState) -> None:
        self._state = state
        self._metrics.engine_ready.set(state is EngineState.READY)
