"""The one layer around the app: who may come in, what is refused before its body is read, and how it all ends.

In: an ASGI request. Out: the app's reply, or an error's; and one line in the log, without query, body or secrets.
Knows the wire, and nothing about audio.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import re
import time

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from asr_api.errors import (
    AsrError,
    InternalError,
    InvalidHost,
    InvalidRequest,
    OriginNotAllowed,
    UnsupportedContentEncoding,
)
from asr_api.server.error_responses import HeadersTooLarge, error_response
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.request_limits import RequestLimits

logger = logging.getLogger(__name__)

HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
PORT = re.compile(r":\d+$")
QUIET_PATHS = frozenset({"/hc", "/metrics"})  # asked every few seconds by machines
# Proxies that name themselves, or whom they speak for.
FORWARDING_HEADER = re.compile(r"forward|client-ip|real-ip|connecting-ip|^via$|^cdn-loop$|^x-envoy-")
CLIENT_CLOSED_REQUEST = 499
MAX_HEADERS, MAX_HEADERS_BYTES = 100, 32 * 1024


class RequestMiddleware:
    """work_paths: paths whose POST costs the engine's time."""

    def __init__(
        self, app: ASGIApp, *, entrance: ServiceHandle, max_body_bytes: int, work_paths: frozenset[str]
    ) -> None:
        self._app = app
        self._entrance = entrance
        self._max_body_bytes = max_body_bytes
        self._work_paths = work_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = RequestLimits(scope, receive, send, self._max_body_bytes)
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        try:
            await self._answer(exchange, scope)
        finally:
            _log(exchange, scope)

    async def _answer(self, exchange: RequestLimits, scope: Scope) -> None:
        try:
            is_work = exchange.method == "POST" and exchange.path in self._work_paths
            self._check(exchange, is_work=is_work)
            with self._entrance.inside() if is_work else contextlib.nullcontext():
                await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:  # there is nobody to reply to
            exchange.status = CLIENT_CLOSED_REQUEST
        except AsrError as error:
            await _fail(exchange, scope, error)
        except Exception:
            logger.exception("request %s failed unexpectedly", exchange.request_id)
            sentence = "Something went wrong on the server; its log has the details under this request_id."
            await _fail(exchange, scope, InternalError(sentence))

    def _check(self, exchange: RequestLimits, *, is_work: bool) -> None:
        """Cheap checks first; nothing is read."""
        headers = exchange.headers
        if sum(len(name) + len(value) for name, value in headers.raw) > MAX_HEADERS_BYTES or len(headers) > MAX_HEADERS:
            raise HeadersTooLarge(f"There are more than {MAX_HEADERS} headers or {MAX_HEADERS_BYTES:,} bytes of them.")
        if "host" in headers and not HOST.fullmatch(headers["host"]):
            raise InvalidHost("The Host header is not a host name with an optional port; correct it.")
        if "transfer-encoding" in headers and "content-length" in headers:
            raise InvalidRequest("Content-Length and Transfer-Encoding exclude each other; send only one.")
        if is_work:
            _check_origin(headers)
            self._entrance.enter().check_capacity()
            encoding = headers.get("content-encoding", "identity").strip().lower()
            if encoding not in {"", "identity"}:
                raise UnsupportedContentEncoding(
                    f"Content-Encoding {encoding[:40]!r} is not supported; send the bytes of the file as they are."
                )
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            raise InvalidRequest("Content-Length is not a number; correct it or leave it out.")
        exchange.check_size(int(length))


async def _fail(exchange: RequestLimits, scope: Scope, error: AsrError) -> None:
    exchange.error_code = error.code
    if exchange.status is None:  # else a reply has begun, and breaking it off is all that is left
        await error_response(error, exchange.request_id)(scope, exchange.receive, exchange.send)


def is_local_client(scope: Scope) -> bool:
    """Is the client a program on this machine, with no proxy between, as far as it can be seen?

    The Host must be a loopback name as well: a web page can make a browser connect here under a name of its own. And
    HTTP/1.0 is what nginx speaks to a server behind it, without a word of its client, unless told otherwise.
    """
    headers = Headers(scope=scope)
    is_forwarded = scope["http_version"] == "1.0" or any(FORWARDING_HEADER.search(name) for name in headers)
    host = PORT.sub("", headers.get("host", ""))
    peer: str = (scope.get("client") or ("",))[0]
    return _is_loopback(peer) and not is_forwarded and (host.lower() == "localhost" or _is_loopback(host))


def _is_loopback(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def _check_origin(headers: Headers) -> None:
    """Browsers say which page sends; other people's pages may not spend this machine's time or read its files."""
    origin = headers.get("origin")
    own = (headers.get("host"), headers.get("x-forwarded-host"))
    if origin is not None and origin.partition("://")[2] not in own:
        raise OriginNotAllowed("Web pages of another origin may not use this server; send the request from your own.")


def _log(exchange: RequestLimits, scope: Scope) -> None:
    level = logging.DEBUG if exchange.path in QUIET_PATHS else logging.INFO
    target = scope.get("raw_path", b"").decode("ascii", "replace")[:200]
    elapsed_ms = (time.perf_counter() - exchange.started_s) * 1000
    outcome = f"{exchange.status} {exchange.error_code}".rstrip()
    logger.log(level, "%s %s %s %s %.0f ms", exchange.request_id, exchange.method, target, outcome, elapsed_ms)
