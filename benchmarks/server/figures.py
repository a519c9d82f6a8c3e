"""Figures of replies: counts, speed and percentiles of the round trips; `print_figures` prints them as a line."""

# ruff: noqa: T201 – lines of a table

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from benchmarks.server.client import Reply


@dataclass(frozen=True, slots=True)
class Figures:
    """num: good replies, which the other figures describe; num_refused: 429s, which were repeated"""

    num: int
    audio_s: float
    wall_s: float
    rtfx: float
    p50_s: float
    p95_s: float
    p99_s: float
    num_refused: int
    num_errors: int
    errors: tuple[str, ...]


def figures_of(replies: Sequence[Reply], wall_s: float) -> Figures:
    good = [reply for reply in replies if reply.status == 200]
    audio_s = sum(reply.audio_s for reply in good)
    return Figures(
        num=len(good),
        audio_s=audio_s,
        wall_s=wall_s,
        rtfx=audio_s / wall_s if wall_s else 0.0,
        p50_s=percentile(good, 50),
        p95_s=percentile(good, 95),
        p99_s=percentile(good, 99),
        num_refused=sum(reply.num_refused for reply in replies),
        num_errors=len(replies) - len(good),
        errors=tuple(sorted({f"{reply.status} {reply.error}" for reply in replies if reply.status != 200})),
    )


def percentile(replies: Sequence[Reply], share: int) -> float:
    """Of the round trips."""
    times_s = [reply.elapsed_s for reply in replies]
    if len(times_s) < 2:
        return times_s[0] if times_s else float("nan")
    return quantiles(times_s, n=100, method="inclusive")[share - 1]


def print_figures(name: str, figures: Figures) -> None:
    print(
        f"{name:<22} {figures.num:>4} ok {figures.num_errors:>3} failed {figures.num_refused:>3} refused"
        f"  {figures.audio_s:>8.1f} s in {figures.wall_s:>7.2f} s  {figures.rtfx:>6.1f}x"
        f"  p50 {figures.p50_s:.3f}  p95 {figures.p95_s:.3f}  p99 {figures.p99_s:.3f} s",
        flush=True,
    )
    for error in figures.errors:
        print("   ", error)
