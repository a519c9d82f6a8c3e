"""The journey of one request: source → PCM → windows → engine → window transcripts → transcript.

In: a spool and options. Out: pieces of the transcript, in order, as windows finish.
Knows nothing about HTTP, models or fairness.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from asr_api.audio.decode import Decoder
from asr_api.audio.source import Spool
from asr_api.engine_process import EngineProcess
from asr_api.engines.protocol import EngineInfo
from asr_api.errors import StartupError
from asr_api.metrics import Metrics
from asr_api.options import TranscribeOptions
from asr_api.scheduler import Scheduler
from asr_api.transcript import Transcript, TranscriptPart


class Transcriber:
    """Everything an edge needs. Compose builds it: `Transcriber(engine, scheduler, decoder, metrics=metrics, …)`."""

    def __init__(
        self,
        engine: EngineProcess,
        scheduler: Scheduler,
        decoder: Decoder,
        *,
        metrics: Metrics,
        window_s: float = 30.0,
        stride_s: float = 5.0,
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """Returns when the engine can work. Raises StartupError (or CheckpointError) when it never will."""

    def transcribe(self, spool: Spool, options: TranscribeOptions) -> AsyncIterator[TranscriptPart]:
        """Parts in order, the last one with the end of the audio. Use it in `contextlib.aclosing(…)`: closing the
        iterator at any point frees the decoder, the queue and the slots. The caller closes the spool.
        """
        raise NotImplementedError

    def check_ready(self) -> None:
        """Raises ModelLoading, EngineRestarting or ServerDraining."""

    def check_capacity(self) -> None:
        """As check_ready, and raises ServerOverloaded with the time to come back."""

    @property
    def info(self) -> EngineInfo:
        """Raises ModelLoading until the engine was ready for the first time."""
        raise NotImplementedError

    @property
    def num_open_requests(self) -> int:
        raise NotImplementedError

    @property
    def backlog_s(self) -> float:
        raise NotImplementedError

    async def wait_failed(self) -> StartupError:
        """Waits until the engine cannot be started again; the server should then end with this error."""
        raise NotImplementedError

    async def drain(self) -> None:
        """Takes no new request and returns when the open ones are done."""

    async def aclose(self) -> None:
        """Ends the engine process; call `drain` first to let open requests finish."""


async def collect(parts: AsyncIterator[TranscriptPart]) -> Transcript:
    """The whole transcript, for replies that are not streamed; closes the iterator."""
    raise NotImplementedError
