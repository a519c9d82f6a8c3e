"""The port of the metrics: one page, within the bounds of connections and of time that the main port has."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from asr_api.metrics import Metrics
from asr_api.server import http_protocol
from asr_api.server.connection_limit import ConnectionLimit
from asr_api.server.http_servers import HttpServers
from asr_api.server.listen import listening_sockets
from asr_api.server.middleware import early_reply
from asr_api.server.routes.prometheus import METRICS_CONNECTIONS, metrics_app

pytestmark = pytest.mark.anyio
SOON_S = 5
PAGE = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture
async def port() -> AsyncIterator[int]:
    with listening_sockets("127.0.0.1", 0, "METRICS_PORT") as sockets:
        port = sockets[0].getsockname()[1]
        servers = HttpServers()
        servers.open(metrics_app(Metrics()), sockets, ConnectionLimit(METRICS_CONNECTIONS))
        yield port
        assert await asyncio.wait_for(servers.aclose(), SOON_S) is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


async def talk(port: int, content: bytes = b"") -> bytes:
    """The bytes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(content)
        return await asyncio.wait_for(reader.read(), SOON_S)
    finally:
        writer.close()


async def test_it_answers_one_page_and_nothing_else(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        page = await http.get("/metrics?ignored")
        assert (page.status_code, page.headers["content-type"]) == (200, Metrics.content_type)
        assert "asr_open_requests" in page.text
        for method, path in [
            ("POST", "/metrics"),
            ("HEAD", "/metrics"),
            ("GET", "/"),
            ("GET", "/hc"),
            ("POST", "/asr"),
        ]:
            reply = await http.request(method, path, content=b"x" if method == "POST" else None)
            assert (reply.status_code, reply.headers["x-should-retry"]) == (404, "false"), (method, path)
        assert reply.json()["code"] == "not_found"
        assert reply.json()["error"] == "This port has the metrics alone; send GET /metrics."


async def test_a_body_that_never_ends_holds_no_connection(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_reply, "LINGER_S", 0.1)
    reply = await talk(port, PAGE + b"Transfer-Encoding: chunked\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 200 ")


async def test_silent_connections_and_unfinished_headers_are_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEADERS_DEADLINE_S", 0.1)
    assert await talk(port) == b""
    assert await talk(port, PAGE) == b""


async def test_its_connections_are_bounded(port: int) -> None:
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(METRICS_CONNECTIONS // 2)]
    assert (await talk(port, PAGE + b"\r\n")).startswith(b"HTTP/1.1 503 ")
    for _, writer in held:
        writer.close()
