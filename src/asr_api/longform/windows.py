"""Windows of a recording: PCM blocks → windows for the model, without digital silence at their beginning."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from anyio import CapacityLimiter, to_thread

from asr_api.audio.window_cutter import Window, WindowCutter
from asr_api.pcm import SAMPLES_PER_MS, Pcm, PcmSource

MIN_LEADING_SILENCE_MS = 500
KEPT_SILENCE_MS = 200  # of the silence before the first sound


@dataclass(frozen=True, slots=True)
class WindowLength:
    """window_s: of a full window, at most what the model takes; stride_s: before its end, where the cut may move"""

    window_s: float = 30.0
    stride_s: float = 5.0


async def cut_windows(
    source: PcmSource, length: WindowLength, limiter: CapacityLimiter
) -> AsyncGenerator[Window, None]:
    """Windows as soon as they are certain; reads no further than the consumer asks.

    source:  entered
    limiter: of threads; a cut analyses the levels of a whole window
    """
    cutter = WindowCutter(length.window_s, length.stride_s)

    def cut(block: Pcm | None) -> list[Window]:
        windows = cutter.finish() if block is None else cutter.push(block)
        return [_without_leading_silence(window) for window in windows]

    async for block in source:
        is_due = cutter.is_due(len(block))
        for window in await to_thread.run_sync(cut, block, limiter=limiter) if is_due else cut(block):
            yield window
    for window in await to_thread.run_sync(cut, None, limiter=limiter):
        yield window


def _without_leading_silence(window: Window) -> Window:
    """Models write no timestamp later than a second for their first word, so silence before it would shift it."""
    is_sound = window.pcm != 0
    silence_ms = int(is_sound.argmax()) // SAMPLES_PER_MS - KEPT_SILENCE_MS
    if not is_sound.any() or silence_ms < MIN_LEADING_SILENCE_MS:
        return window
    overlap_ms = max(0, window.span.overlap_before_ms - silence_ms)
    span = replace(window.span, start_ms=window.span.start_ms + silence_ms, overlap_before_ms=overlap_ms)
    return Window(span, window.pcm[silence_ms * SAMPLES_PER_MS :])
