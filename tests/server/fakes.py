"""`FakeService`: the public surface of a service, with results and a state that a test chooses; and its client."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import cast

import httpx
from fastapi import FastAPI

from asr_api.audio.sources.spool import Spool
from asr_api.compose import Service
from asr_api.early_transcriptions import EarlyTranscription
from asr_api.engines.protocol import EngineInfo
from asr_api.errors import AsrError
from asr_api.events import FinalSegments, TranscriptEnd, TranscriptEvent
from asr_api.metrics import Metrics, ModelMetrics
from asr_api.options import TranscribeOptions
from asr_api.request import RequestScope
from asr_api.server.app import create_app
from asr_api.server.lifecycle import ServiceHandle
from asr_api.settings.settings import read_settings
from asr_api.transcript import Segment
from tests.service import MODEL

INFO = EngineInfo("fake/model", "fake", "Fake Processor™", window_s=30.0, n_slots=4)
SEGMENTS = (Segment(0, 1240, " Hello"), Segment(1240, 2500, " wörld."))


@dataclass
class FakeService:
    """It is its own pool and its own model.

    refusal: raised by both checks; failure: raised while transcribing; late_failure: raised after the events;
    release: transcribing waits for it
    """

    events: tuple[TranscriptEvent, ...] = (FinalSegments(SEGMENTS, audio_ms=2500), TranscriptEnd(2500))
    refusal: AsrError | None = None
    failure: Exception | None = None
    late_failure: Exception | None = None
    release: asyncio.Event | None = None
    info: EngineInfo = INFO
    bodies: list[bytes] = field(default_factory=list)
    options: list[TranscribeOptions] = field(default_factory=list)
    requests: list[RequestScope] = field(default_factory=list)
    num_open_requests: int = 0
    started: asyncio.Event = field(default_factory=asyncio.Event)
    registry: Metrics = field(default_factory=Metrics)

    async def transcribe(
        self, spool: Spool, options: TranscribeOptions, request: RequestScope, _early: EarlyTranscription | None = None
    ) -> AsyncGenerator[TranscriptEvent, None]:
        self.num_open_requests += 1
        self.started.set()
        try:
            self.options.append(options)
            self.requests.append(request)
            self.bodies.append(os.pread(spool.fd, spool.size_bytes, 0))
            if self.release is not None:
                await self.release.wait()
            if self.failure is not None:
                raise self.failure
            for event in self.events:
                yield event
            if self.late_failure is not None:
                raise self.late_failure
        finally:
            self.num_open_requests -= 1

    def begin_early(self, *_: object) -> None: ...

    @property
    def pool(self) -> FakeService:
        return self

    def get(self, model_id: str | None = None) -> FakeService:
        assert model_id is None
        return self

    @property
    def metrics(self) -> ModelMetrics:
        return self.registry.for_model(MODEL)

    def check_ready(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    def check_capacity(self, _account: str = "") -> None:
        self.check_ready()

    def check_deadline(self, _request: RequestScope) -> None: ...

    def handle(self) -> ServiceHandle:
        return ServiceHandle(cast("Service", self))


async def pieces_of(body: bytes, piece_bytes: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), piece_bytes):
        yield body[start : start + piece_bytes]


def open_app(handle: ServiceHandle, **flags: str) -> FastAPI:
    """With a limit of 1 MiB for a body; flags: of the settings"""
    return create_app(handle, Metrics(), read_settings({"max_upload_mb": "1", **flags}))


def client(service: FakeService | ServiceHandle, *, peer: str = "127.0.0.1", **flags: str) -> httpx.AsyncClient:
    app = open_app(service.handle() if isinstance(service, FakeService) else service, **flags)
    transport = httpx.ASGITransport(app, client=(peer, 4321), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8000")
