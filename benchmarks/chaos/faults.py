"""Makes the faults of a plan at a server that this program started; notes what was made, and when."""

from __future__ import annotations

import errno
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from random import Random

import psutil

from benchmarks.chaos.fault_plan import FEW_DESCRIPTORS, Fault, FaultKind, PlannedFault
from benchmarks.chaos.own_server import OwnServer
from benchmarks.chaos.server_processes import find_processes

FILLER_BLOCK_BYTES = 2**20
SIGNALS = {
    FaultKind.ENGINE_KILL: signal.SIGKILL,
    FaultKind.DECODER_KILL: signal.SIGKILL,
    FaultKind.FORK_SERVER_KILL: signal.SIGKILL,
    FaultKind.ENGINE_STOP: signal.SIGSTOP,
    FaultKind.DECODER_STOP: signal.SIGSTOP,
    FaultKind.FORK_SERVER_STOP: signal.SIGSTOP,
}


class FaultMaker:
    def __init__(self, server: OwnServer, seed: int) -> None:
        self.made: list[Fault] = []
        self._server = server
        self._rng = Random(seed)  # noqa: S311 – it has to be repeatable

    def run(self, plan: Sequence[PlannedFault], started_s: float, is_over: threading.Event) -> None:
        """Returns after the last fault, or when the event is set."""
        for planned in plan:
            if is_over.wait(max(0.0, started_s + planned.at_s - time.monotonic())):
                return
            self.made.append(self.make(planned.kind, planned.duration_s, is_over))

    def make(self, kind: FaultKind, duration_s: float, is_over: threading.Event) -> Fault:
        begin_s = time.monotonic()
        with self._fault(kind) as is_made:
            if is_made:
                is_over.wait(duration_s)
        return Fault(kind, begin_s, time.monotonic(), is_made)

    @contextmanager
    def _fault(self, kind: FaultKind) -> Iterator[bool]:
        if kind is FaultKind.DISK_FULL:
            with self._full_disk() as is_made:
                yield is_made
        elif kind is FaultKind.DESCRIPTORS:
            with self._few_descriptors():
                yield True
        else:
            process = self._process(kind)
            is_made = process is not None and send_signal(process, SIGNALS[kind])
            yield is_made
            if is_made and process is not None and SIGNALS[kind] == signal.SIGSTOP:
                send_signal(process, signal.SIGCONT)

    def _process(self, kind: FaultKind) -> psutil.Process | None:
        assert self._server.pid is not None, "a server of somebody else gets no faults; this is a bug"  # noqa: S101
        processes = find_processes(self._server.pid)
        if kind in {FaultKind.ENGINE_KILL, FaultKind.ENGINE_STOP}:
            return processes.engine
        if kind in {FaultKind.FORK_SERVER_KILL, FaultKind.FORK_SERVER_STOP}:
            return processes.fork_server
        return self._rng.choice(processes.decoders) if processes.decoders else None

    @contextmanager
    def _full_disk(self) -> Iterator[bool]:
        """Fills the small disk of the spools."""
        if not self._server.is_small_disk:
            yield False
            return
        path = self._server.spool_folder / "filler"
        try:
            with path.open("wb", buffering=0) as filler:
                fill(filler.fileno())
            yield True
        finally:
            path.unlink()

    @contextmanager
    def _few_descriptors(self) -> Iterator[None]:
        assert self._server.pid is not None  # noqa: S101
        server = psutil.Process(self._server.pid)
        soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        limit = min(soft, server.num_fds() + FEW_DESCRIPTORS)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, hard))
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))


def send_signal(process: psutil.Process, number: int) -> bool:
    """Whether the process still existed; psutil checks that it is still the same one."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True


def fill(fd: int) -> None:
    """Writes until the disk is full."""
    block = bytes(FILLER_BLOCK_BYTES)
    try:
        while os.write(fd, block):
            pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
