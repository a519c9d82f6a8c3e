"""Trace middleware: a span for each stage of a request, below the span that FastAPI opens for it; with `OTEL=1` only.

FastAPI also continues the trace of a client (`traceparent` of W3C). No span holds text, file names, links or queries.
"""

from __future__ import annotations

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from opentelemetry.trace import Span, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr_api.request_record import Stage
from asr_api.server.middleware.access_log import QUIET_PATHS, logged_route
from asr_api.server.middleware.request_scope import request_scope
from asr_api.tracing import TRACER, add_span

STAGES: tuple[Stage, ...] = ("receive", "decode", "queue", "format")  # the engine's span comes from its own process
REDACTED = "REDACTED"  # in place of a query, which may hold a text, a link or a key


def telemetry_config(provider: TracerProvider | None) -> TelemetryConfig:
    """FastAPI's telemetry; by default it would report to OpenTelemetry's global providers. None is no telemetry."""
    config = TelemetryConfig(tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False)
    if provider is not None:
        config |= TelemetryConfig(tracing=True, tracer_provider=provider, exclude=_is_untraced)
    return config


class TraceMiddleware:
    def __init__(self, app: ASGIApp, provider: TracerProvider) -> None:
        self._app = app
        self._tracer = provider.get_tracer(TRACER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        span = trace.get_current_span()
        if span.is_recording():
            await self._trace(span, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _trace(self, span: Span, scope: Scope, receive: Receive, send: Send) -> None:
        record, context = request_scope(scope).record, trace.set_span_in_context(span)
        record.traceparent = _traceparent(span)
        # FastAPI has written down what the client sent.
        span.set_attribute("url.path", logged_route(scope))
        if scope.get("query_string"):
            span.set_attribute("url.query", REDACTED)

        async def send_described(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                _describe(span, scope)  # when this message is sent, FastAPI ends the span
            await send(message)

        try:
            await self._app(scope, receive, send_described)
        finally:
            if span.is_recording():
                _describe(span, scope)
            for stage in STAGES:
                if times := record.stages.get(stage):
                    period_s = (times.started_s, times.ended_s)
                    add_span(self._tracer, stage, context, period_s, {f"asr.{stage}_s": times.total_s})


def _is_untraced(scope: Scope) -> bool:
    return scope["type"] != "http" or scope["path"] in QUIET_PATHS


def _traceparent(span: Span) -> str:
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(span))
    return carrier["traceparent"]


def _describe(span: Span, scope: Scope) -> None:
    request = request_scope(scope)
    record, stages = request.record, request.record.stages
    span.set_attribute("asr.request_id", request.request_id)
    span.set_attribute("asr.audio_s", record.audio_ms / 1000)
    if record.model:
        span.set_attribute("asr.model", record.model)
    if "engine" in stages:
        span.set_attribute("asr.windows", stages["engine"].num)
        span.set_attribute("asr.queue_s", stages["queue"].total_s)
    if code := scope["state"].get("error_code"):
        span.set_attribute("asr.error_code", code)
