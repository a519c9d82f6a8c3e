"""The engine process's own side: its messages, and the loop that feeds an engine from a pipe and a shared arena.

In: an engine factory, then windows whose PCM lies in the arena. Out: finished windows, and a beat after every step.
Dies with its parent, ignores the terminal's signals, and knows nothing about requests.
"""

from __future__ import annotations

import ctypes
import logging
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from asr_api.engines.protocol import Engine, EngineInfo, FinishedJob, WindowJob
from asr_api.errors import AsrError
from asr_api.options import TranscribeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm

logger = logging.getLogger(__name__)

IDLE_BEAT_S = 1.0
PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15


# -- messages to the child ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Load:
    """The first message."""

    factory: Callable[[], Engine]
    log_level: int


@dataclass(frozen=True, slots=True)
class SharedWindow:
    """A window whose PCM lies in this buffer of the arena until its job is reported as gone."""

    job_id: int
    buffer: int
    num_samples: int
    options: TranscribeOptions
    is_urgent: bool = False


@dataclass(frozen=True, slots=True)
class Admit:
    handovers: tuple[SharedWindow, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    job_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    pass


# -- messages from the child -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ready:
    """Loaded and warm; the arena has its size."""

    info: EngineInfo
    warm_up_s: float


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """Another try would end the same way."""

    error: AsrError


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Still alive; one after every step, and now and then when idle."""


@dataclass(frozen=True, slots=True)
class Finished:
    jobs: tuple[FinishedJob, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The engine can't do what this job asks for."""

    job_id: int
    error: AsrError


@dataclass(frozen=True, slots=True)
class Cancelled:
    """These jobs are no longer in the engine; answers every Cancel."""

    job_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class JobsFailed:
    """The engine raised with these jobs in it; they are out of it again."""

    job_ids: tuple[int, ...]


# -- the arena ---------------------------------------------------------------------------------------------------


def window_samples(info: EngineInfo) -> int:
    """Size of one buffer of the arena, which has one per slot."""
    return round(info.window_s * SAMPLE_RATE_HZ)


def shared_buffer_bytes(info: EngineInfo) -> int:
    return info.n_slots * window_samples(info) * np.dtype(np.int16).itemsize


# -- the loop ----------------------------------------------------------------------------------------------------


class _Worker:
    """Feeds one engine; `run` returns when the parent says Stop."""

    def __init__(self, engine: Engine, pipe: Connection, arena: Pcm) -> None:
        self._engine = engine
        self._pipe = pipe
        self._arena = arena  # (n_slots, n_window_samples)
        self._waiting: list[SharedWindow] = []
        self._running: set[int] = set()
        self._is_suspect = False  # the engine raised, and nothing has finished since

    def run(self) -> None:
        while self._receive():
            if self._waiting or self._running:
                self._work()
            self._pipe.send(Heartbeat())

    def _receive(self) -> bool:
        """Takes all messages there are, and waits a moment for one when there is nothing to do."""
        while self._pipe.poll(0 if self._waiting or self._running else IDLE_BEAT_S):
            match self._pipe.recv():
                case Admit(handovers):
                    self._waiting += handovers
                case Cancel(job_ids):
                    self._cancel(job_ids)
                    self._pipe.send(Cancelled(job_ids))
                case Stop():
                    return False
        return True

    def _cancel(self, job_ids: tuple[int, ...]) -> None:
        gone = set(job_ids)
        self._waiting = [handover for handover in self._waiting if handover.job_id not in gone]
        self._engine.cancel(list(gone & self._running))
        self._running -= gone

    def _work(self) -> None:
        """One admission and one step."""
        try:
            self._admit()
            finished = self._engine.step()
        except Exception:
            # Once may be a window's fault; twice in a row the engine itself may be broken, so the process ends.
            if self._is_suspect:
                raise
            logger.exception("The engine raised with %d windows in it; they will run again.", len(self._running))
            self._is_suspect = True
            job_ids = (*self._running, *(handover.job_id for handover in self._waiting))
            self._cancel(job_ids)
            self._pipe.send(JobsFailed(job_ids))
        else:
            if finished:
                self._is_suspect = False
                self._running -= {job.job_id for job in finished}
                self._pipe.send(Finished(tuple(finished)))

    def _admit(self) -> None:
        while self._waiting and self._engine.free_slots:
            handover = self._waiting.pop(0)
            self._running.add(handover.job_id)
            pcm = self._arena[handover.buffer, : handover.num_samples]
            try:
                self._engine.admit([WindowJob(handover.job_id, pcm, handover.options, handover.is_urgent)])
            except AsrError as error:
                self._running.remove(handover.job_id)
                self._pipe.send(Refused(handover.job_id, error))


def _load(pipe: Connection, arena_fd: int) -> _Worker | None:
    """The engine, ready to work; None when it can't be had and the parent was told why."""
    load: Load = pipe.recv()
    logging.basicConfig(level=load.log_level, format="%(asctime)s %(levelname)s engine: %(message)s")
    try:
        engine = load.factory()
        started_s = time.monotonic()
        engine.warm_up()
    except AsrError as error:
        pipe.send(LoadFailed(error))
        return None
    info = engine.info
    os.ftruncate(arena_fd, shared_buffer_bytes(info))
    memory = mmap.mmap(arena_fd, shared_buffer_bytes(info), prot=mmap.PROT_READ)
    os.close(arena_fd)
    arena = np.frombuffer(memory, np.int16).reshape(info.n_slots, window_samples(info))
    pipe.send(Ready(info, time.monotonic() - started_s))
    return _Worker(engine, pipe, arena)


def _settle_in(parent_pid: int) -> None:
    """Makes this process end with its parent, and only then: Ctrl-C and a group's SIGTERM drain the parent first."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.prctl(PR_SET_NAME, b"asr-api-engine")
    if os.getppid() != parent_pid:  # it died before it could take us along
        sys.exit(1)


def main(parent_pid: int, pipe_fd: int, arena_fd: int) -> None:
    """What the child process runs. Where there is no PDEATHSIG, the end of the pipe tells that the parent is gone."""
    _settle_in(parent_pid)
    pipe = Connection(pipe_fd)
    try:
        worker = _load(pipe, arena_fd)
        if worker is not None:
            worker.run()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        sys.exit(1)
