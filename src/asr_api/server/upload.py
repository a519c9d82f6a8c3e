"""`Upload`: the spool of a recording that arrives; its transcription may begin while it does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

from asr_api.audio.sources.growing_spool import GrowingSpool
from asr_api.audio.sources.spool import open_unnamed_file
from asr_api.audio.sources.spool_budget import SpoolReservation
from asr_api.early_transcriptions import EarlyTranscription

# Of an upload before its transcription may begin: fast ones would gain nothing, and clips next to nothing.
MIN_UPLOAD_S = 1.0
MIN_UPLOAD_BYTES = 256 * 1024

Begin = Callable[[GrowingSpool], EarlyTranscription | None]
"""None: not now, but perhaps later"""


class Upload(GrowingSpool):
    """early: closed with the spool, unless its events are taken"""

    def __init__(self, reservation: SpoolReservation | None = None) -> None:
        """Errors: SpoolFull, ServerOverloaded without a descriptor left."""
        super().__init__(open_unnamed_file(), reservation)
        self.early: EarlyTranscription | None = None

    async def receive(self, content: AsyncIterator[bytes], max_bytes: int, begin: Begin) -> None:
        """As `fill`; calls `begin` when it takes long."""
        await self.fill(self._watched(content, begin), max_bytes)

    async def _watched(self, content: AsyncIterator[bytes], begin: Begin) -> AsyncIterator[bytes]:
        started_s, num_bytes = time.perf_counter(), 0
        async for chunk in content:
            num_bytes += len(chunk)
            is_slow = num_bytes >= MIN_UPLOAD_BYTES and time.perf_counter() - started_s >= MIN_UPLOAD_S
            if is_slow and self.early is None:
                self.early = begin(self)
            yield chunk

    async def aclose(self) -> None:
        try:
            if self.early is not None:
                await self.early.aclose()
        finally:
            await super().aclose()
