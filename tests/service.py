"""Parts for testing the service: an engine without a process, a clock without time, a decoder without files."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import psutil

from asr_api.audio.decoding.decoder import Decoder
from asr_api.audio.sources.spool import Spool
from asr_api.engine_process.supervisor import EngineListener, EngineProcess, EngineState
from asr_api.engines.protocol import EngineInfo, WindowJob
from asr_api.metrics import Metrics
from asr_api.options import TranscribeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, AudioEnd, Pcm
from asr_api.scheduler import Scheduler
from asr_api.transcriber import Transcriber
from asr_api.transcript import TranscriptPart
from tests.engines.scripted import Script, ScriptedEngine


@dataclass
class FakeClock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


class InProcessEngine:
    """An `EnginePort` whose steps are the test's: nothing happens until `step` or `die`."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or Script()
        self.engine = ScriptedEngine(self.script)
        self.state = EngineState.READY
        self.inside: dict[int, WindowJob] = {}
        self.admissions: list[list[WindowJob]] = []
        self.listeners: list[EngineListener] = []

    @property
    def info(self) -> EngineInfo:
        return self.engine.info

    @property
    def free_slots(self) -> int:
        return self.engine.free_slots if self.state is EngineState.READY else 0

    def subscribe(self, listener: EngineListener) -> None:
        self.listeners.append(listener)

    def admit(self, jobs: Sequence[WindowJob]) -> None:
        self.engine.admit(jobs)
        self.inside |= {job.job_id: job for job in jobs}
        self.admissions.append(list(jobs))

    def cancel(self, job_ids: Sequence[int]) -> None:
        self.engine.cancel(job_ids)
        for job_id in job_ids:
            self.inside.pop(job_id, None)

    def step(self) -> None:
        finished = self.engine.step()
        for job in finished:
            del self.inside[job.job_id]
        for listener in self.listeners:
            listener.on_finished(finished)

    def die(self) -> None:
        lost = list(self.inside)
        self.inside.clear()
        self.engine = ScriptedEngine(self.script)
        self.state = EngineState.RESTARTING
        for listener in self.listeners:
            listener.on_lost(lost)

    def come_back(self) -> None:
        self.state = EngineState.READY
        for listener in self.listeners:
            listener.on_room()


def reading(metrics: Metrics, name: str, **labels: str) -> float:
    """One number of the metrics page."""
    value = metrics.registry.get_sample_value(name, labels)
    assert value is not None, name
    return value


@dataclass(eq=False)
class FakeSpool:
    """Stands for a file: its PCM, how it ends, and how much of it was read."""

    pcm: Pcm
    block_s: float = 1.0
    error: Exception | None = None  # raised after the last block
    is_truncated: bool = False
    is_damaged: bool = False
    num_read_samples: int = 0

    def blocks(self) -> Iterator[Pcm]:
        size = round(self.block_s * SAMPLE_RATE_HZ)
        for start in range(0, len(self.pcm), size):
            block = self.pcm[start : start + size]
            self.num_read_samples += len(block)
            yield block
        if self.error is not None:
            raise self.error


class FakePcmSource:
    def __init__(self, spool: FakeSpool, decoder: FakeDecoder) -> None:
        self.duration_hint_ms: int | None = len(spool.pcm) * 1000 // SAMPLE_RATE_HZ
        self.end = AudioEnd()
        self._spool = spool
        self._decoder = decoder
        self._blocks = spool.blocks()

    async def __aenter__(self) -> FakePcmSource:
        self._decoder.num_open += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._decoder.num_open -= 1

    def __aiter__(self) -> FakePcmSource:
        return self

    async def __anext__(self) -> Pcm:
        for block in self._blocks:
            return block
        self.end = AudioEnd(self._spool.is_truncated, self._spool.is_damaged)
        raise StopAsyncIteration


class FakeDecoder:
    """Decodes `FakeSpool`s; counts what is open."""

    def __init__(self) -> None:
        self.num_open = 0

    def decode(self, spool: FakeSpool) -> FakePcmSource:
        return FakePcmSource(spool, self)

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


def transcriber_of(
    engine: EngineProcess | InProcessEngine, scheduler: Scheduler, decoder: FakeDecoder, metrics: Metrics
) -> Transcriber:
    """One with fakes, which have all that it uses of what they stand for."""
    return Transcriber(cast("EngineProcess", engine), scheduler, cast("Decoder", decoder), metrics=metrics)


def transcribed(
    transcriber: Transcriber, source: FakeSpool | Pcm, options: TranscribeOptions | None = None
) -> AsyncGenerator[TranscriptPart, None]:
    """What a `transcriber_of` makes of a fake."""
    spool = source if isinstance(source, FakeSpool) else FakeSpool(source)
    return transcriber.transcribe(cast("Spool", spool), options or TranscribeOptions())


def num_open_things() -> tuple[int, int, int]:
    """Child processes, file descriptors and threads of this process."""
    process = psutil.Process()
    return len(process.children(recursive=True)), process.num_fds(), threading.active_count()
