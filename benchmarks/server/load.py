"""Clips of 5 to 15 s from many clients at once, compared with the same audio as one file and the same clips offline.

Offline and over HTTP the clips are the same work, so their ratio is the cost of HTTP and of many clients. A long file
has full windows; short clips have not.
"""

# ruff: noqa: T201 – lines of a table

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from asr_api.benchmark.speech import wav_bytes
from benchmarks.server.audio import cut_clips, read_recording
from benchmarks.server.client import Server, send_all
from benchmarks.server.figures import Figures, figures_of, print_figures
from benchmarks.server.offline import Offline

CLIPS_S = (5.0, 15.0)


@dataclass(frozen=True, slots=True)
class Run:
    """windows_per_s, tokens_per_s: by the counters of the server"""

    figures: Figures
    windows_per_s: float
    tokens_per_s: float

    @property
    def rtfx(self) -> float:
        return self.figures.rtfx


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Runs are in the order of the rounds; ratios are medians of the clips over medians of the other runs."""

    clients: int
    clips: int
    clip_runs: tuple[Run, ...]
    file_runs: tuple[Run, ...]
    offline_rtfx: tuple[float, ...]
    ratio_rtfx: float
    ratio_windows_per_s: float
    ratio_tokens_per_s: float
    ratio_offline: float | None


async def measure_load(
    server: Server, offline: Offline | None, audio: Path, num_clients: int, num_clips: int, num_rounds: int
) -> LoadReport:
    clips = cut_clips(await read_recording(audio), num_clips, CLIPS_S)
    bodies = [wav_bytes(clip) for clip in clips]
    whole = wav_bytes(np.concatenate(clips))
    await asyncio.gather(*(server.post("warm-up", body) for body in bodies[:num_clients]))
    if offline:
        await offline.rtfx(bodies[:num_clients])
    clip_runs, file_runs, offline_rtfx = [], [], []
    for number in range(1, num_rounds + 1):
        clip_runs.append(await send_counted(server, f"round {number}, {num_clients} clients", bodies, num_clients))
        file_runs.append(await send_counted(server, f"round {number}, one file", [whole], 1))
        if offline:
            offline_rtfx.append(await offline.rtfx(bodies))
            print(f"{f'round {number}, offline':<22} {offline_rtfx[-1]:.1f}x", flush=True)
    ratio_offline = median(run.rtfx for run in clip_runs) / median(offline_rtfx) if offline_rtfx else None
    report = LoadReport(
        num_clients,
        num_clips,
        tuple(clip_runs),
        tuple(file_runs),
        tuple(offline_rtfx),
        ratio_rtfx=ratio("audio", [run.rtfx for run in clip_runs], [run.rtfx for run in file_runs]),
        ratio_windows_per_s=ratio(
            "windows", [run.windows_per_s for run in clip_runs], [run.windows_per_s for run in file_runs]
        ),
        ratio_tokens_per_s=ratio(
            "tokens", [run.tokens_per_s for run in clip_runs], [run.tokens_per_s for run in file_runs]
        ),
        ratio_offline=ratio_offline,
    )
    if ratio_offline is not None:
        print(f"{ratio_offline:.2f} of the offline rate of the same clips ({median(offline_rtfx):.1f}x)")
    return report


async def send_counted(server: Server, name: str, bodies: Sequence[bytes], num_clients: int) -> Run:
    """Sends all bodies from this many clients, and reads the counters of the server before and after."""
    num_windows, num_tokens = await server.count("windows"), await server.count("tokens")
    started_s = time.perf_counter()
    replies = await send_all(bodies, num_clients, lambda body: server.post(name, body))
    wall_s = time.perf_counter() - started_s
    figures = figures_of(replies, wall_s)
    print_figures(name, figures)
    windows, tokens = await server.count("windows") - num_windows, await server.count("tokens") - num_tokens
    return Run(figures, windows / wall_s, tokens / wall_s)


def ratio(name: str, clips: Sequence[float], file: Sequence[float]) -> float:
    """Of the medians."""
    of_clips, of_file = median(clips), max(1e-9, median(file))
    print(f"{name + ' a second':<17} clips {of_clips:>8.2f}   file {of_file:>8.2f}   {of_clips / of_file:.2f}")
    return of_clips / of_file
