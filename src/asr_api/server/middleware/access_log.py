"""Access log middleware: one line for each request, with its times and its outcome, and without anything secret."""

from __future__ import annotations

import logging
import re
import time
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr_api.server.middleware.request_scope import request_scope

logger = logging.getLogger(__name__)

QUIET_PATHS = frozenset({"/hc", "/livez", "/metrics"})  # polled every few seconds
PAGE_FILES = "/page/"  # some forty for each visitor
CLIENT_CLOSED_REQUEST = 499
CLIENT_DISCONNECTED: Literal["client_disconnected"] = "client_disconnected"
MAX_PATH_BYTES = 100
NOT_PLAIN = re.compile(rb"[^A-Za-z0-9/_.-]")
IN_MESSAGE = frozenset({"message", "request_id", "method", "route", "status", "error_code"})

Outcome = Literal["ok", "refused", "failed", "client_disconnected", "partial"]
"""partial: the reply had begun and could not be ended"""


class AccessLogMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_s, is_ended = time.monotonic(), False
        record = request_scope(scope).record

        async def receive_counted() -> Message:
            message = await receive()
            record.received_bytes += len(message.get("body", b""))
            return message

        try:
            await self._app(scope, receive_counted, send)
            is_ended = True
        finally:
            path: str = scope["path"]
            level = logging.DEBUG if path in QUIET_PATHS or path.startswith(PAGE_FILES) else logging.INFO
            if logger.isEnabledFor(level):
                logger.log(level, AccessLine(_facts(scope, time.monotonic() - started_s, is_ended=is_ended)))


class AccessLine(dict[str, object]):
    """The facts of one request: the fields of a JSON object, or as text the usual ones first, and the rest by name."""

    def __str__(self) -> str:
        rest = " ".join(f"{name}={value}" for name, value in self.items() if name not in IN_MESSAGE)
        return f"{self['request_id']} {self['message']} {rest}"


def logged_route(scope: Scope) -> str:
    """The template of the route; of an address that is none, the beginning that can hold no link and no query."""
    if route := getattr(scope.get("route"), "path", ""):
        return str(route)
    path: bytes = scope.get("raw_path") or b""
    plain = NOT_PLAIN.split(path[:MAX_PATH_BYTES], maxsplit=1)[0]
    return plain.decode("ascii") + ("…" if len(path) > len(plain) else "")


def _facts(scope: Scope, elapsed_s: float, *, is_ended: bool) -> dict[str, object]:
    request, state = request_scope(scope), scope["state"]
    record, code = request.record, state.get("error_code", "")
    # A reply that had begun when the client left keeps its status; the outcome shows that it was broken off.
    status = state.get("status", CLIENT_CLOSED_REQUEST)
    method, route = scope["method"][:20], logged_route(scope)
    facts = {
        "message": " ".join(filter(None, (method, route, str(status), code))),
        "request_id": request.request_id,
        "outcome": _outcome(status, code, is_ended=is_ended),
        "total_s": round(elapsed_s, 4),
        "method": method,
        "route": route,
        "status": status,
        "error_code": code,
        "client": request.client,
        "account": request.account,
        "model": record.model,
        "audio_s": record.audio_ms / 1000 or "",
        "received_bytes": record.received_bytes or "",
        **{f"{stage}_s": round(times.total_s, 4) for stage, times in record.stages.items()},
        "trace_id": record.traceparent[3:35],
    }
    return {name: value for name, value in facts.items() if value != ""}


def _outcome(status: int, code: str, *, is_ended: bool) -> Outcome:
    if code == CLIENT_DISCONNECTED:
        return CLIENT_DISCONNECTED
    if status < 400:
        return "ok" if is_ended and not code else "partial"
    return "refused" if is_ended and (status < 500 or status == 503) else "failed"
