"""What the service counts and times, and its text for Prometheus.

In: increments from the scheduler, the engine process and the transcriber. Out: one page of plain text.
Every `Metrics` has a registry of its own, so that two of them in one process never meet. Knows nothing about who asks.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

STAGE_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)

GUESSED_RTFX = 10.0
SPEED_MEMORY_S = 60.0

STAGES = ("decode", "queue", "engine")
OUTCOMES = ("completed", "invalid", "refused", "failed", "cancelled")


class Metrics:
    """The instruments, as attributes; names and units as Prometheus recommends them."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        self.requests = Counter(
            "asr_requests",
            "Transcriptions that were begun, by how they ended, and those refused at the door.",
            ["outcome"],
            registry=registry,
        )
        self.open_requests = Gauge("asr_open_requests", "Transcriptions under way.", registry=registry)
        self.windows = Counter("asr_windows", "Windows that the engine transcribed.", registry=registry)
        self.silent_windows = Counter(
            "asr_silent_windows", "Windows too quiet to be worth the engine.", registry=registry
        )
        self.resumed_windows = Counter(
            "asr_resumed_windows", "Passes over the rest of a window that was heard in part.", registry=registry
        )
        self.audio_s = Counter("asr_audio_seconds", "Audio that the engine transcribed.", registry=registry)
        self.tokens = Counter("asr_tokens", "Tokens that the engine sampled.", registry=registry)

        self.queued_windows = Gauge("asr_queued_windows", "Windows waiting for a slot.", registry=registry)
        self.backlog_s = Gauge("asr_backlog_seconds", "Audio known to be still untranscribed.", registry=registry)
        self.busy_slots = Gauge("asr_busy_slots", "Windows in the engine.", registry=registry)
        self.slots = Gauge("asr_slots", "Windows the engine can hold at once.", registry=registry)

        self.batch_windows = Histogram(
            "asr_batch_windows",
            "Windows in the engine after each admission.",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self.shared_batches = Counter(
            "asr_shared_batches", "Batches that held windows of more than one request.", registry=registry
        )
        self.stage_s = Histogram(
            "asr_stage_seconds",
            "Time of a window in a stage: waiting for the decoder, in the queue, in the engine.",
            ["stage"],
            buckets=STAGE_BUCKETS_S,
            registry=registry,
        )

        self.engine_ready = Gauge("asr_engine_ready", "1 while the engine can take windows.", registry=registry)
        self.engine_restarts = Counter(
            "asr_engine_restarts", "Times the engine process was started again.", registry=registry
        )
        self.engine_load_s = Gauge(
            "asr_engine_load_seconds", "From the latest start of the engine process to readiness.", registry=registry
        )

        # A series that has not happened yet reads 0, so that rates and alerts work from the first scrape.
        for outcome in OUTCOMES:
            self.requests.labels(outcome)
        for stage in STAGES:
            self.stage_s.labels(stage)

    def render(self) -> bytes:
        """The page for a scrape, in the format that `content_type` names."""
        return generate_latest(self.registry)


class SpeedMeter:
    """How fast the engine is while it works: audio seconds per second, over about the last minute of work.

    Starts with a guess that one second of work outweighs.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last_s = clock()
        self._is_busy = False
        self._audio_s = GUESSED_RTFX
        self._busy_s = 1.0

    def note(self, *, is_busy: bool, audio_s: float = 0.0) -> None:
        """Tells whether the engine has work from now on, and how much audio it has just finished."""
        now_s = self._clock()
        if self._is_busy:
            self._busy_s += now_s - self._last_s
        self._last_s, self._is_busy = now_s, is_busy
        self._audio_s += audio_s
        if self._busy_s > SPEED_MEMORY_S:
            self._busy_s /= 2
            self._audio_s /= 2

    @property
    def rtfx(self) -> float:
        return self._audio_s / self._busy_s
