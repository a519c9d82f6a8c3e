"""CORS middleware: Starlette's, which answers pages of other origins, with our error for a refused preflight."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from asr_api.errors import OriginNotAllowed
from asr_api.server.error_responses import ErrorShapes
from asr_api.server.middleware.request_scope import request_scope

FOREIGN_PAGE = (
    "Web pages of another origin may not use this server; send the request from your own, or name the origin in "
    "CORS_ORIGINS."
)


class PageOriginMiddleware(CORSMiddleware):
    """Outside of the error middleware, so that pages can read errors."""

    def __init__(self, app: ASGIApp, origins: Sequence[str], shapes: ErrorShapes) -> None:
        """origins: of pages that may use the server; `*` is all of them"""
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["*"],  # valid for requests without credentials, and no others are allowed
        )
        self._shapes = shapes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except OriginNotAllowed as error:
            scope["state"]["error_code"] = error.code
            response = self._shapes.response(scope["path"], error, request_scope(scope).request_id)
            await response(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Raises OriginNotAllowed for another origin, and for a method that no page needs."""
        response = super().preflight_response(request_headers)
        if response.status_code != 200:
            raise OriginNotAllowed(FOREIGN_PAGE)
        return response
