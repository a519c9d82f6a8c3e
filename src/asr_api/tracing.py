"""Tracing by OpenTelemetry: the provider that sends the spans of a process to a collector; used with `OTEL=1` only."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from asr_api import __version__
from asr_api.errors import SettingsError
from asr_api.install_hint import install_command

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

TRACER = "asr-api"
LAST_SPANS_S = 2.0
MAX_ATTRIBUTE_CHARS = 256  # some hold what a client wrote


def open_tracer_provider() -> TracerProvider:
    """Sends in the background, by OTLP over HTTP; OpenTelemetry's own variables, `OTEL_…`, say where to and how much.

    Raises SettingsError without the extra.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import SpanLimits, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        sentence = f"OTEL is 1, which needs packages that are not installed; run: {install_command('otel')}"
        raise SettingsError(sentence) from None
    own = Resource({"service.name": "asr-api", "service.version": __version__})
    resource = Resource.create(own.merge(OTELResourceDetector().detect()).attributes)
    limits = SpanLimits(max_attribute_length=MAX_ATTRIBUTE_CHARS)
    provider = TracerProvider(resource=resource, span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _close_at_exit(provider)
    return provider


def _close_at_exit(provider: TracerProvider) -> None:
    """Sends the last spans, but does not let a collector that is away delay the end for long."""
    is_ending = threading.Event()

    def close() -> None:
        is_ending.wait()
        provider.shutdown()

    thread = threading.Thread(target=close, name="asr-api-last-spans", daemon=True)
    thread.start()  # now, since none can be started at the end

    def end() -> None:
        is_ending.set()
        thread.join(LAST_SPANS_S)

    atexit.register(end)


def add_span(
    tracer: Tracer, name: str, parent: Context, period_s: tuple[float, float], attributes: Mapping[str, float]
) -> None:
    """A span of the past. period_s: from and to, on the clock of time.monotonic"""
    offset_ns = time.time_ns() - time.monotonic_ns()
    start_ns, end_ns = (round(seconds * 1e9) + offset_ns for seconds in period_s)
    tracer.start_span(name, parent, start_time=start_ns, attributes=attributes).end(end_ns)
