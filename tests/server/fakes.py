"""A transcriber with the public surface of the real one, whose answers and moods a test chooses."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import cast

from asr_api.audio.sources.spool import Spool
from asr_api.engines.protocol import EngineInfo
from asr_api.errors import AsrError
from asr_api.metrics import Metrics
from asr_api.options import TranscribeOptions
from asr_api.server.lifecycle import ServiceHandle
from asr_api.transcriber import Transcriber
from asr_api.transcript import Segment, TranscriptPart

INFO = EngineInfo("fake/model", "fake", "Fake Processor™", window_s=30.0, n_slots=4)
SEGMENTS = (Segment(0, 1240, " Hello"), Segment(1240, 2500, " wörld."))


@dataclass
class FakeTranscriber:
    """refusal: raised by both checks; failure: raised while transcribing; gate: transcribing waits for it."""

    parts: tuple[TranscriptPart, ...] = (TranscriptPart(SEGMENTS, audio_ms=2500),)
    refusal: AsrError | None = None
    failure: Exception | None = None
    gate: asyncio.Event | None = None
    info: EngineInfo = INFO
    bodies: list[bytes] = field(default_factory=list)
    wishes: list[TranscribeOptions] = field(default_factory=list)
    num_open_requests: int = 0
    started: asyncio.Event = field(default_factory=asyncio.Event)
    metrics: Metrics = field(default_factory=Metrics)

    async def transcribe(self, spool: Spool, options: TranscribeOptions) -> AsyncIterator[TranscriptPart]:
        self.num_open_requests += 1
        self.started.set()
        try:
            self.wishes.append(options)
            self.bodies.append(os.pread(spool.fd, spool.size_bytes, 0))
            if self.gate is not None:
                await self.gate.wait()
            if self.failure is not None:
                raise self.failure
            for part in self.parts:
                yield part
        finally:
            self.num_open_requests -= 1

    def check_ready(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    check_capacity = check_ready

    def entrance(self) -> ServiceHandle:
        return ServiceHandle(cast("Transcriber", self))
