"""Limits middleware: the only check of the HTTP version, of the headers and of the body's size."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr_api.errors import BodyTooLarge, HeadersTooLarge, InvalidHost, InvalidRequest

HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
HTTP_VERSIONS = {"1.0", "1.1"}  # a client of another version would take our reply, or its framing, for something else
MAX_FORM_BYTES = 2**20  # of a form around a file, whose own size is limited where it is spooled
MAX_HEADERS, MAX_HEADERS_BYTES = 100, 32 * 1024


class LimitsMiddleware:
    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises HeadersTooLarge, InvalidHost, InvalidRequest; BodyTooLarge also while the app reads the body."""
        headers = Headers(scope=scope)
        _check_version(scope["http_version"])
        _check_headers(headers)
        self._check_size(int(headers.get("content-length", "0")))
        num_bytes = 0

        async def receive_counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            self._check_size(num_bytes)
            return message

        await self._app(scope, receive_counted, send)

    def _check_size(self, num_bytes: int) -> None:
        if num_bytes > self._max_body_bytes + MAX_FORM_BYTES:
            limit_mb = self._max_body_bytes / 1024**2
            raise BodyTooLarge(f"The body has more than {limit_mb:g} MiB (MAX_UPLOAD_MB); compress or split it.")


def _check_version(version: str) -> None:
    if version not in HTTP_VERSIONS:
        raise InvalidRequest(f"The request is HTTP/{version}; send HTTP/1.1, or HTTP/1.0.")


def _check_headers(headers: Headers) -> None:
    if sum(len(name) + len(value) for name, value in headers.raw) > MAX_HEADERS_BYTES or len(headers) > MAX_HEADERS:
        raise HeadersTooLarge(f"More than {MAX_HEADERS} headers, or {MAX_HEADERS_BYTES:,} bytes of them; send fewer.")
    if "host" in headers and not HOST.fullmatch(headers["host"]):
        raise InvalidHost("The Host header is not a host name with an optional port; correct it.")
    if "transfer-encoding" in headers and "content-length" in headers:
        raise InvalidRequest("Content-Length and Transfer-Encoding exclude each other; send only one.")
    if not headers.get("content-length", "0").isdecimal():
        raise InvalidRequest("Content-Length is not a number; correct it or leave it out.")
    if "websocket" in headers.get("upgrade", "").lower():
        raise InvalidRequest(
            "WebSockets, and with them live audio, are not served; send the recording by POST, see /docs."
        )
