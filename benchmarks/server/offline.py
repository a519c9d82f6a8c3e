"""Clips without HTTP: a service in this process, as `asr-api transcribe` has one, with the settings of the server.

Its start is not counted, and it transcribes as many clips at once as the server has clients.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from asr_api.audio.sources.spool import spool_chunks
from asr_api.compose import Service, default_options, open_service
from asr_api.events import fold
from asr_api.metrics import Metrics
from asr_api.options import TranscribeOptions
from asr_api.parameters import RawParameter, read_parameters
from asr_api.request import RequestScope
from asr_api.settings.settings import read_settings


class Offline:
    def __init__(self, service: Service, options: TranscribeOptions, num_at_once: int) -> None:
        self._service = service
        self._options = options
        self._num_at_once = num_at_once

    async def rtfx(self, bodies: Sequence[bytes]) -> float:
        """Seconds of audio in a second, from the first byte to the last transcript."""
        waiting = iter(bodies)

        async def transcribe_next() -> float:
            return sum([await self._transcribe(body) for body in waiting])

        started_s = time.perf_counter()
        audio_s = await asyncio.gather(*(transcribe_next() for _ in range(self._num_at_once)))
        return sum(audio_s) / (time.perf_counter() - started_s)

    async def _transcribe(self, body: bytes) -> float:
        """The length of the audio."""
        async with await spool_chunks(_single_chunk(body), sys.maxsize) as spool:
            transcript = await fold(self._service.transcribe(spool, self._options, RequestScope()))
        return transcript.audio_ms / 1000


@asynccontextmanager
async def open_offline(query: Sequence[str], num_at_once: int) -> AsyncIterator[Offline]:
    settings = read_settings({} if "MODEL_ID" in os.environ else {"model_id": "builtin"})
    raw = [RawParameter(*part.split("=", 1)) for part in query]
    options = read_parameters(raw, default_options(settings)).transcribe
    settings = settings.model_copy(update={"max_requests": 2 * num_at_once})  # so that no clip is refused
    async with open_service(settings, Metrics()) as service:
        yield Offline(service, options, num_at_once)


async def _single_chunk(body: bytes) -> AsyncIterator[bytes]:
    yield body
