"""Clients that are slow, rude or over-sized, against the real protocol on a loopback socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from uvicorn.server import ServerState

from asr_api.audio.sources.policy import MediaPolicy
from asr_api.metrics import Metrics
from asr_api.server import http_protocol as protocol
from asr_api.server import request_limits as exchange
from asr_api.server.app import create_app
from asr_api.server.app_options import AppOptions
from tests.server.fakes import FakeTranscriber

pytestmark = pytest.mark.anyio
SOON_S = 5


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = create_app(FakeTranscriber().entrance(), Metrics(), AppOptions(MediaPolicy(max_media_bytes=2**20)))
    config = uvicorn.Config(app, http=protocol.BoundedH11Protocol, ws="none", lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol.BoundedH11Protocol(config, state, {}), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for connection in list(state.connections):
        connection.transport.abort()
    await asyncio.gather(*state.tasks, return_exceptions=True)


async def talk(port: int, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Sends the pieces with pauses between them; returns what came until the server closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        return await asyncio.wait_for(reader.read(), SOON_S)
    finally:
        writer.close()


HEALTH = b"GET /hc HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("before", [b"", HEALTH], ids=["first request", "second request"])
async def test_headers_have_a_deadline(port: int, monkeypatch: pytest.MonkeyPatch, before: bytes) -> None:
    monkeypatch.setattr(protocol, "HEADERS_DEADLINE_S", 0.3)
    reply = await talk(port, before, *[b"GET /hc HTTP/1.1\r\n", b"A: b\r\n", b"C: d\r\n"], pause_s=0.05)
    assert reply.count(b"HTTP/1.1 200") == (1 if before else 0)


async def test_a_connection_that_says_nothing_is_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADERS_DEADLINE_S", 0.1)
    assert await talk(port) == b""


async def test_a_body_that_trickles_is_refused(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "GRACE_S", 0.2)
    monkeypatch.setattr(exchange, "LINGER_S", 0.5)
    head = b"POST /asr HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    reply = await talk(port, head, *[b"x"] * 5, pause_s=0.05)
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in reply
    assert b"connection: close" in reply


@pytest.mark.parametrize("headers", [b"X: " + b"x" * 70_000 + b"\r\n", b"X: y\r\n" * 2_000])
async def test_headers_are_bounded(port: int, headers: bytes) -> None:
    reply = await talk(port, b"GET /hc HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + headers + b"\r\n")
    assert reply.split(b" ")[1] in {b"431", b"400"}
    assert b'"code":"' in reply


async def test_a_refused_client_that_never_stops_sending_is_dropped(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "LINGER_S", 0.2)
    head = b"POST /asr HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + bytes(2**16) + b"\r\n"
    with pytest.raises(ConnectionError):
        await talk(port, head, *[chunk] * 2_000, pause_s=0.001)


async def test_nonsense_after_the_reply_ends_the_connection_and_nothing_else(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"POST /asr HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data\r\n"
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    reply = await talk(port, head + b"3\r\nabc\r\n", b"zz\r\nnonsense\r\n", pause_s=0.2)
    assert reply.startswith(b"HTTP/1.1 415 ")
    assert reply.count(b"HTTP/1.1") == 1
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


async def test_one_connection_carries_many_requests(port: int) -> None:
    audio = b"POST /asr HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
    last = HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    reply = await talk(port, audio + HEALTH + audio + last)
    assert reply.count(b"HTTP/1.1 200 OK") == 4


async def test_who_asks_for_a_websocket_gets_a_plain_answer_and_the_log_no_advice(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    wish = b"GET /hc HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n"
    assert (await talk(port, wish)).startswith(b"HTTP/1.1 200")
    assert "WebSocket" not in caplog.text
