"""HTTP protocol: slow, oversized and malformed requests on a real loopback socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from functools import partial

import pytest
import uvicorn
from uvicorn.server import ServerState

from asr_api.server import connection_limit, http_protocol, refused_connection, upload_slots
from asr_api.server.connection_limit import ConnectionLimit
from asr_api.server.middleware import early_reply
from asr_api.server.refused_connection import RefusedConnections
from tests.server.fakes import FakeService, open_app

pytestmark = pytest.mark.anyio
SOON_S = 5
MAX_CONNECTIONS = 10


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = open_app(FakeService().handle())
    config = uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_config=None)
    config.load()
    state, limit, refused = ServerState(), ConnectionLimit(MAX_CONNECTIONS), RefusedConnections()
    open_protocol = partial(http_protocol.BoundedH11Protocol, config, state, {}, limit=limit, refused=refused)
    server = await asyncio.get_running_loop().create_server(open_protocol, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for connection in list(state.connections):
        connection.transport.abort()
    await asyncio.gather(*state.tasks, return_exceptions=True)


async def talk(port: int, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Sends the pieces with pauses between them; returns the bytes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        return await asyncio.wait_for(reader.read(), SOON_S)
    finally:
        writer.close()


POST = b"POST /asr HTTP/1.1\r\nHost: localhost\r\n"
HEALTH = b"GET /hc HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("before", [b"", HEALTH], ids=["first request", "second request"])
async def test_headers_have_a_deadline(port: int, monkeypatch: pytest.MonkeyPatch, before: bytes) -> None:
    monkeypatch.setattr(http_protocol, "HEADERS_DEADLINE_S", 0.3)
    reply = await talk(port, before, *[b"GET /hc HTTP/1.1\r\n", b"A: b\r\n", b"C: d\r\n"], pause_s=0.05)
    assert reply.count(b"HTTP/1.1 200") == (1 if before else 0)


async def test_a_silent_connection_is_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEADERS_DEADLINE_S", 0.1)
    assert await talk(port) == b""


async def test_a_body_that_arrives_too_slowly_is_refused(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_slots, "GRACE_S", 0.2)
    monkeypatch.setattr(early_reply, "LINGER_S", 0.5)
    head = POST + b"Content-Length: 1000\r\n\r\n"
    reply = await talk(port, head, *[b"x"] * 5, pause_s=0.05)
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in reply
    assert b"connection: close" in reply


@pytest.mark.parametrize("headers", [b"X: " + b"x" * 70_000 + b"\r\n", b"X: y\r\n" * 2_000])
async def test_headers_are_bounded(port: int, headers: bytes) -> None:
    reply = await talk(port, b"GET /hc HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + headers + b"\r\n")
    assert reply.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"headers_too_large"' in reply


async def test_the_headers_of_a_pipelined_request_have_a_deadline(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEADERS_DEADLINE_S", 0.2)
    assert (await talk(port, HEALTH + b"GET /")).startswith(b"HTTP/1.1 200 ")


async def test_chunks_of_one_byte_are_refused(port: int, caplog: pytest.LogCaptureFixture) -> None:
    head = POST + b"X-Request-Id: tiny-chunks\r\nTransfer-Encoding: chunked\r\n\r\n"
    with caplog.at_level("INFO"):
        reply = await talk(port, head, *[b"1\r\nR\r\n" * 200] * 3, pause_s=0.01)
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert reply.count(b"HTTP/1.1") == 1
    assert b"send larger ones" in reply
    assert "tiny-chunks malformed request of 127.0.0.1: 400 invalid_request" in caplog.messages
    assert not any(record.exc_info for record in caplog.records)


async def test_an_unread_reply_is_given_up(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_protocol, "UNREAD_S", 0.2)
    with socket.socket() as wire, caplog.at_level("INFO"):
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        wire.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(wire, ("127.0.0.1", port))
        request = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
        await loop.sock_sendall(wire, request * 10)
        async with asyncio.timeout(SOON_S):
            while "did not read its reply" not in caplog.text:  # noqa: ASYNC110  # a line in a log
                await asyncio.sleep(0.05)
        assert (await read_all(wire)).count(b"HTTP/1.1 200") < 10


async def read_all(wire: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while part := await asyncio.wait_for(asyncio.get_running_loop().sock_recv(wire, 65536), SOON_S):
            received += part
    return received


async def test_a_reply_that_is_read_slowly_is_sent_to_its_end(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "UNREAD_S", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**14)
    writer.write(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    num_bytes = 0
    while part := await reader.read(2**17):
        num_bytes += len(part)
        await asyncio.sleep(0.01)
    assert num_bytes > 10**6
    writer.close()


async def test_beyond_the_limit_a_connection_gets_503_unless_another_is_idle(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One client may hold half of them."""
    monkeypatch.setattr(connection_limit, "GRACE_S", 0.0)
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS // 2)]
    for _, writer in held:
        writer.write(POST + b"Content-Length: 5\r\n\r\nh")
    await asyncio.sleep(0.1)
    refused = await talk(port, HEALTH)
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"server_overloaded"' in refused
    assert b"\r\nretry-after: " in refused
    held[0][1].write(b"ello")
    assert (await held[0][0].readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")
    await asyncio.sleep(0.1)
    assert (await talk(port, HEALTH.replace(b"Host", b"Connection: close\r\nHost"))).startswith(b"HTTP/1.1 200 ")
    for _, writer in held:
        writer.close()


async def test_refused_connections_that_send_nothing_are_closed(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(refused_connection, "PATIENCE_S", 0.2)
    monkeypatch.setattr(refused_connection, "MAX_WAITING", 2)
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS // 2 + 5)]
    for reader, _ in opened[MAX_CONNECTIONS // 2 :]:
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), SOON_S) == b""
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.messages[0].startswith("new connections are refused")
    for _, writer in opened:
        writer.close()


async def test_connections_that_were_closed_do_not_count(port: int) -> None:
    last = HEALTH.replace(b"Host", b"Connection: close\r\nHost")
    for request in (last, b"no HTTP\r\n\r\n") * MAX_CONNECTIONS:
        assert (await talk(port, request)).startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 400 "))


@pytest.mark.parametrize(
    "request_bytes",
    [
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        POST + b"Content-Length: -1\r\n\r\n",
        b"GET /hc HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"\x16\x03\x01 this is TLS\r\n\r\n",
    ],
)
async def test_a_malformed_request_gets_the_error_shape_and_a_line_in_the_log(
    port: int, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        reply = await talk(port, request_bytes)
    request_id = reply.partition(b"x-request-id: ")[2].partition(b"\r\n")[0].decode()
    assert [message for message in caplog.messages if request_id in message and " 400 invalid_request" in message]
    assert "Invalid HTTP request" not in caplog.text
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"invalid_request"' in reply
    assert b"\r\nx-request-id: " in reply


async def test_a_refused_client_that_never_stops_sending_is_dropped(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_reply, "LINGER_S", 0.2)
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + bytes(2**16) + b"\r\n"
    with pytest.raises(ConnectionError):
        await talk(port, head, *[chunk] * 2_000, pause_s=0.001)


@pytest.mark.parametrize("limit_s", [0.3, 60.0])
async def test_a_refused_client_is_read_to_the_end_of_a_known_length(
    port: int, monkeypatch: pytest.MonkeyPatch, limit_s: float
) -> None:
    """Clients such as Python's requests read no reply before they have sent everything."""
    monkeypatch.setattr(early_reply, "LINGER_S", 0.2)
    monkeypatch.setattr(early_reply, "MAX_LINGER_S", limit_s)
    head = POST + b"Content-Encoding: gzip\r\nContent-Length: 655360\r\n\r\n"
    pieces = [bytes(2**16)] * 10
    if limit_s < 1:
        with pytest.raises(ConnectionError):
            await talk(port, head, *pieces, pause_s=0.1)
    else:
        assert (await talk(port, head, *pieces, pause_s=0.1)).startswith(b"HTTP/1.1 415 ")


async def test_malformed_data_after_the_reply_is_not_logged(port: int, caplog: pytest.LogCaptureFixture) -> None:
    head = POST + b"Content-Type: multipart/form-data\r\nTransfer-Encoding: chunked\r\n\r\n"
    reply = await talk(port, head + b"3\r\nabc\r\n", b"zz\r\nnonsense\r\n", pause_s=0.2)
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert reply.count(b"HTTP/1.1") == 1
    assert not any(record.exc_info for record in caplog.records)


async def test_one_connection_carries_many_requests(port: int) -> None:
    audio = POST + b"Content-Length: 5\r\n\r\nhello"
    last = HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    reply = await talk(port, audio + HEALTH + audio + last)
    assert reply.count(b"HTTP/1.1 200 OK") == 4


@pytest.mark.parametrize(("protocol", "status"), [(b"websocket", b"400"), (b"h2c", b"200")])
async def test_an_upgrade_is_not_logged(
    port: int, caplog: pytest.LogCaptureFixture, protocol: bytes, status: bytes
) -> None:
    head = b"GET /hc HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: "
    assert (await talk(port, head + protocol + b"\r\n\r\n")).startswith(b"HTTP/1.1 " + status)
    assert "WebSocket" not in caplog.text
