"""Who is next: a bounded, fair queue of windows in front of the engine.

In: windows of many requests, each through a `Lane` of its own. Out: their window transcripts.
Knows nothing about audio, models or HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from asr_api.engine_process import EngineProcess
from asr_api.metrics import Metrics
from asr_api.options import TranscribeOptions
from asr_api.pcm import Pcm
from asr_api.transcript import WindowTranscript


class Lane:
    """The windows of one request; `with scheduler.open_lane() as lane`. Leaving it cancels what is left."""

    def submit(self, pcm: Pcm, options: TranscribeOptions) -> asyncio.Future[WindowTranscript]:
        raise NotImplementedError

    async def wait_for_room(self) -> None:
        """Returns when this request may hold one more window; what bounds the memory of long files."""

    def close(self) -> None: ...


class Scheduler:
    def __init__(
        self,
        engine: EngineProcess,
        *,
        metrics: Metrics,
        max_requests: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        raise NotImplementedError

    def check_ready(self) -> None:
        """Raises ModelLoading, EngineRestarting or ServerDraining."""

    def check_capacity(self) -> None:
        """As check_ready, and raises ServerOverloaded when the limit of open requests is reached."""

    def open_lane(self) -> Lane:
        raise NotImplementedError

    async def drain(self) -> None:
        """Takes no new request and returns when the open ones are done."""

    @property
    def num_open_requests(self) -> int:
        raise NotImplementedError

    @property
    def backlog_s(self) -> float:
        raise NotImplementedError
