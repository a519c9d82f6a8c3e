"""Clips of 5 to 15 s from many clients at once: how fast beside the same audio as one file, and the same clips offline.

Offline and over HTTP the clips are the same work, so their ratio is what HTTP and its many clients cost. A long file
fills its windows, which short clips can not.
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

from asr_api.benchmark.speech import cut_clips, wav
from benchmarks.server.audio import read_recording
from benchmarks.server.client import Server, send_all
from benchmarks.server.figures import Figures, figures_of, show
from benchmarks.server.offline import Offline

CLIPS_S = (5.0, 15.0)


@dataclass(frozen=True, slots=True)
class Run:
    """windows_per_s, tokens_per_s: as the server counts its work"""

    figures: Figures
    windows_per_s: float
    tokens_per_s: float

    @property
    def rtfx(self) -> float:
        return self.figures.rtfx


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Runs are in the order of the rounds; ratios are the clips' median over the other, None where that was not run."""

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
    bodies = [wav(clip) for clip in clips]
    whole = wav(np.concatenate(clips))
    await asyncio.gather(*(server.post("warm-up", body) for body in bodies[:num_clients]))
    if offline:
        await offline.rtfx(bodies[:num_clients])
    many, alone, apart = [], [], []
    for number in range(1, num_rounds + 1):
        many.append(await counted(server, f"round {number}, {num_clients} clients", bodies, num_clients))
        alone.append(await counted(server, f"round {number}, one file", [whole], 1))
        if offline:
            apart.append(await offline.rtfx(bodies))
            print(f"{f'round {number}, offline':<22} {apart[-1]:.1f}x", flush=True)
    ratio_offline = median(run.rtfx for run in many) / median(apart) if apart else None
    report = LoadReport(
        num_clients,
        num_clips,
        tuple(many),
        tuple(alone),
        tuple(apart),
        ratio_rtfx=ratio("audio", [run.rtfx for run in many], [run.rtfx for run in alone]),
        ratio_windows_per_s=ratio("windows", [run.windows_per_s for run in many], [run.windows_per_s for run in alone]),
        ratio_tokens_per_s=ratio("tokens", [run.tokens_per_s for run in many], [run.tokens_per_s for run in alone]),
        ratio_offline=ratio_offline,
    )
    if ratio_offline is not None:
        print(f"{ratio_offline:.2f} of the offline rate of the same clips ({median(apart):.1f}x)")
    return report


async def counted(server: Server, name: str, bodies: Sequence[bytes], num_clients: int) -> Run:
    """All bodies, from so many clients, with what the server counted meanwhile."""
    num_windows, num_tokens = await server.count("windows"), await server.count("tokens")
    started_s = time.perf_counter()
    replies = await send_all(bodies, num_clients, lambda body: server.post(name, body))
    wall_s = time.perf_counter() - started_s
    found = figures_of(replies, wall_s)
    show(name, found)
    windows, tokens = await server.count("windows") - num_windows, await server.count("tokens") - num_tokens
    return Run(found, windows / wall_s, tokens / wall_s)


def ratio(name: str, clips: Sequence[float], file: Sequence[float]) -> float:
    """Of medians."""
    here, there = median(clips), max(1e-9, median(file))
    print(f"{name + ' a second':<17} clips {here:>8.2f}   file {there:>8.2f}   {here / there:.2f}")
    return here / there
