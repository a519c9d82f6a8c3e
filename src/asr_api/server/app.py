"""The HTTP app: its routes, the gate around them, and one shape for every error.

In: the entrance to the transcriber, the options and the metrics. Out: an ASGI app that any server can run.
"""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from asr_api import __version__
from asr_api.errors import AsrError, InvalidRequest
from asr_api.metrics import Metrics
from asr_api.server.app_options import AppOptions
from asr_api.server.error_responses import MethodNotAllowed, NotFound, error_response
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.middleware import RequestMiddleware
from asr_api.server.routes.asr import asr_router
from asr_api.server.routes.docs import docs_router
from asr_api.server.routes.health import health_router


def create_app(entrance: ServiceHandle, metrics: Metrics, options: AppOptions) -> FastAPI:
    app = FastAPI(
        title="asr-api",
        version=__version__,
        description="Audio in, text with timestamps out.",
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(asr_router(entrance, options))
    app.include_router(health_router(entrance, metrics))
    app.include_router(docs_router())
    app.add_middleware(
        RequestMiddleware,
        entrance=entrance,
        max_body_bytes=options.media.max_media_bytes,
        work_paths=frozenset({"/asr"}),
    )
    app.add_exception_handler(HTTPException, _reply_to_routing_error)
    return app


async def _reply_to_routing_error(request: Request, error: Exception) -> Response:
    """The router's own refusals, in our shape."""
    assert isinstance(error, HTTPException)  # noqa: S101  # what it is registered for
    known: AsrError = InvalidRequest("The request is not one that this server can answer; see /docs.")
    if error.status_code == 404:
        known = NotFound("There is nothing at this address; see /docs for what there is.")
    elif error.status_code == 405:
        known = MethodNotAllowed("This address does not take this method; see /docs for those it takes.")
    reply = error_response(known, request.state.request_id)
    reply.headers.update(error.headers or {})
    return reply
