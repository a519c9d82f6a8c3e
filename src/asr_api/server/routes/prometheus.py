"""`GET /metrics`, the metrics for Prometheus; on a port of its own with `METRICS_PORT`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from fastapi import APIRouter, Response

from asr_api.errors import SettingsError
from asr_api.metrics import Metrics
from asr_api.server.listen import EVERYWHERE


def metrics_router(metrics: Metrics) -> APIRouter:
    router = APIRouter()

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def render_metrics() -> Response:
        """Counters, gauges and histograms as text."""
        return Response(metrics.render(), media_type=metrics.content_type)

    return router


@contextlib.contextmanager
def metrics_server(metrics: Metrics, host: str, port: int | None) -> Iterator[None]:
    """Serves the metrics on this port in a thread, if there is one. Raises SettingsError."""
    if port is None:
        yield
        return
    address = "0.0.0.0" if host == EVERYWHERE else host.strip("[]")  # noqa: S104  # the meaning of *
    with contextlib.ExitStack() as serving:
        try:
            serving.enter_context(metrics.served(address, port))
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            sentence = f"METRICS_PORT is {port}, where the server cannot listen ({reason}); set another one."
            raise SettingsError(sentence) from None
        yield
