"""Every route with every method: what it is for, or an error in its shape; never a failure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import httpx
import pytest
from fastapi import APIRouter
from starlette.routing import BaseRoute, Mount, Route

from asr_api.server.lifecycle import ServiceHandle
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


def check_error(path: str, method: str, reply: httpx.Response) -> None:
    assert len(reply.headers["x-request-id"]) == 32
    if reply.status_code >= 400 and method != "HEAD":
        error_code(path, Reply(reply.status_code, reply.headers, reply.content))
