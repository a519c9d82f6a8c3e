"""Middleware: the status in the access log when a client leaves before or during the reply."""

from __future__ import annotations

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from asr_api.server.error_responses import ErrorShapes
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.middleware.access_log import AccessLogMiddleware
from asr_api.server.middleware.error_handling import ErrorMiddleware
from asr_api.server.middleware.request_scope import RequestScopeMiddleware

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("has_begun", "outcome"), [(True, "200"), (False, "499")])
async def test_a_reply_that_has_begun_keeps_its_status_in_the_log(
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
    assert f" GET /a {outcome} client_disconnected " in caplog.text
