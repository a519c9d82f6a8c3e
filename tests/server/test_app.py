"""The HTTP app: health, metrics, docs, error shapes, scopes that are not HTTP, telemetry, and the access log."""

from __future__ import annotations

import json
from unittest.mock import create_autospec

import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from asr_api import __version__
from asr_api.errors import AsrError, EngineRestarting, NotFound
from asr_api.parameters import PARAMETERS
from asr_api.server.error_responses import ErrorShapes
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.middleware.access_log import AccessLogMiddleware
from asr_api.server.middleware.error_handling import ErrorMiddleware
from asr_api.server.middleware.request_scope import RequestScopeMiddleware
from tests.server.fakes import FakeService, client, open_app

pytestmark = pytest.mark.anyio


async def test_health_follows_the_engine() -> None:
    async with client(fake := FakeService()) as http:
        reply = await http.get("/hc")
        assert (reply.status_code, reply.json()) == (200, {"status": "ok", "version": __version__})
        assert (await http.head("/hc")).status_code == 200
        fake.refusal = EngineRestarting("The engine restarts; wait.", retry_after_s=3)
        assert (await http.head("/hc")).status_code == 503
        reply = await http.get("/hc")
        assert (reply.status_code, reply.json()["code"]) == (503, "engine_restarting")
        assert reply.headers["retry-after"] == "3"
    async with client(ServiceHandle()) as http:
        for reply in (await http.get("/hc"), await http.post("/asr", content=b"x")):
            assert (reply.status_code, reply.json()["code"]) == (503, "model_loading")


async def test_unknown_addresses_and_methods_have_the_error_shape() -> None:
    async with client(FakeService()) as http:
        missing, wrong = await http.get("/nothing"), await http.get("/asr")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"
    for reply in (missing, wrong):
        assert reply.headers["x-should-retry"] == "false"
        assert reply.headers["x-request-id"] == reply.json()["request_id"]


async def test_metrics_are_prometheus_text() -> None:
    async with client(ServiceHandle()) as http:
        reply = await http.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    assert "\nprocess_open_fds " in reply.text


async def test_docs_work_without_a_network() -> None:
    async with client(ServiceHandle()) as http:
        page = await http.get("/docs")
        assert page.headers["content-security-policy"].startswith("default-src 'self'")
        assert "//" not in page.text.replace("<!doctype", "")
        for name in ("docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/start.js"):
            assert f'"{name}"' in page.text
            asset = await http.get(f"/{name}")
            assert (asset.status_code, asset.headers["x-content-type-options"]) == (200, "nosniff")
        assert (await http.get("/docs/nothing")).json()["code"] == "not_found"


async def test_the_schema_lists_parameters_and_statuses() -> None:
    async with client(ServiceHandle()) as http:
        schema = (await http.get("/openapi.json")).json()
    paths = {"/asr", "/detect-language", "/status", "/hc", "/metrics", "/v1/audio/transcriptions", "/v1/models"}
    assert paths <= set(schema["paths"])
    operation = schema["paths"]["/asr"]["post"]
    contents = {"application/json", "application/octet-stream", "multipart/form-data"}
    assert contents <= set(operation["requestBody"]["content"])
    queries = {parameter["name"]: parameter["schema"] for parameter in operation["parameters"]}
    of_forms = ["encode", "diarize", "min_speakers", "max_speakers"]
    assert list(queries) == [parameter.name for parameter in PARAMETERS] + of_forms
    assert queries["task"]["enum"] == ["transcribe", "translate"]
    queries = {name: schema for name, schema in queries.items() if name not in of_forms}
    assert set(operation["requestBody"]["content"]["application/json"]["schema"]["properties"]) == {"url", *queries}
    expected = {"200", "400", "403", "404", "408", "413", "415", "422", "429", "500", "502", "503", "504"}
    assert set(operation["responses"]) == expected
    assert set(schema["paths"]["/hc"]["get"]["responses"]) == {"200", "503"}
    assert "x-gpu-name" in operation["responses"]["200"]["headers"]


def test_each_router_has_its_own_error_shape() -> None:
    def other_shape(error: AsrError, request_id: str) -> dict[str, object]:
        return {"error": {"message": str(error), "code": error.code, "request_id": request_id}}

    shapes = ErrorShapes({"/v1": other_shape})
    error = NotFound("Nothing is here; look elsewhere.")
    for path, has_other_shape in (("/v1/models", True), ("/v1", True), ("/v10", False), ("/asr", False)):
        body = json.loads(bytes(shapes.response(path, error, "abc").body))
        assert isinstance(body["error"], dict) is has_other_shape, path


@pytest.mark.parametrize(
    ("kind", "received", "expected"),
    [
        ("websocket", ["connect"], ["close"]),
        ("lifespan", ["startup", "shutdown"], ["startup.complete", "shutdown.complete"]),
    ],
)
async def test_websockets_and_lifespan(kind: str, received: list[str], expected: list[str]) -> None:
    messages = iter(received)
    sent: list[str] = []

    async def receive() -> Message:
        return {"type": f"{kind}.{next(messages)}"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await open_app(FakeService().handle())({"type": kind, "path": "/asr", "headers": []}, receive, send)
    assert sent == [f"{kind}.{name}" for name in expected]


def test_the_telemetry_of_fastapi_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    init = create_autospec(FastAPI.__init__, side_effect=FastAPI.__init__)
    monkeypatch.setattr(FastAPI, "__init__", init)
    open_app(ServiceHandle())
    names = ("tracing", "metrics", "logs", "operation_spans", "auto_configure")
    assert init.call_args.kwargs["telemetry"] == dict.fromkeys(names, False)


@pytest.mark.parametrize(("has_begun", "outcome"), [(True, "200"), (False, "499")])
async def test_a_reply_that_has_begun_keeps_its_status(
    caplog: pytest.LogCaptureFixture, has_begun: bool, outcome: str
) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        if has_begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ClientDisconnect

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None: ...

    inner = AccessLogMiddleware(ErrorMiddleware(app, ErrorShapes({})))
    scope = {"type": "http", "method": "GET", "path": "/a", "raw_path": b"/a", "headers": []}
    with caplog.at_level("INFO"):
        await RequestScopeMiddleware(inner, ServiceHandle())(scope, receive, send)
    assert f" GET /a {outcome} client_disconnected outcome=client_disconnected total_s=" in caplog.text
