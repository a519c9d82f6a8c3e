"""Error middleware: exceptions of the app become error responses, in the shape of the router they belong to."""

from __future__ import annotations

import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from asr_api.errors import AsrError, InternalError
from asr_api.server.error_responses import ErrorShapes
from asr_api.server.middleware.access_log import CLIENT_DISCONNECTED
from asr_api.server.middleware.request_scope import request_scope

logger = logging.getLogger(__name__)


class ErrorMiddleware:
    def __init__(self, app: ASGIApp, shapes: ErrorShapes) -> None:
        self._app = app
        self._shapes = shapes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state, request_id = scope["state"], request_scope(scope).request_id
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:  # no reply can reach the client
            state["error_code"] = CLIENT_DISCONNECTED
            return
        except AsrError as failure:
            error = failure
        except Exception:
            logger.exception("request %s failed unexpectedly", request_id)
            error = InternalError(f"The server failed unexpectedly; its log has the details of request {request_id}.")
        else:
            return
        state["error_code"] = error.code
        if "status" not in state:  # else the reply can only be broken off
            await self._shapes.response(scope["path"], error, request_id)(scope, receive, send)
