"""Early reply middleware: closes the connection a moment after a reply that was sent before the body was read.

An error must not wait for an upload. But a client that is still sending would never see the reply if the connection
closed at once, so the rest of its body is read and dropped first: for a moment, or while it keeps coming if its length
is known. Many clients read no reply before they have sent everything, and take a closed connection for a dead server.
"""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_S = 2.0  # also the longest pause of a body whose length is known
MAX_LINGER_S = 60.0  # for such a body: a film of two hours, 230 MB, at 4 MB/s


class EarlyReplyMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(Headers(scope=scope), receive, send)
        await self._app(scope, body.receive, body.send)


class _Body:
    """Wraps `receive` and `send` of one request, and records whether its body was read."""

    def __init__(self, headers: Headers, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        self._is_read = not has_body
        self._has_known_length = "content-length" in headers
        self._awaits_continue = headers.get("expect", "").lower() == "100-continue"

    async def receive(self) -> Message:
        self._awaits_continue = False  # uvicorn tells the client to continue
        message = await self._receive()
        self._is_read = self._is_read or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._is_read:
            MutableHeaders(scope=message)["connection"] = "close"
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_last and not self._is_read and not self._awaits_continue:
            await self._send({**message, "more_body": True})  # the whole reply is sent; only its end is held back
            await self._drop_rest()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _drop_rest(self) -> None:
        deadline_s = time.perf_counter() + (MAX_LINGER_S if self._has_known_length else LINGER_S)
        while not self._is_read and (left_s := deadline_s - time.perf_counter()) > 0:
            try:
                async with asyncio.timeout(min(left_s, LINGER_S)):
                    await self.receive()
            except TimeoutError:
                return
