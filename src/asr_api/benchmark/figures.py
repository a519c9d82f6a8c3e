"""What a benchmark finds, and the statistics of it: rates with their spread, percentiles, the best number of slots.

In: the moments at which so much audio was done. Out: plain figures. Knows nothing about how they came about.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from asr_api.benchmark.machine import CpuUse

NUM_PARTS = 3  # of a stretch, each with a rate of its own
NEAR = 0.3  # of the mean time between two clips: less makes them one burst
MIN_NOISE = 0.05  # what two runs on a quiet machine may differ by


@dataclass(frozen=True, slots=True)
class Done:
    """A clip came back. took_s: since it was sent"""

    at_s: float
    audio_s: float
    took_s: float


@dataclass(frozen=True, slots=True)
class Rate:
    """spread: half of the way from the slowest part to the fastest, of rtfx; None where there is one part only"""

    rtfx: float
    spread: float | None
    parts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FileFigures:
    """One long file alone, from its first byte to its last word, as often as `rate` has parts."""

    audio_s: float
    rate: Rate
    cpu: CpuUse | None


@dataclass(frozen=True, slots=True)
class ClipFigures:
    """So many clients at once, each sending the next clip when it has the text of the one before."""

    num_clients: int
    num_clips: int
    rate: Rate
    p50_s: float
    p95_s: float
    cpu: CpuUse | None


@dataclass(frozen=True, slots=True)
class SlotFigures:
    """An engine with so many slots that is given the same windows, all at once. peak_bytes: of all processes"""

    num_slots: int
    rate: Rate
    peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class Findings:
    """What there was time for. notes: what a reader should know of these figures

    load_s:     from nothing to an engine that could work; peak_bytes: of all processes, with the slots that are set
    best_slots: the fewest that are as fast as any, within `noise`; None with fewer than two candidates
    """

    model_id: str
    engine: str
    device_name: str
    num_cores: int
    num_slots: int
    load_s: float
    clip_s: float
    file: FileFigures | None
    clips: tuple[ClipFigures, ...]
    slots: tuple[SlotFigures, ...]
    best_slots: int | None
    noise: float
    peak_bytes: int | None
    num_other_cores: float | None
    took_s: float
    notes: tuple[str, ...]


def rate_of_runs(parts: Sequence[float]) -> Rate:
    """The median of runs over the same audio."""
    return _rate(statistics.median(parts), parts)


def _rate(rtfx: float, parts: Sequence[float]) -> Rate:
    return Rate(rtfx, (max(parts) - min(parts)) / 2 / rtfx if len(parts) > 1 else None, tuple(parts))


def rate_of_clips(done: Sequence[Done], num_first: int, started_s: float) -> Rate:
    """Of the clips after the first ones, which found the engine empty; or of all, where there are no others.

    Clips that entered an engine together come back together. Such a burst is never split: time runs from the end of
    one to the end of another.
    """
    bursts = _bursts(done)
    since_s, num_before, measured = started_s, 0, 0
    for measured, burst in enumerate(bursts[:-1], 1):  # noqa: B007  # it is where the first ones end
        num_before, since_s = num_before + len(burst), burst[-1].at_s
        if num_before >= num_first:
            break
    else:
        measured, since_s = 0, started_s
    bursts, first_s = bursts[measured:], since_s
    num_parts = min(NUM_PARTS, len(bursts))
    bounds = [len(bursts) * part // num_parts for part in range(num_parts + 1)]
    parts = []
    for first, last in pairwise(bounds):
        audio_s = sum(clip.audio_s for burst in bursts[first:last] for clip in burst)
        parts.append(audio_s / (bursts[last - 1][-1].at_s - since_s))
        since_s = bursts[last - 1][-1].at_s
    audio_s = sum(clip.audio_s for burst in bursts for clip in burst)
    return _rate(audio_s / (since_s - first_s), parts)


def _bursts(done: Sequence[Done]) -> list[list[Done]]:
    """What came back almost at once, in order."""
    near_s = NEAR * (done[-1].at_s - done[0].at_s) / len(done)
    bursts = [[done[0]]]
    for before, clip in pairwise(done):
        if clip.at_s - before.at_s > near_s:
            bursts.append([])
        bursts[-1].append(clip)
    return bursts


def percentile(values: Sequence[float], share: int) -> float:
    """The smallest value that is at least as large as `share` percent of them."""
    return sorted(values)[max(0, -(-len(values) * share // 100) - 1)]


def noise_of(slots: Sequence[SlotFigures]) -> float:
    """How much a run differs from the same run."""
    spreads = [found.rate.spread for found in slots if found.rate.spread is not None]
    return max(MIN_NOISE, *spreads) if spreads else MIN_NOISE


def best_slots(slots: Sequence[SlotFigures], noise: float) -> int | None:
    """The fewest that are not slower than the fastest by more than the noise: fewer take less memory."""
    if len(slots) < 2:
        return None
    fastest = max(found.rate.rtfx for found in slots)
    return min(found.num_slots for found in slots if found.rate.rtfx >= (1 - noise) * fastest)
