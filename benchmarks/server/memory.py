"""Memory of a server by its number of slots: after loading, and at most while every slot is decoding."""

# ruff: noqa: T201 – lines of a table

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from asr_api.benchmark.machine import ENGINE
from asr_api.benchmark.speech import cut_clips
from benchmarks.server.audio import read_recording
from benchmarks.server.client import Reply, Server, connected, send_all
from benchmarks.server.figures import Figures, figures_of
from benchmarks.server.process import started_server

INTERVAL_S = 0.2


@dataclass(frozen=True, slots=True)
class Memory:
    """The engine process, and the server with its decoders; memory that processes share counts once (PSS)."""

    engine_mb: float
    server_mb: float

    @property
    def total_mb(self) -> float:
        return self.engine_mb + self.server_mb


@dataclass(frozen=True, slots=True)
class SlotsMemory:
    """loaded: before the first request; peak: when the sum was highest; most_busy: slots that were seen at work"""

    n_slots: int
    most_busy: int
    loaded: Memory
    peak: Memory
    rtfx: float


@dataclass(frozen=True, slots=True)
class MemoryReport:
    slots: list[SlotsMemory]


class Watch:
    """The highest memory and the most busy slots so far."""

    def __init__(self, pid: int, server: Server) -> None:
        self.peak = read_memory(pid)
        self.most_busy = 0
        self._pid = pid
        self._server = server

    async def run(self) -> None:
        while True:
            memory, busy = read_memory(self._pid), await self._server.gauge("busy_slots")
            self.peak = max(self.peak, memory, key=lambda measured: measured.total_mb)
            self.most_busy = max(self.most_busy, round(busy))
            await asyncio.sleep(INTERVAL_S)


def read_memory(pid: int) -> Memory:
    """Of a server and its descendants."""
    engine = server = 0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with suppress(psutil.Error):  # it has just ended
            num_bytes = process.memory_full_info().pss
            if process.name() == ENGINE:
                engine += num_bytes
            else:
                server += num_bytes
    return Memory(engine / 1e6, server / 1e6)


async def measure_memory(
    audio: Path, query: Sequence[str], slots: Sequence[int], clip_s: float, num_rounds: int
) -> MemoryReport:
    """Starts a server for each number of slots; as many clients as it has slots send a clip each, in every round."""
    speech, rows = await read_recording(audio), []
    for n_slots in slots:
        clips = cut_clips(speech, n_slots, clip_s) * num_rounds
        with started_server({"BATCH_SIZE": str(n_slots)}) as (url, pid):
            loaded = read_memory(pid)
            async with connected(url, query) as server, watched(pid, server) as watch:
                figures = await send_clips(server, clips, n_slots)
        if figures.num_errors:
            raise SystemExit(f"{figures.num_errors} clips failed: {'; '.join(figures.errors)}")
        rtfx = clip_s * len(clips) / figures.wall_s  # a reply that takes long does not tell the length of its audio
        rows.append(SlotsMemory(n_slots, watch.most_busy, loaded, watch.peak, rtfx))
        print_row(rows[-1])
    return MemoryReport(rows)


async def send_clips(server: Server, clips: Sequence[bytes], num_clients: int) -> Figures:
    async def send(clip: bytes) -> Reply:
        return await server.post("clip", clip)

    started_s = time.perf_counter()
    return figures_of(await send_all(clips, num_clients, send), time.perf_counter() - started_s)


@asynccontextmanager
async def watched(pid: int, server: Server) -> AsyncIterator[Watch]:
    watch = Watch(pid, server)
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def print_row(row: SlotsMemory) -> None:
    print(
        f"{row.n_slots:>3} slots ({row.most_busy} seen busy)"
        f"  loaded: engine {row.loaded.engine_mb:>6.0f} server {row.loaded.server_mb:>4.0f} MB"
        f"  peak: engine {row.peak.engine_mb:>6.0f} server {row.peak.server_mb:>4.0f}"
        f" sum {row.peak.total_mb:>6.0f} MB  {row.rtfx:>6.1f}x",
        flush=True,
    )
