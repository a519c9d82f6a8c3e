"""Benchmark: measures one long file, clips of several clients at once, and several values of BATCH_SIZE.

All audio passes through the whole service, as that of a request does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from itertools import count, cycle
from math import ceil
from statistics import fmean, median, quantiles
from typing import Literal

from asr_api.audio.sources.spool import Spool, spool_chunks
from asr_api.benchmark.machine import peak_memory, read_cpu_s
from asr_api.benchmark.speech import cut_clips, read_pcm
from asr_api.compose import Service, open_service
from asr_api.engines.protocol import EngineInfo
from asr_api.events import fold
from asr_api.metrics import Metrics
from asr_api.model_options import check_parameters
from asr_api.options import TranscribeOptions
from asr_api.request import RequestScope
from asr_api.settings.settings import Settings

CLIP_S, WINDOW_S, NUM_CLIPS, MAX_RECORDING_S = 10.0, 28.0, 16, 900.0
MIN_FILE_S, MAX_FILE_S = 60.0, 3600.0
PART, LATE = 0.07, 1.25  # of the time of the benchmark: one measurement, and the latest end of a measurement
FILE_RUNS = 4  # in the time of one measurement
CLIENTS_PER_SLOT = 1.25  # so that no slot waits for its next window
NOISE = 0.05  # two runs on a quiet machine may differ by this much
Kind = Literal["file", "clients", "slots"]
Numbers = Sequence[int]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement.

    number:       seconds of the file, clients or slots
    rtfx:         seconds of audio in a second: median and range of the runs of a file, or of rounds (a clip a client)
    p50_s, p95_s: time of a clip, or of the file
    cpu_s:        as `read_cpu_s`
    peak_bytes:   of all processes since the start of the engine
    """

    kind: Kind
    number: int
    rtfx: float
    rtfx_range: tuple[float, float]
    p50_s: float
    p95_s: float
    cpu_s: dict[str, float]
    peak_bytes: int


