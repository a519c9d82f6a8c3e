"""`GET /metrics`, the metrics for Prometheus; on a port of its own with `METRICS_PORT`."""

from __future__ import annotations

import uuid

from fastapi import APIRouter, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from asr_api.errors import NotFound
from asr_api.metrics import Metrics
from asr_api.server.error_responses import error_response
from asr_api.server.middleware.early_reply import EarlyReplyMiddleware

PATH = "/metrics"
METRICS_CONNECTIONS = 16  # to the port of its own


def metrics_router(metrics: Metrics) -> APIRouter:
    router = APIRouter()

    @router.get(PATH, summary="Metrics for Prometheus", response_class=Response)
    async def render_metrics() -> Response:
        """Counters, gauges and histograms as text."""
        return _page(metrics)

    return router


def metrics_app(metrics: Metrics) -> ASGIApp:
    """The whole app of `METRICS_PORT`: it has this page alone."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        is_page = (scope["method"], scope["path"]) == ("GET", PATH)
        await (_page(metrics) if is_page else _not_found())(scope, receive, send)

    return EarlyReplyMiddleware(answer)


def _page(metrics: Metrics) -> Response:
    return Response(metrics.render(), media_type=metrics.content_type)


def _not_found() -> Response:
    return error_response(NotFound("This port has the metrics alone; send GET /metrics."), uuid.uuid4().hex)
