"""Windows of a recording: PCM blocks → windows for the model, without digital silence at their beginning."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

import anyio.to_thread

from asr_api.audio.window_cutter import Window, WindowCutter
from asr_api.pcm import SAMPLES_PER_MS, Pcm, PcmSource

MIN_LEADING_SILENCE_MS = 500
KEPT_SILENCE_MS = 200  # of the silence before the first sound


async def cut_windows(source: PcmSource, window_s: float, stride_s: float) -> AsyncGenerator[Window, None]:
    """Windows as soon as they are certain; reads no further than the consumer asks.

    source: entered; cutting runs in a thread, because it analyses the levels of a whole window
    """
    cutter = WindowCutter(window_s, stride_s)

    def cut(block: Pcm | None) -> list[Window]:
        windows = cutter.finish() if block is None else cutter.push(block)
        return [_without_leading_silence(window) for window in windows]

    async for block in source:
        is_due = cutter.is_due(len(block))
        for window in await anyio.to_thread.run_sync(cut, block) if is_due else cut(block):
            yield window
    for window in await anyio.to_thread.run_sync(cut, None):
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
