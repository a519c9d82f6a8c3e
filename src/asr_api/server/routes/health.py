"""`GET /hc` tells the truth about the engine, and `GET /metrics` counts; both answer whatever else is going on."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from asr_api import __version__
from asr_api.metrics import Metrics
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.openapi import ERROR_503, HEALTH_RESPONSE


def health_router(entrance: ServiceHandle, metrics: Metrics) -> APIRouter:
    router = APIRouter()

    @router.head("/hc", include_in_schema=False)
    @router.get("/hc", summary="Health", responses={200: HEALTH_RESPONSE, 503: ERROR_503})
    async def check_health() -> JSONResponse:
        """200 when the engine can work; 503 while the model is loaded, the engine restarts or the server drains."""
        entrance.enter().check_ready()
        return JSONResponse({"status": "ok", "version": __version__}, headers={"cache-control": "no-store"})

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def render_metrics() -> Response:
        """Counters, gauges and histograms as text."""
        return Response(metrics.render(), media_type=metrics.content_type)

    return router
