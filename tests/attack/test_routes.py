"""Every route with every method: what it is for, or an error in its shape; never a failure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import httpx
import pytest
from fastapi import APIRouter
from starlette.routing import BaseRoute, Mount, Route

from asr_api.metrics import Metrics
from asr_api.server.app import create_app
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.middleware.authentication import OPEN_PATHS
from asr_api.settings.api_keys import read_api_keys
from asr_api.settings.settings import read_settings
from tests.attack.watched_server import Reply, error_code
from tests.server.fakes import FakeService, client, open_app

pytestmark = pytest.mark.anyio
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "X" * 300)
KNOWN_PATHS = {
    "/asr", "/detect-language", "/status", "/inference", "/v1/listen", "/v1/audio/transcriptions",
    "/v1/audio/translations", "/v1/models", "/v1/models/x", "/hc", "/metrics", "/docs", "/docs/x", "/docs/start.js",
    "/openapi.json",
}  # fmt: skip


def methods_by_path(routes: Iterable[BaseRoute]) -> dict[str, set[str]]:
    """Of all routes; a name in a path is "x"."""
    found: dict[str, set[str]] = defaultdict(set)
    for route in routes:
        router = getattr(route, "original_router", None)
        if isinstance(router, APIRouter):
            for path, methods in methods_by_path(router.routes).items():
                found[path] |= methods
        elif isinstance(route, Mount):
            found[f"{route.path}/x"] |= {"GET", "HEAD"}
        else:
            assert isinstance(route, Route), route
            found[route.path.replace("{model_id:path}", "x")] |= route.methods or set()
    return found


ROUTES = methods_by_path(open_app(ServiceHandle()).routes)


def test_the_sweep_knows_every_route() -> None:
    assert set(ROUTES) >= KNOWN_PATHS


@pytest.mark.parametrize("path", sorted(ROUTES))
async def test_a_method_is_served_or_refused_with_those_that_are(path: str) -> None:
    async with client(FakeService()) as http:
        replies = {method: await http.request(method, path, content=b"x") for method in METHODS}
    for method, reply in replies.items():
        assert reply.status_code < 500, method
        assert (reply.status_code == 405) is (method not in ROUTES[path]), (method, reply.status_code)
        if reply.status_code == 405:
            assert set(reply.headers["allow"].replace(" ", "").split(",")) <= ROUTES[path], method
        check_error(path, method, reply)


@pytest.mark.parametrize("path", sorted(ROUTES))
async def test_a_server_that_is_not_ready_says_so_or_answers(path: str) -> None:
    async with client(ServiceHandle()) as http:
        replies = [await http.request(method, path, content=b"x") for method in sorted(ROUTES[path])]
    for reply in replies:
        assert reply.status_code < 500 or reply.status_code == 503
        assert "retry-after" in reply.headers or reply.status_code != 503


@pytest.mark.parametrize(
    "path", sorted({*ROUTES, "/", "/nothing", "/v1/nothing", "/v1/listen/x", "/docs/../asr"} - OPEN_PATHS)
)
async def test_without_a_key_no_method_of_a_path_tells_anything(path: str) -> None:
    settings = read_settings({"api_keys": "alice:alice-0123456789", "page": "0"})
    app = create_app(FakeService().handle(), Metrics(), settings, read_api_keys(settings))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:8000") as http:
        replies = {method: await http.request(method, path, content=b"x") for method in METHODS}
    for method, reply in replies.items():
        assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer"), method
        assert "allow" not in reply.headers
        check_error(path, method, reply)


def check_error(path: str, method: str, reply: httpx.Response) -> None:
    assert len(reply.headers["x-request-id"]) == 32
    if reply.status_code >= 400 and method != "HEAD":
        error_code(path, Reply(reply.status_code, reply.headers, reply.content))
