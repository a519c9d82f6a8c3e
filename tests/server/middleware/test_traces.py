"""Traces: one span for each request and stage, in the trace of the client, without content; none unless OTEL is 1."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.requests import ClientDisconnect

from asr_api.server import app as app_module
from asr_api.tracing import LAST_SPANS_S
from tests.server.fakes import FakeService, client
from tests.server.running import serving, wav

pytestmark = pytest.mark.anyio

TRACE_ID = f"{0xABC:032x}"
TRACEPARENT = f"00-{TRACE_ID}-{0xDEF:016x}-01"
SECRET = "secret-5ec2e7"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(app_module, "open_tracer_provider", lambda: provider)
    return exporter


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    spans = exporter.get_finished_spans()
    assert len({span.name for span in spans}) == len(spans)
    return {span.name: span for span in spans}


async def test_the_spans_of_a_request_tell_its_stages_and_join_the_trace_of_the_client(
    exporter: InMemorySpanExporter,
) -> None:
    async with client(FakeService(), otel="1") as http:
        await http.post("/asr", content=b"x", headers={"traceparent": TRACEPARENT, "x-request-id": "r1"})
    spans = by_name(exporter)
    assert set(spans) == {"POST /asr", "receive", "format"}
    request = spans.pop("POST /asr")
    assert request.context is not None
    assert request.parent is not None
    assert (request.context.trace_id, request.parent.span_id) == (0xABC, 0xDEF)
    attributes = dict(request.attributes or {})
    assert (attributes["asr.request_id"], attributes["asr.audio_s"]) == ("r1", 2.5)
    assert (attributes["asr.model"], attributes["http.route"]) == ("fake/model", "/asr")
    for span in spans.values():
        assert span.parent == request.context
        assert (request.start_time or 0) <= (span.start_time or 0) <= (span.end_time or 0) <= (request.end_time or 0)


async def test_no_span_holds_what_a_client_wrote(exporter: InMemorySpanExporter) -> None:
    fake = FakeService(failure=RuntimeError(SECRET))
    async with client(fake, otel="1") as http:
        await http.post(f"/asr?prompt={SECRET}", content=SECRET.encode())
        await http.post("/asr", files={f"file{SECRET}": (SECRET, b"x")}, data={"prompt": SECRET})
        await http.post("/asr", json={"url": f"http://127.0.0.1/{SECRET}?{SECRET}"})
        await http.get(f"/nothing/https://{SECRET}?{SECRET}")
    spans = exporter.get_finished_spans()
    assert len(spans) >= 4
    assert SECRET not in "".join(span.to_json() for span in spans)
    assert {(span.attributes or {}).get("url.query") for span in spans} == {None, "REDACTED"}


async def test_probes_and_what_the_client_does_not_sample_have_no_span(exporter: InMemorySpanExporter) -> None:
    async with client(fake := FakeService(), otel="1") as http:
        for path in ("/hc", "/livez", "/metrics"):
            await http.get(path)
        await http.post("/asr", content=b"x", headers={"traceparent": TRACEPARENT[:-1] + "0"})
    assert not exporter.get_finished_spans()
    assert [request.record.traceparent for request in fake.requests] == [""]


async def test_a_request_that_is_broken_off_has_its_spans(exporter: InMemorySpanExporter) -> None:
    async with client(FakeService(failure=ClientDisconnect()), otel="1") as http:
        with pytest.raises(AssertionError):  # of the test client: there is no reply
            await http.post("/asr", content=b"x")
    assert (by_name(exporter)["POST /asr"].attributes or {})["asr.error_code"] == "client_disconnected"


# -- with a collector ----------------------------------------------------------------------------------------------


@contextmanager
def collecting() -> Iterator[tuple[int, list[bytes]]]:
    """Port and bodies of a collector."""
    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], bodies
        server.shutdown()
        thread.join()


def spans_of(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


def test_a_collector_that_does_not_answer_delays_no_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = {"OTEL": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        with serving(tmp_path, {}, wait=True, **endpoint) as server:
            assert server.transcribe(wav(3)).status_code == 200
            started_s = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - started_s < 3 * LAST_SPANS_S  # of the engine process and of the server


def test_the_engine_process_joins_the_trace_and_all_is_sent_before_the_end(tmp_path: Path) -> None:
    with collecting() as (port, bodies):
        endpoint = {"OTEL": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        with serving(tmp_path, {}, wait=True, **endpoint) as server, server.http() as http:
            http.post("/asr", content=wav(271, 182), headers={"traceparent": TRACEPARENT})
            assert server.stop() == 0
    spans = {span.name: span for body in bodies for span in spans_of(body)}
    assert set(spans) == {"POST /asr", "receive", "decode", "queue", "engine", "format"}
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE_ID}
    request = spans.pop("POST /asr")
    assert {span.parent_span_id for span in spans.values()} == {request.span_id}
    assert b"271" not in b"".join(bodies)
    log = server.log.read_text()
    assert f"trace_id={TRACE_ID}" in log
    assert "Traceback" not in log
