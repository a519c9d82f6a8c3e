"""`GET /hc`, the health of the engine, and `GET /livez`, which answers while the process does."""

from __future__ import annotations

from fastapi import APIRouter, Response

from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.openapi import error_responses
from asr_api.server.schemas import HealthReply


def health_router(handle: ServiceHandle) -> APIRouter:
    router = APIRouter()

    @router.head("/hc", include_in_schema=False)
    @router.get("/hc", summary="Health", responses=error_responses(503))
    async def check_health(response: Response) -> HealthReply:
        """200 when the engine is ready; 503 while the model is loaded, the engine restarts or the server drains."""
        handle.ready_service().pool.get().check_ready()
        response.headers["cache-control"] = "no-store"
        return HealthReply()

    @router.head("/livez", include_in_schema=False)
    @router.get("/livez", summary="Liveness")
    async def check_liveness(response: Response) -> HealthReply:
        """200 while the process answers, also while the model is loaded or the engine restarts."""
        response.headers["cache-control"] = "no-store"
        return HealthReply()

    return router
