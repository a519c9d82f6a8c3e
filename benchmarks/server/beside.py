"""How long a clip of 5 s waits beside a long file: alone, beside it, alone again.

One window is what a file of 30 s takes alone; the goal is not to wait longer than for one.
"""

# ruff: noqa: ASYNC110, T201 – it polls the server's counters, and its lines are a table

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_api.benchmark.speech import cut_clips, wav
from benchmarks.server.audio import read_recording, streamed
from benchmarks.server.client import Reply, Server
from benchmarks.server.figures import Figures, figures_of, show

CLIP_S, WINDOW_S = 5.0, 30.0
NUM_WINDOWS = 5
NUM_UNDER_WAY = 8  # windows of the long file are done before the first clip is sent
GAP_S = 0.23  # between two clips beside the file, so that they meet all phases of a batch


@dataclass(frozen=True, slots=True)
class BesideReport:
    """limit_s: of p95 beside; its own time alone and one window, medians. long: None where it did not end"""

    long_s: float
    alone: Figures
    window: Figures
    beside: Figures
    again: Figures
    limit_s: float
    is_met: bool
    long: Reply | None


async def measure_beside(server: Server, audio: Path, num_clips: int, long_s: float, *, is_whole: bool) -> BesideReport:
    """is_whole: wait for the long file, too"""
    pcm = await read_recording(audio)
    clips = [wav(clip) for clip in cut_clips(pcm, num_clips, (CLIP_S, CLIP_S))]
    windows = [wav(window) for window in cut_clips(pcm, NUM_WINDOWS, (WINDOW_S, WINDOW_S))]
    await one_by_one(server, [*clips[:3], *windows[:1]])
    alone, window = await one_by_one(server, clips), await one_by_one(server, windows)
    long_file = asyncio.create_task(server.post("long", streamed(pcm, long_s)))
    try:
        was = await server.count("windows")
        while await server.count("windows") < was + NUM_UNDER_WAY and not long_file.done():
            await asyncio.sleep(0.2)
        beside = await one_by_one(server, clips, until=long_file)
        if is_whole:
            await long_file
    finally:
        long_file.cancel()
        (ended,) = await asyncio.gather(long_file, return_exceptions=True)
    await asyncio.sleep(1)
    again = await one_by_one(server, clips)
    for name, found in {"alone": alone, "window": window, "beside": beside, "again": again}.items():
        show(name, found)
    limit_s = alone.p50_s + window.p50_s
    print(f"p95 beside {beside.p95_s:.3f} s; alone (p50) + one window (p50) = {limit_s:.3f} s")
    long = ended if isinstance(ended, Reply) else None  # it was waited for, or it was over before the clips were
    if long:
        print(f"the long file ended with {long.status} after {long.elapsed_s:.1f} s {long.error}")
    return BesideReport(long_s, alone, window, beside, again, limit_s, beside.p95_s <= limit_s, long)


async def one_by_one(server: Server, clips: Sequence[bytes], until: asyncio.Task[Reply] | None = None) -> Figures:
    """Until there are no more, or the task is done."""
    replies: list[Reply] = []
    for clip in clips:
        if until is not None and until.done():
            break
        replies.append(await server.post("clip", clip))
        await asyncio.sleep(GAP_S if until else 0)
    return figures_of(replies, sum(reply.elapsed_s for reply in replies))
