"""Clips without HTTP: a transcriber in this process, as `asr-api transcribe` has one, with the settings of the server.

Its start is not counted, and it hears as many clips at once as the server has clients.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from asr_api.audio.sources.spool import spool_chunks
from asr_api.benchmark.crowd import Crowd
from asr_api.compose import default_options, open_transcriber
from asr_api.metrics import Metrics
from asr_api.options import TranscribeOptions
from asr_api.parameters import RawParameter, read_parameters
from asr_api.settings.settings import read_settings
from asr_api.transcriber import Transcriber


class Offline:
    def __init__(self, transcriber: Transcriber, options: TranscribeOptions, num_at_once: int) -> None:
        self._transcriber = transcriber
        self._options = options
        self._num_at_once = num_at_once

    async def rtfx(self, bodies: Sequence[bytes]) -> float:
        crowd = Crowd(self._transcriber, self._options)
        async with AsyncExitStack() as files:
            spools = [await files.enter_async_context(await spool_chunks(_whole(body), sys.maxsize)) for body in bodies]
            await crowd.transcribe_all(spools, self._num_at_once)
        return sum(clip.audio_s for clip in crowd.done) / (crowd.done[-1].at_s - crowd.started_s)


@asynccontextmanager
async def open_offline(query: Sequence[str], num_at_once: int) -> AsyncIterator[Offline]:
    settings = read_settings({} if "MODEL_ID" in os.environ else {"model_id": "builtin"})
    options = read_parameters([RawParameter(*part.split("=", 1)) for part in query], default_options(settings))
    settings = settings.model_copy(update={"max_requests": 2 * num_at_once})  # nobody is refused
    async with open_transcriber(settings, Metrics()) as transcriber:
        yield Offline(transcriber, options, num_at_once)


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body
