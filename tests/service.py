"""One harness for tests of the service: a scripted engine, a clock without time, and PCM sources without files."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import psutil
import pytest
from anyio import CapacityLimiter

from asr_api.engine_process.ports import EngineListener, EngineState
from asr_api.engine_process.supervisor import EngineProcess
from asr_api.engines.protocol import EngineInfo, WindowJob
from asr_api.errors import AsrError, ServerOverloaded
from asr_api.events import TranscriptEvent, fold
from asr_api.metrics import OUTCOMES, Metrics
from asr_api.model_pool import ModelPool, ServedModel
from asr_api.options import DecodeOptions, TranscribeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, AudioEnd, Pcm
from asr_api.request import RequestScope
from asr_api.scheduler.fair_queue import RequestQueue
from asr_api.scheduler.scheduler import Scheduler
from asr_api.transcriber import Transcriber
from asr_api.transcript import Transcript, WindowTranscript
from tests.engines.scripted import Script, ScriptedEngine
from tests.loudness_detector import LoudnessDetector

MODEL = "scripted"


@dataclass
class FakeClock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


class InProcessEngine:
    """A `ManagedEngine` without a process: nothing happens until the test calls `step` or `crash`."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or Script()
        self.engine = ScriptedEngine(self.script)
        self.state = EngineState.READY
        self.inside: dict[int, WindowJob] = {}
        self.admissions: list[list[WindowJob]] = []
        self.listener: EngineListener

    @property
    def info(self) -> EngineInfo:
        return self.engine.info

    @property
    def num_slots(self) -> int:
        return self.script.n_slots

    @property
    def free_slots(self) -> int:
        return self.engine.free_slots if self.state is EngineState.READY else 0

    @property
    def jobs(self) -> list[WindowJob]:
        """All that were ever admitted, in order."""
        return [job for jobs in self.admissions for job in jobs]

    def report_to(self, listener: EngineListener) -> None:
        self.listener = listener

    def admit(self, jobs: Sequence[WindowJob]) -> None:
        self.engine.admit(jobs)
        self.inside |= {job.job_id: job for job in jobs}
        self.admissions.append(list(jobs))

    def cancel(self, job_ids: Sequence[int]) -> None:
        self.drop(job_ids)
        self.listener.on_cancelled(job_ids)

    def step(self) -> None:
        finished = self.engine.step()
        for job in finished:
            del self.inside[job.job_id]
        self.listener.on_finished(finished)

    def drop(self, job_ids: Sequence[int]) -> None:
        """They are no longer inside, and nothing is reported."""
        self.engine.cancel(job_ids)
        for job_id in job_ids:
            self.inside.pop(job_id, None)

    def crash(self, *, is_killed: bool = False) -> None:
        """Stays without an engine until `restart`. is_killed: from outside"""
        lost = list(self.inside)
        self.inside.clear()
        self.engine = ScriptedEngine(self.script)
        self.state = EngineState.RESTARTING
        (self.listener.on_killed if is_killed else self.listener.on_lost)(lost)

    def restart(self) -> None:
        self.state = EngineState.READY
        self.listener.on_capacity()

    async def start(self) -> None: ...

    async def wait_failed(self) -> AsrError:
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None: ...


@dataclass(eq=False)
class FakeSource:
    """A `PcmSource` that is no file: its PCM, how it ends, how much of it was read and whether it is open."""

    pcm: Pcm
    block_s: float = 1.0
    error: Exception | None = None  # raised after the last block
    last_end: AudioEnd = AudioEnd()
    num_read_samples: int = field(default=0, init=False)
    is_open: bool = field(default=False, init=False)
    end: AudioEnd = field(default=AudioEnd(), init=False)

    @property
    def duration_hint_ms(self) -> int | None:
        return len(self.pcm) * 1000 // SAMPLE_RATE_HZ

    async def __aenter__(self) -> FakeSource:
        self.is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.is_open = False

    async def __aiter__(self) -> AsyncIterator[Pcm]:
        size = round(self.block_s * SAMPLE_RATE_HZ)
        for start in range(0, len(self.pcm), size):
            block = self.pcm[start : start + size]
            self.num_read_samples += len(block)
            yield block
        if self.error is not None:
            raise self.error
        self.end = self.last_end


