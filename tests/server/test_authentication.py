"""API keys over HTTP: who passes, what a refusal looks like in each API, and that no route is forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import httpx
import pytest
from starlette.routing import BaseRoute, Mount, Route

from asr_api.metrics import Metrics
from asr_api.request import AccountLimits
from asr_api.server.app import create_app
from asr_api.server.middleware.authentication import OPEN_PATHS
from asr_api.settings.api_keys import read_api_keys
from asr_api.settings.settings import read_settings
from tests.server.fakes import FakeService

pytestmark = pytest.mark.anyio

KEY = "alice-0123456789"


def client(service: FakeService, **flags: str) -> httpx.AsyncClient:
    settings = read_settings({"api_keys": f"alice:{KEY}", **flags})
    app = create_app(service.handle(), Metrics(), settings, read_api_keys(settings))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:8000")


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer  {KEY}"},
        {"authorization": f"Token {KEY}"},
        {"x-api-key": KEY},
        {"authorization": "Basic abc", "x-api-key": KEY},
    ],
)
async def test_a_key_passes_in_each_of_the_usual_headers(headers: dict[str, str]) -> None:
    async with client(fake := FakeService()) as http:
        assert (await http.post("/asr", content=b"audio", headers=headers)).status_code == 200
    (request,) = fake.requests
    assert (request.account, request.limits, KEY in repr(request)) == ("key:alice", AccountLimits(), False)
    assert request.tenant == "key:alice"  # in whichever header the key came, its client's repeats are repeats


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": KEY},
        {"authorization": f"Basic {KEY}"},
        {"authorization": f"Bearer {KEY} x"},
        {"authorization": f"Bearer {KEY[:-1]}"},
        {"x-api-key": f"{KEY}é"},
        {"cookie": f"key={KEY}"},
    ],
)
async def test_anything_else_is_refused_before_the_body(headers: dict[str, str]) -> None:
    was_read = False

    async def body() -> object:
        nonlocal was_read
        was_read = True
        yield b"audio"

    values = {name: value.encode("utf-8") for name, value in headers.items()}
    async with client(FakeService()) as http:
        reply = await http.post(f"/asr?api_key={KEY}", headers=values | {"expect": b"100-continue"}, content=body())  # type: ignore[arg-type]
    assert (reply.status_code, reply.json()["code"], was_read) == (401, "invalid_api_key", False)
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.headers["x-should-retry"] == "false"


async def test_headers_are_limited_before_any_of_them_is_hashed() -> None:
    async with client(FakeService()) as http:
        reply = await http.post("/asr", headers=[("x-api-key", "x" * 40_000)], content=b"audio")
    assert (reply.status_code, reply.json()["code"]) == (431, "headers_too_large")


async def test_each_api_has_its_own_shape_of_the_refusal() -> None:
    async with client(FakeService()) as http:
        openai = (await http.post("/v1/audio/transcriptions")).json()["error"]
        deepgram = (await http.post("/v1/listen")).json()
    assert (openai["code"], openai["type"]) == ("invalid_api_key", "invalid_request_error")
    assert deepgram["err_code"] == "INVALID_AUTH"


def _all_routes(routes: Sequence[BaseRoute]) -> Iterator[Route | Mount]:
    for route in routes:
        if isinstance(route, Route | Mount):
            yield route
        else:  # FastAPI keeps an included router as one route
            yield from _all_routes(route.original_router.routes)  # type: ignore[attr-defined]


async def test_every_route_needs_a_key_except_the_probes() -> None:
    settings = read_settings({"api_keys": KEY, "page": "0"})
    app = create_app(FakeService().handle(), Metrics(), settings, read_api_keys(settings))
    asked = set()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
        for route in _all_routes(app.routes):
            path = route.path.replace("{model_id:path}", "base")
            for method in getattr(route, "methods", None) or {"GET"}:
                reply = await http.request(method, path)
                asked.add((method, path))
                assert (reply.status_code == 401) == (path not in OPEN_PATHS), (method, path)
    assert len(asked) > 15
    assert {("GET", "/metrics"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/v1/models")} <= asked


async def test_the_files_of_the_page_need_no_key_and_nothing_else_opens_with_them() -> None:
    async with client(FakeService()) as http:
        page = await http.get("/")
        script = re.search(r'src="(page/[^"]+)"', page.text)
        assert script
        assert (page.status_code, (await http.get(f"/{script[1]}")).status_code) == (200, 200)
        for path in ("/page/../asr", "/page", "//", "/pages/x", "/docs", "/v1/models", "/metrics"):
            assert (await http.get(httpx.URL(f"http://localhost:8000{path}"))).status_code == 401, path
        assert (await http.post("/")).status_code == 401
        assert (await http.post(f"/{script[1]}")).status_code == 401


async def test_paths_that_do_not_exist_need_a_key_too() -> None:
    async with client(FakeService(), page="0") as http:
        statuses = [(await http.get(path)).status_code for path in ("/", "/hc/", "//hc", "/hc%2f", "/HC", "/asr/../hc")]
    assert statuses[:5] == [401] * 5
    async with client(FakeService()) as http:
        assert (await http.get("/hc")).status_code == 200
        assert (await http.get("/livez")).status_code == 200


async def test_metrics_are_not_on_the_main_port_when_they_have_their_own() -> None:
    async with client(FakeService(), metrics_port="9100") as http:
        assert (await http.get("/metrics", headers={"x-api-key": KEY})).status_code == 404
