"""Access log middleware: one line per request, without query, body or secrets."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from asr_api.server.middleware.request_scope import request_scope

logger = logging.getLogger(__name__)

QUIET_PATHS = frozenset({"/hc", "/metrics"})  # polled every few seconds
CLIENT_CLOSED_REQUEST = 499


class AccessLogMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_s = time.perf_counter()
        try:
            await self._app(scope, receive, send)
        finally:
            level = logging.DEBUG if scope["path"] in QUIET_PATHS else logging.INFO
            target = scope.get("raw_path", b"").decode("ascii", "replace")[:200]
            # A reply that had begun when the client left keeps its status; the code shows that it was broken off.
            status = scope["state"].get("status", CLIENT_CLOSED_REQUEST)
            outcome = f"{status} {scope['state'].get('error_code', '')}".rstrip()
            elapsed_ms = (time.perf_counter() - started_s) * 1000
            request_id = request_scope(scope).request_id
            logger.log(level, "%s %s %s %s %.0f ms", request_id, scope["method"], target, outcome, elapsed_ms)
