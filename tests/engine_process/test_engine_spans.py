"""The spans of the engine process: one for each request, however many windows it has."""

from __future__ import annotations

import numpy as np
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from asr_api.engine_process.engine_spans import EngineSpans
from asr_api.engines.protocol import WindowJob
from asr_api.options import DecodeOptions

TRACEPARENTS = [f"00-{trace_id:032x}-{span_id:016x}-01" for trace_id, span_id in ((1, 2), (3, 4))]


def window(job_id: int, traceparent: str) -> WindowJob:
    return WindowJob(job_id, np.zeros(16_000, np.int16), DecodeOptions(), traceparent=traceparent)


def test_a_request_has_one_span_below_that_of_the_server() -> None:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = EngineSpans(provider)
    jobs = [window(number, TRACEPARENTS[number % 2]) for number in range(6)]
    for job in (*jobs, window(6, "")):
        spans.enter(job)
    for job in (*jobs[:-1], window(6, "")):
        spans.leave(job)
    spans.end()
    assert not exporter.get_finished_spans()  # a next window may come at once
    spans.end(idle_s=0)
    (span,) = exporter.get_finished_spans()  # the other request has a window inside
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (1, 2)
    assert span.attributes == {"asr.windows": 3, "asr.audio_s": 3.0}
    spans.leave(jobs[-1])
    spans.end(idle_s=0)
    assert [span.context.trace_id for span in exporter.get_finished_spans() if span.context] == [1, 3]