class Benchmark:
    """Measures what there is time for. info, load_s: of the first engine, once there is a row; notes: about all rows"""

    info: EngineInfo

    def __init__(
        self, settings: Settings, options: TranscribeOptions, clients: Numbers, slots: Numbers, time_s: float
    ) -> None:
        """clients, slots: numbers to measure; time_s: for everything, about"""
        self.load_s = 0.0
        self.notes: list[str] = []
        self._settings, self._options = settings, options
        self._clients, self._slots = clients, sorted({*slots, settings.n_slots}) if slots else []
        self._part_s, self._end_s = PART * time_s, time.perf_counter() + LATE * time_s
        self._rtfx = 0.0  # of the last measurement
        self._num_clips = self._num_silent = 0

    async def rows(self, recording: Spool) -> AsyncGenerator[Measurement, None]:
        """Raises StartupError, and what a request with this recording raises."""
        async with self._engine(self._settings.n_slots) as service:
            self.info = service.pool.get().info
            check_parameters(self._options, self.info)
            self._pcm = await read_pcm(service.decoder, recording, MAX_RECORDING_S)
            warm_up_s = await self._send(service, cut_clips(self._pcm, 1, MIN_FILE_S)[0])
            file_s = round(min(MAX_FILE_S, max(MIN_FILE_S, MIN_FILE_S / warm_up_s * self._part_s / FILE_RUNS)))
            yield await self._measure("file", file_s, 1, service, file_s)
            for number in self._clients:
                if self._has_time(f"{number} clients", 2 * number * CLIP_S):
                    yield await self._measure("clients", number, number, service, CLIP_S)
        for n_slots in self._slots:
            num_clients = ceil(CLIENTS_PER_SLOT * n_slots)
            if self._has_time(f"{n_slots} slots", 2 * num_clients * WINDOW_S):
                async with self._engine(n_slots) as service:
                    yield await self._measure("slots", n_slots, num_clients, service, WINDOW_S)
        if 2 * self._num_silent > self._num_clips:
            self.notes.append("Most clips gave no text, which is faster; name a recording in a language of the model.")

    @contextlib.asynccontextmanager
    async def _engine(self, n_slots: int) -> AsyncIterator[Service]:
        """A service with limits that refuse no request of the benchmark."""
        max_requests = 2 * max(*self._clients, *self._slots, n_slots)
        changes = {"batch_size": n_slots, "max_requests": max_requests, "max_audio_s": 2 * MAX_FILE_S}
        started_s = time.perf_counter()
        with peak_memory(os.getpid()) as self._peak_bytes:
            async with open_service(self._settings.model_copy(update=changes), Metrics()) as service:
                self.load_s = self.load_s or time.perf_counter() - started_s
                yield service

    async def _measure(
        self, kind: Kind, number: int, num_clients: int, service: Service, length_s: float
    ) -> Measurement:
        """Each client sends its next clip when it has the transcript of the one before; no client is ever idle.

        The first round finds the engine empty and does not count, unless there is no time for another one.
        """
        waiting = cycle(cut_clips(self._pcm, 1 if kind == "file" else NUM_CLIPS, length_s))
        rounds: list[list[float]] = [[]]  # the times of its clips
        before, started_s = read_cpu_s(), time.perf_counter()

        def is_over() -> bool:
            num_complete = sum(len(times_s) == num_clients for times_s in rounds)
            parts = (time.perf_counter() - started_s) / self._part_s
            return (num_complete > 1 and parts >= 1) or (num_complete > 0 and parts >= 3)

        async def run_client() -> None:
            for index in count():
                if is_over():
                    return
                if index == len(rounds):
                    rounds.append([])
                rounds[index].append(await self._send(service, next(waiting)))

        try:
            async with asyncio.TaskGroup() as clients:
                for _ in range(num_clients):
                    clients.create_task(run_client())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        complete = [times_s for times_s in rounds if len(times_s) == num_clients]
        complete = complete[1:] or complete
        rates = [num_clients * length_s / fmean(times_s) for times_s in complete]
        times_s = [took_s for times_s in complete for took_s in times_s]
        p95_s = quantiles(times_s, n=20, method="inclusive")[-1] if len(times_s) > 1 else times_s[0]
        cpu_s = {name: now_s - before[name] for name, now_s in read_cpu_s().items()}
        self._rtfx, rtfx_range = median(rates), (min(rates), max(rates))
        return Measurement(kind, number, self._rtfx, rtfx_range, median(times_s), p95_s, cpu_s, self._peak_bytes())

    async def _send(self, service: Service, body: bytes) -> float:
        """Seconds from the first byte of a clip to its transcript."""

        async def chunks() -> AsyncIterator[bytes]:
            yield body

        started_s = time.perf_counter()
        async with await spool_chunks(chunks(), len(body)) as spool:
            transcript = await fold(service.transcribe(spool, self._options, RequestScope()))
        self._num_clips, self._num_silent = self._num_clips + 1, self._num_silent + (not transcript.text.strip())
        return time.perf_counter() - started_s

    def _has_time(self, measurement: str, audio_s: float) -> bool:
        """Whether so much audio can be transcribed before the end; if not, a note says so."""
        has_time = time.perf_counter() + self.load_s + audio_s / self._rtfx < self._end_s
        if not has_time:
            self.notes.append(f"There was no time for {measurement}; raise --seconds.")
        return has_time


def best_slots(rows: Iterable[Measurement]) -> int | None:
    """The fewest slots that are as fast as any others within noise; None when fewer than two were measured."""
    rates = {row.number: row.rtfx for row in rows if row.kind == "slots"}
    fast_enough = (1 - NOISE) * max(rates.values(), default=0.0)
    return min(number for number, rate in rates.items() if rate >= fast_enough) if len(rates) > 1 else None
