"""Error middleware: exceptions of the app become error responses, in the shape of the router they belong to."""

from __future__ import annotations

import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr_api.errors import AsrError, InternalError
from asr_api.server.error_responses import ErrorShapes
from asr_api.server.middleware.request_scope import request_scope

logger = logging.getLogger(__name__)


class ErrorMiddleware:
    def __init__(self, app: ASGIApp, shapes: ErrorShapes) -> None:
        self._app = app
        self._shapes = shapes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def send_noting_begin(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        request_id = request_scope(scope).request_id
        error: AsrError | None = None
        try:
            await self._app(scope, receive, send_noting_begin)
        except ClientDisconnect:  # no reply can reach the client
            scope["state"]["error_code"] = "client_disconnected"
        except AsrError as failure:
            error = failure
        except Exception:
            logger.exception("request %s failed unexpectedly", request_id)
            error = InternalError(
                f"The server failed unexpectedly; report it with the request_id {request_id}, its log has the details."
            )
        if error is not None:
            scope["state"]["error_code"] = error.code
            if not has_begun:  # otherwise breaking off the reply is all that is left
                await self._shapes.response(scope["path"], error, request_id)(scope, receive, send)
