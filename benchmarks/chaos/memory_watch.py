"""Memory of a server's processes during a load, measured twice a second beside the number of answered requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil

from benchmarks.chaos.leaks import memory_slope
from benchmarks.chaos.outcomes import Record
from benchmarks.chaos.server_processes import find_processes

INTERVAL_S = 0.5


@dataclass(slots=True)
class MemoryWatch:
    """Resident bytes of the server and of its engine, with their times by the monotonic clock."""

    times_s: list[float] = field(default_factory=list)
    server_bytes: list[int] = field(default_factory=list)
    engine_bytes: list[int] = field(default_factory=list)

    def read(self, server_pid: int) -> None:
        processes = find_processes(server_pid)
        server_bytes = processes.server.memory_info().rss
        engine_bytes = processes.engine.memory_info().rss if processes.engine else 0
        self.times_s.append(time.monotonic())
        self.server_bytes.append(server_bytes)
        self.engine_bytes.append(engine_bytes)

    def slope(self, num_bytes: Sequence[int], records: Sequence[Record]) -> float:
        """MiB per 1,000 requests; see `memory_slope`."""
        ends_s = sorted(record.end_s for record in records)
        num_done, counts = 0, []
        for at_s in self.times_s:
            while num_done < len(ends_s) and ends_s[num_done] <= at_s:
                num_done += 1
            counts.append(num_done)
        return memory_slope(counts, num_bytes)


@contextmanager
def watching_memory(server_pid: int) -> Iterator[MemoryWatch]:
    watch, is_over = MemoryWatch(), threading.Event()

    def measure() -> None:
        while not is_over.wait(INTERVAL_S):
            with suppress(psutil.Error):  # a process has just been killed
                watch.read(server_pid)

    thread = threading.Thread(target=measure, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        is_over.set()
        thread.join()
