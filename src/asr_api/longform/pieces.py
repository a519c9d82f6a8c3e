"""Pieces of a recording: PCM blocks → pieces with their speech activity, as soon as they are certain."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from anyio import CapacityLimiter, to_thread

from asr_api.audio.piece_cutter import Piece, PieceCutter, PieceLength
from asr_api.audio.vad.speech_activity import OpenDetector
from asr_api.pcm import Pcm, PcmSource

# Windows of a piece in which each window is given the text before it: a longer chain gains nothing, and carries on what
# once went wrong.
MIN_CONDITIONED_WINDOWS, MAX_CONDITIONED_WINDOWS = 1.5, 2.8


@dataclass(frozen=True, slots=True)
class WindowLength:
    """window_s: of a full window, at most what the model takes; stride_s: before its end, where the cut may move"""

    window_s: float = 30.0
    stride_s: float = 12.0

    def piece(self, *, is_conditioned: bool) -> PieceLength:
        """is_conditioned: each window is given the text before it, in its piece"""
        if is_conditioned:
            return PieceLength(MIN_CONDITIONED_WINDOWS * self.window_s, MAX_CONDITIONED_WINDOWS * self.window_s)
        return PieceLength(self.window_s - self.stride_s, self.window_s)


async def cut_pieces(
    source: PcmSource, length: PieceLength, open_detector: OpenDetector, limiter: CapacityLimiter
) -> AsyncGenerator[Piece, None]:
    """Reads no further than the consumer asks.

    source:  entered
    limiter: of threads, in which audio is analysed
    """
    cutter = PieceCutter(length, open_detector)

    def cut(block: Pcm | None) -> list[Piece]:
        return cutter.finish() if block is None else cutter.push(block)

    async for block in source:
        is_due = cutter.is_due(len(block))
        for piece in await to_thread.run_sync(cut, block, limiter=limiter) if is_due else cut(block):
            yield piece
    for piece in await to_thread.run_sync(cut, None, limiter=limiter):
        yield piece
