"""The engine process itself: loads the engine and runs its loop, fed from a pipe and shared buffers of PCM.

It ends with its parent and ignores the terminal's signals.
"""

from __future__ import annotations

import ctypes
import logging
import mmap
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import numpy as np

from asr_api.engine_process.messages import (
    Admit,
    Cancel,
    Heartbeat,
    JobRefused,
    JobsCancelled,
    JobsFailed,
    JobsFinished,
    Load,
    LoadFailed,
    Ready,
    SlotsChanged,
    Stop,
    buffer_samples,
    shared_memory_bytes,
)
from asr_api.engine_process.slot_limit import SlotLimit, is_out_of_memory
from asr_api.engines.protocol import Engine, FinishedJob, WindowJob
from asr_api.errors import AsrError, OutOfMemory
from asr_api.logs import configure_logging
from asr_api.pcm import Pcm
from asr_api.tracing import open_tracer_provider

if TYPE_CHECKING:
    from asr_api.engine_process.engine_spans import EngineSpans

logger = logging.getLogger(__name__)

IDLE_HEARTBEAT_S = 1.0
OUT_OF_MEMORY_RETRY_S = 10
PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15


class _Worker:
    """Feeds one engine; `run` returns when the parent sends Stop."""

    def __init__(self, engine: Engine, pipe: Connection, shared_buffers: Pcm, spans: EngineSpans | None) -> None:
        """spans: None where traces are off"""
        self._engine = engine
        self._pipe = pipe
        self._shared_buffers = shared_buffers  # (n_slots, n_window_samples)
        self._waiting: list[WindowJob] = []
        self._running: dict[int, WindowJob] = {}
        self._spans = spans
        self._limit = SlotLimit(engine.info.n_slots)
        self._is_suspect = False  # the engine raised, and nothing has finished since

    def run(self) -> None:
        while self._receive():
            if self._waiting or self._running:
                self._work()
            if self._spans is not None:
                self._spans.end()
            self._pipe.send(Heartbeat())
        if self._spans is not None:
            self._spans.end(idle_s=0)

    def _receive(self) -> bool:
        """Reads all messages there are, and waits a moment for one when there is nothing to do."""
        while self._pipe.poll(0 if self._waiting or self._running else IDLE_HEARTBEAT_S):
            match self._pipe.recv():
                case Admit(jobs, locations):
                    for job, location in zip(jobs, locations, strict=True):
                        pcm = self._shared_buffers[location.buffer, : location.num_samples]
                        self._waiting.append(replace(job, pcm=pcm))
                case Cancel(job_ids):
                    self._cancel(job_ids)
                    self._pipe.send(JobsCancelled(job_ids))
                case Stop():
                    return False
        return True

    def _cancel(self, job_ids: tuple[int, ...]) -> None:
        self._waiting = [job for job in self._waiting if job.job_id not in job_ids]
        self._engine.cancel([job_id for job_id in job_ids if self._leave(job_id)])

    def _leave(self, job_id: int) -> WindowJob | None:
        """Of a job that is no longer in the engine; None if it was not there."""
        job = self._running.pop(job_id, None)
        if job is not None and self._spans is not None:
            self._spans.leave(job)
        return job

    def _work(self) -> None:
        """One admission and one step."""
        try:
            self._admit()
            finished = self._engine.step()
        except Exception as error:  # noqa: BLE001  # the windows run again, or the process ends
            if not is_out_of_memory(error):
                self._fail_jobs(error)
                return
            logger.warning("The engine ran out of memory with %d windows: %s", len(self._running), error)
        else:
            self._finish(finished)
            return
        self._use_fewer_slots()  # not in the except block, whose traceback holds the memory of the step

    def _fail_jobs(self, error: Exception) -> None:
        """The first time a window may be the cause; twice in a row the engine itself may be broken: end the process."""
        if self._is_suspect:
            raise error
        self._is_suspect = True
        jobs = [*self._running.values(), *self._waiting]
        requests = ", ".join(sorted({job.request_id for job in jobs if job.request_id})) or "unknown"
        logger.exception(
            "The engine raised with %d windows of these requests: %s; they will run again.", len(jobs), requests
        )
        job_ids = tuple(job.job_id for job in jobs)
        self._cancel(job_ids)
        self._pipe.send(JobsFailed(job_ids))

    def _finish(self, finished: Sequence[FinishedJob]) -> None:
        if not finished:
            return
        self._is_suspect = False
        for job in finished:
            self._leave(job.job_id)
        self._pipe.send(JobsFinished(tuple(finished)))
        if self._limit.note_finished(len(finished)):
            self._pipe.send(SlotsChanged(self._limit.num_slots))

    def _use_fewer_slots(self) -> None:
        """The windows run again, fewer at once; a window for which there is no memory even alone fails."""
        jobs = [*self._running.values()]
        self._cancel(tuple(self._running))
        if self._limit.num_slots > 1:
            self._waiting[:0] = jobs
        else:
            sentence = "The server has too little memory for this recording at the moment; retry later."
            for job in jobs:
                error = OutOfMemory(sentence, retry_after_s=OUT_OF_MEMORY_RETRY_S)
                self._pipe.send(JobRefused(job.job_id, error))
        self._limit.lower(len(jobs))
        self._pipe.send(SlotsChanged(self._limit.num_slots))

    def _admit(self) -> None:
        while self._waiting and self._engine.free_slots and len(self._running) < self._limit.num_slots:
            job = self._waiting.pop(0)
            self._running[job.job_id] = job
            if self._spans is not None:
                self._spans.enter(job)
            try:
                self._engine.admit([job])
            except AsrError as error:
                self._leave(job.job_id)
                self._pipe.send(JobRefused(job.job_id, error))


def _load(pipe: Connection, memory_fd: int) -> _Worker | None:
    """The worker with its engine loaded; None when the engine cannot be loaded, and the parent was told why."""
    load: Load = pipe.recv()
    configure_logging(load.log_level, load.log_format, "engine")
    try:
        spans = _open_spans() if load.is_traced else None
        engine = load.factory()
        started_s = time.monotonic()
        engine.warm_up()
    except AsrError as error:
        pipe.send(LoadFailed(error))
        return None
    info = engine.info
    os.ftruncate(memory_fd, shared_memory_bytes(info))
    memory = mmap.mmap(memory_fd, shared_memory_bytes(info), prot=mmap.PROT_READ)
    os.close(memory_fd)
    shared_buffers = np.frombuffer(memory, np.int16).reshape(info.n_slots, buffer_samples(info))
    pipe.send(Ready(info, time.monotonic() - started_s))
    return _Worker(engine, pipe, shared_buffers, spans)


def _open_spans() -> EngineSpans:
    from asr_api.engine_process.engine_spans import EngineSpans

    return EngineSpans(open_tracer_provider())


def _follow_parent(parent_pid: int) -> None:
    """Makes this process end with its parent, and only then: Ctrl-C and a group's SIGTERM drain the parent first."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(PR_SET_NAME, b"asr-api-engine")
    if os.getppid() != parent_pid:  # the parent ended before the call above
        sys.exit(1)


def main(parent_pid: int, pipe_fd: int, memory_fd: int) -> None:
    """The main function of the engine process."""
    _follow_parent(parent_pid)
    pipe = Connection(pipe_fd)
    try:
        worker = _load(pipe, memory_fd)
        if worker is not None:
            worker.run()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        sys.exit(1)