class ServiceHarness:
    """A transcriber with everything around it that a test looks at."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        engine: EngineProcess | None = None,
        metrics: Metrics | None = None,
        max_requests: int = 64,
    ) -> None:
        """engine: a real engine process, with the metrics that it writes to; else an `InProcessEngine` of the script"""
        self.metrics = metrics or Metrics()
        self.model_metrics = self.metrics.for_model(MODEL)
        self.clock = FakeClock()
        self.in_process = InProcessEngine(script)
        managed = engine or self.in_process
        clock = {"clock": self.clock} if engine is None else {}
        self.scheduler = Scheduler(managed, metrics=self.model_metrics, max_requests=max_requests, **clock)
        self.model = ServedModel(MODEL, managed, self.scheduler, self.model_metrics)
        self.pool = ModelPool([self.model])
        self.limiter = CapacityLimiter(1)
        self.transcriber = Transcriber(self.pool, LoudnessDetector, self.limiter)
        self.open = contextlib.ExitStack()

    # -- the scheduler alone -----------------------------------------------------------------------------------

    def queue(self, priority: int = 0, account: str = "") -> RequestQueue:
        """Of a new request, open until the end of the test."""
        request = RequestScope(priority=priority, account=account)
        return self.open.enter_context(self.scheduler.open_queue(request))

    def submit(self, queue: RequestQueue, pcm: Pcm, num_windows: int = 1) -> list[asyncio.Future[WindowTranscript]]:
        return [self.scheduler.submit(queue, pcm, DecodeOptions()) for _ in range(num_windows)]

    def step(self, seconds: float = 1.0, *, times: int = 1) -> None:
        for _ in range(times):
            self.clock.now_s += seconds
            self.in_process.step()

    def refused_retry_after_s(self) -> float | None:
        """Of the refusal of one more request."""
        with pytest.raises(ServerOverloaded) as refused:
            self.scheduler.check_capacity()
        return refused.value.retry_after_s

    # -- whole requests ----------------------------------------------------------------------------------------

    def events(
        self, source: FakeSource | Pcm, options: TranscribeOptions | None = None, request: RequestScope | None = None
    ) -> AsyncGenerator[TranscriptEvent, None]:
        pcm_source = source if isinstance(source, FakeSource) else FakeSource(source)
        return self.transcriber.transcribe(pcm_source, options or TranscribeOptions(), request or RequestScope())

    async def transcript(self, source: FakeSource | Pcm, options: TranscribeOptions | None = None) -> Transcript:
        return await asyncio.wait_for(fold(self.events(source, options)), 20)

    async def text(self, source: FakeSource | Pcm) -> str:
        return (await self.transcript(source)).text

    def start(self, source: FakeSource | Pcm, options: TranscribeOptions | None = None) -> asyncio.Task[Transcript]:
        return asyncio.create_task(fold(self.events(source, options)))

    async def run(self, source: FakeSource | Pcm, options: TranscribeOptions | None = None) -> Transcript:
        """A whole request with the in-process engine."""
        return await self.finish(self.start(source, options))

    async def finish(self, request: asyncio.Task[Transcript], check: Callable[[], object] = lambda: None) -> Transcript:
        """Steps the in-process engine until the request is done, and checks before each step."""
        for _ in range(500):
            await self.settle()
            if request.done():
                return request.result()
            check()
            self.in_process.step()
        raise AssertionError("the request does not end")

    async def settle(self) -> None:
        """Returns when every task waits for the engine: nothing is runnable, and no thread works for a task."""
        num_quiet = 0
        while num_quiet < 20:
            await asyncio.sleep(0.001 if self.limiter.borrowed_tokens else 0)
            num_quiet = 0 if self.limiter.borrowed_tokens else num_quiet + 1

    # -- metrics -----------------------------------------------------------------------------------------------

    def count(self, name: str, **labels: str) -> float:
        return metric_value(self.metrics, name, **labels)

    def outcomes(self) -> dict[str, float]:
        counts = {outcome: self.count("asr_requests_total", outcome=outcome) for outcome in OUTCOMES}
        return {outcome: count for outcome, count in counts.items() if count}


def metric_value(metrics: Metrics, name: str, *, model: str = MODEL, **labels: str) -> float:
    """One number of the metrics page."""
    value = metrics.registry.get_sample_value(name, {"model": model, **labels})
    assert value is not None, name
    return value


def num_open_things() -> tuple[int, int, int]:
    """Child processes, file descriptors and threads of this process, without anyio's idle worker threads."""
    process = psutil.Process()
    num_threads = sum(thread.name != "AnyIO worker thread" for thread in threading.enumerate())
    return len(process.children(recursive=True)), process.num_fds(), num_threads
