"""Limits middleware: requests in another version of HTTP, or for a WebSocket, get an error of one sentence."""

from __future__ import annotations

import pytest
from starlette.types import Message, Receive, Scope, Send

from asr_api.errors import InvalidRequest
from asr_api.server.middleware.limits import LimitsMiddleware
from tests.server.fakes import FakeService, client

pytestmark = pytest.mark.anyio


async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})


async def status_of(version: str) -> int:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await LimitsMiddleware(answer, 10)({"type": "http", "http_version": version, "headers": []}, receive, send)
    return int(sent[0]["status"])


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_http_1_is_served(version: str) -> None:
    assert await status_of(version) == 200


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0", "2"])
async def test_another_version_of_http_is_refused(version: str) -> None:
    with pytest.raises(InvalidRequest, match=f"The request is HTTP/{version}; send HTTP/1.1"):
        await status_of(version)


@pytest.mark.parametrize(("path", "in_openai_shape"), [("/v1/listen", False), ("/v1/realtime", True), ("/hc", False)])
async def test_a_websocket_is_refused_with_a_remedy(path: str, in_openai_shape: bool) -> None:
    async with client(FakeService()) as http:
        reply = await http.get(path, headers={"upgrade": "WebSocket", "connection": "Upgrade"})
        other = await http.get("/hc", headers={"upgrade": "h2c", "connection": "Upgrade, HTTP2-Settings"})
    assert reply.status_code == 400
    assert "WebSockets, and with them live audio, are not served; send the recording by POST" in reply.text
    assert ("error" in reply.json() and isinstance(reply.json()["error"], dict)) == in_openai_shape
    assert other.status_code == 200
