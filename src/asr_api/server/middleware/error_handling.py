"""Error middleware: exceptions of the app become error responses, in the shape of the router they belong to."""

from __future__ import annotations

import errno
import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from asr_api.errors import AsrError, InternalError, ServerOverloaded
from asr_api.server.error_responses import ErrorShapes
from asr_api.server.middleware.access_log import CLIENT_DISCONNECTED
from asr_api.server.middleware.request_scope import request_scope

logger = logging.getLogger(__name__)

RETRY_S = 5
TOO_MANY_FILES = "The server has too many open files; try again in a moment."
INTERNAL = "The server failed unexpectedly; its log has the details of request {request_id}."


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
        except Exception as failure:
            if isinstance(failure, OSError) and failure.errno in {errno.EMFILE, errno.ENFILE}:
                error = ServerOverloaded(TOO_MANY_FILES, retry_after_s=RETRY_S)
            else:
                logger.exception("request %s failed unexpectedly", request_id)
                error = InternalError(INTERNAL.format(request_id=request_id))
        else:
            return
        state["error_code"] = error.code
        if "status" not in state:  # else the reply can only be broken off
            await self._shapes.response(scope["path"], error, request_id)(scope, receive, send)
