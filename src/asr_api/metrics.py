"""Prometheus metrics: everything that the service counts and times, per model.

Every `Metrics` has a registry of its own, so that two services in one process do not share their figures.
"""

from __future__ import annotations

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

STAGES = ("decode", "queue", "engine")
# expired: past its deadline; cancelled: its client left
OUTCOMES = ("completed", "invalid", "refused", "failed", "expired", "cancelled")


class Metrics:
    """The registry and its metrics; `for_model` gives those of one model."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter(
            "asr_requests",
            "Transcriptions, by outcome; one that requests share counts once, a request answered from memory never. "
            "What a deadline ends counts for each request, also before its transcription began.",
            "outcome",
        )
        self.joined_requests = self._counter(
            "asr_joined_requests", "Requests that joined a running transcription of the same content and options."
        )
        self.repeated_requests = self._counter(
            "asr_repeated_requests", "Requests that were answered with a kept result of the same content and options."
        )
        self.early_transcriptions = self._counter(
            "asr_early_transcriptions", "Transcriptions that began before their upload was complete."
        )
        self.open_requests = self._gauge("asr_open_requests", "Transcriptions in progress.")
        self.windows = self._counter("asr_windows", "Windows that the engine transcribed.")
        self.silent_pieces = self._counter("asr_silent_pieces", "Pieces without speech, which skip the engine.")
        self.resumed_windows = self._counter(
            "asr_resumed_windows", "Windows that continue a piece after its first one."
        )
        self.retried_windows = self._counter(
            "asr_retried_windows", "Windows decoded again because speech had no words."
        )
        self.audio_s = self._counter("asr_audio_seconds", "Seconds of audio that the engine transcribed.")
        self.tokens = self._counter("asr_tokens", "Tokens that the engine sampled.")
        self.queued_windows = self._gauge("asr_queued_windows", "Windows that wait for a slot.")
        self.backlog_s = self._gauge("asr_backlog_seconds", "Seconds of known audio that are not transcribed yet.")
        self.busy_slots = self._gauge("asr_busy_slots", "Windows in the engine.")
        self.slots = self._gauge("asr_slots", "Windows that the engine can decode at once.")
        self.batch_windows = Histogram(
            "asr_batch_windows",
            "Windows in the engine after each admission.",
            ["model"],
            buckets=BATCH_BUCKETS,
            registry=self.registry,
        )
        self.shared_batches = self._counter("asr_shared_batches", "Admissions after which requests share the engine.")
        self.stage_s = Histogram(
            "asr_stage_seconds",
            "Seconds of a window in each stage: waiting for decoded audio, in the queue, in the engine.",
            ["model", "stage"],
            buckets=STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self.engine_ready = self._gauge("asr_engine_ready", "1 while the engine is ready, else 0.")
        self.engine_restarts = self._counter("asr_engine_restarts", "Restarts of the engine process.")
        self.engine_load_s = self._gauge(
            "asr_engine_load_seconds", "Seconds from the last start of the engine process until it was ready."
        )

    def for_model(self, model: str) -> ModelMetrics:
        """model: the value of the label `model`"""
        return ModelMetrics(self, model)

    def render(self) -> bytes:
        """The page for a scrape, in the format of `content_type`."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, ["model", *labels], registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ["model"], registry=self.registry)


class ModelMetrics:
    """The metrics of one model, each at 0 from the first scrape on, so that rates and alerts work."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self.requests = {outcome: metrics.requests.labels(model, outcome) for outcome in OUTCOMES}
        self.joined_requests = metrics.joined_requests.labels(model)
        self.repeated_requests = metrics.repeated_requests.labels(model)
        self.early_transcriptions = metrics.early_transcriptions.labels(model)
        self.open_requests = metrics.open_requests.labels(model)
        self.windows = metrics.windows.labels(model)
        self.silent_pieces = metrics.silent_pieces.labels(model)
        self.resumed_windows = metrics.resumed_windows.labels(model)
        self.retried_windows = metrics.retried_windows.labels(model)
        self.audio_s = metrics.audio_s.labels(model)
        self.tokens = metrics.tokens.labels(model)
        self.queued_windows = metrics.queued_windows.labels(model)
        self.backlog_s = metrics.backlog_s.labels(model)
        self.busy_slots = metrics.busy_slots.labels(model)
        self.slots = metrics.slots.labels(model)
        self.batch_windows = metrics.batch_windows.labels(model)
        self.shared_batches = metrics.shared_batches.labels(model)
        self.stage_s = {stage: metrics.stage_s.labels(model, stage) for stage in STAGES}
        self.engine_ready = metrics.engine_ready.labels(model)
        self.engine_restarts = metrics.engine_restarts.labels(model)
        self.engine_load_s = metrics.engine_load_s.labels(model)
