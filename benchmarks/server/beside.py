"""Latency of a 5 s clip while a long file is transcribed, and alone before and after.

The goal: beside the long file, p95 is at most the median alone plus the median time of a file of one window (30 s).
"""

# ruff: noqa: ASYNC110, T201 – it polls the server's counters and prints a table

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_api.benchmark.speech import wav_bytes
from benchmarks.server.audio import cut_clips, read_recording, stream_wav
from benchmarks.server.client import Reply, Server
from benchmarks.server.figures import Figures, figures_of, print_figures

CLIP_S, WINDOW_S = 5.0, 30.0
NUM_WINDOWS = 5
NUM_LONG_WINDOWS = 8  # of the long file, finished before the first clip is sent
GAP_S = 0.23  # between two clips beside the file, so that they arrive in all phases of a batch


@dataclass(frozen=True, slots=True)
class BesideReport:
    """limit_s: goal of p95 beside: median alone + median of one window; long: None when it was not waited for"""

    long_s: float
    alone: Figures
    window: Figures
    beside: Figures
    again: Figures
    limit_s: float
    is_met: bool
    long: Reply | None


async def measure_beside(server: Server, audio: Path, num_clips: int, long_s: float, *, is_whole: bool) -> BesideReport:
    """is_whole: also wait for the long file"""
    pcm = await read_recording(audio)
    clips = [wav_bytes(clip) for clip in cut_clips(pcm, num_clips, (CLIP_S, CLIP_S))]
    windows = [wav_bytes(window) for window in cut_clips(pcm, NUM_WINDOWS, (WINDOW_S, WINDOW_S))]
    await one_by_one(server, [*clips[:3], *windows[:1]])
    alone, window = await one_by_one(server, clips), await one_by_one(server, windows)
    long_file = asyncio.create_task(server.post("long", stream_wav(pcm, long_s)))
    try:
        before = await server.count("windows")
        while await server.count("windows") < before + NUM_LONG_WINDOWS and not long_file.done():
            await asyncio.sleep(0.2)
        beside = await one_by_one(server, clips, until=long_file)
        if is_whole:
            await long_file
    finally:
        long_file.cancel()
        (outcome,) = await asyncio.gather(long_file, return_exceptions=True)
    await asyncio.sleep(1)
    again = await one_by_one(server, clips)
    for name, figures in {"alone": alone, "window": window, "beside": beside, "again": again}.items():
        print_figures(name, figures)
    limit_s = alone.p50_s + window.p50_s
    print(f"p95 beside {beside.p95_s:.3f} s; alone (p50) + one window (p50) = {limit_s:.3f} s")
    long = outcome if isinstance(outcome, Reply) else None  # it ended before it was cancelled
    if long:
        print(f"the long file ended with {long.status} after {long.elapsed_s:.1f} s {long.error}")
    return BesideReport(long_s, alone, window, beside, again, limit_s, beside.p95_s <= limit_s, long)


async def one_by_one(server: Server, clips: Sequence[bytes], until: asyncio.Task[Reply] | None = None) -> Figures:
    """Sends the clips in turn, until `until` is done if that is given."""
    replies: list[Reply] = []
    for clip in clips:
        if until is not None and until.done():
            break
        replies.append(await server.post("clip", clip))
        await asyncio.sleep(GAP_S if until else 0)
    return figures_of(replies, sum(reply.elapsed_s for reply in replies))
