"""`EngineSpans`: one span for the time in which windows of a request are in the engine; only where traces are on."""

from __future__ import annotations

import time
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from asr_api.engines.protocol import WindowJob
from asr_api.pcm import SAMPLE_RATE_HZ
from asr_api.tracing import TRACER, add_span

# The engine is not told that a request has ended. One that pauses for longer, as a slow upload does, has several spans.
IDLE_S = 5.0


@dataclass(slots=True)
class _Request:
    """On the clock of time.monotonic."""

    context: Context
    started_s: float
    ended_s: float
    num_inside: int = 0
    num_windows: int = 0
    audio_s: float = 0.0


class EngineSpans:
    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer(TRACER)
        self._requests: dict[str, _Request] = {}  # by traceparent

    def enter(self, job: WindowJob) -> None:
        if not job.traceparent:
            return
        now_s = time.monotonic()
        request = self._requests.get(job.traceparent)
        if request is None:
            context = TraceContextTextMapPropagator().extract({"traceparent": job.traceparent})
            request = self._requests[job.traceparent] = _Request(context, now_s, now_s)
        request.num_inside += 1
        request.num_windows += 1
        request.audio_s += len(job.pcm) / SAMPLE_RATE_HZ

    def leave(self, job: WindowJob) -> None:
        """Also a window that was cancelled or lost."""
        if request := self._requests.get(job.traceparent):
            request.num_inside -= 1
            request.ended_s = time.monotonic()

    def end(self, *, idle_s: float = IDLE_S) -> None:
        """Those of the requests that have had no window in the engine for `idle_s`."""
        latest_s = time.monotonic() - idle_s
        for traceparent, request in [*self._requests.items()]:
            if not request.num_inside and request.ended_s <= latest_s:
                del self._requests[traceparent]
                attributes = {"asr.windows": request.num_windows, "asr.audio_s": request.audio_s}
                add_span(self._tracer, "engine", request.context, (request.started_s, request.ended_s), attributes)
