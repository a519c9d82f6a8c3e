"""One request and its reply on the wire: the body is counted and timed, the reply gets the headers that all have.

A reply may come before the body was read (a refusal must not wait for an upload). Then the connection ends, but not at
once: a client that is still sending would never see the reply, so what it sends is dropped for a moment first.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from asr_api.errors import BodyTooLarge, RequestTimeout

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
GRACE_S = 15.0  # waiting for the body that is always forgiven ...
MIN_BYTES_PER_S = 16 * 1024  # ... and the rate that is asked for after it
LINGER_S = 2.0


class RequestLimits:
    def __init__(self, scope: Scope, receive: Receive, send: Send, max_body_bytes: int) -> None:
        self._receive = receive
        self._send = send
        self._max_body_bytes = max_body_bytes
        self.headers = Headers(scope=scope)
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.status: int | None = None
        self.error_code = ""
        self.started_s = time.perf_counter()
        given_id = self.headers.get("x-request-id", "")
        self.request_id = given_id if REQUEST_ID.fullmatch(given_id) else uuid.uuid4().hex
        has_body = "transfer-encoding" in self.headers or self.headers.get("content-length", "0") != "0"
        self._is_body_read = not has_body
        self._is_client_silent = self.headers.get("expect", "").lower() == "100-continue"
        self._num_bytes = 0
        self._waited_s = 0.0

    def check_size(self, num_bytes: int) -> None:
        """Raises BodyTooLarge."""
        if num_bytes > self._max_body_bytes:
            limit_mb = self._max_body_bytes / 1024**2
            raise BodyTooLarge(f"The body has more than {limit_mb:g} MiB (MAX_UPLOAD_MB); compress or split it.")

    async def receive(self) -> Message:
        """As ASGI's receive. Raises BodyTooLarge and RequestTimeout."""
        if self._is_body_read:
            return await self._receive()
        self._is_client_silent = False  # from here on it is told to continue
        started_s = time.perf_counter()
        patience_s = max(GRACE_S, self._num_bytes / MIN_BYTES_PER_S) - self._waited_s
        try:
            async with asyncio.timeout(patience_s):  # wait_for of Python 3.11 may swallow a cancellation
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout(
                f"The body came slower than {MIN_BYTES_PER_S // 1024} KiB/s; use a faster line, or send a link to it."
            ) from None
        self._waited_s += time.perf_counter() - started_s
        self._is_body_read = message["type"] == "http.disconnect" or not message.get("more_body", False)
        self._num_bytes += len(message.get("body", b""))
        self.check_size(self._num_bytes)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            headers["x-content-type-options"] = "nosniff"
            if not self._is_body_read:
                headers["connection"] = "close"
        elif not message.get("more_body", False) and not self._is_body_read and not self._is_client_silent:
            await self._send({**message, "more_body": True})  # all of the reply is out; only its end is held back
            await self._linger()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _linger(self) -> None:
        deadline_s = time.perf_counter() + LINGER_S
        while not self._is_body_read and (left_s := deadline_s - time.perf_counter()) > 0:
            try:
                async with asyncio.timeout(left_s):
                    message = await self._receive()
            except TimeoutError:
                return
            self._is_body_read = not message.get("more_body", False)
