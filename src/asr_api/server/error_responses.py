"""Error responses: errors as HTTP replies with headers for retries, in one body shape per router."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.responses import JSONResponse

from asr_api.errors import AsrError, ServerDraining
from asr_api.server.schemas import ErrorReply

BodyShape = Callable[[AsrError, str], dict[str, object]]
"""error, request id → the JSON body"""


def asr_error_body(error: AsrError, request_id: str) -> dict[str, object]:
    """`{"error": sentence, "code", "request_id"}`"""
    return ErrorReply(error=str(error), code=error.code, request_id=request_id).model_dump()


class ErrorShapes:
    """The body shape of each router, by the beginning of its paths; also for paths and methods that do not exist."""

    def __init__(self, by_prefix: Mapping[str, BodyShape]) -> None:
        """by_prefix: such as {"/v1": …}; every other path has the shape of `POST /asr`"""
        self._by_prefix = sorted(by_prefix.items(), key=lambda item: -len(item[0]))

    def response(self, path: str, error: AsrError, request_id: str) -> JSONResponse:
        shapes = (shape for prefix, shape in self._by_prefix if path == prefix or path.startswith(f"{prefix}/"))
        return error_response(error, request_id, next(shapes, asr_error_body))


def error_response(error: AsrError, request_id: str, shape: BodyShape = asr_error_body) -> JSONResponse:
    headers = {"cache-control": "no-store"}
    if error.is_retryable:
        headers["retry-after"] = str(max(1, error.retry_after_s or 1))
    else:
        headers["x-should-retry"] = "false"
    if isinstance(error, ServerDraining):
        headers["connection"] = "close"  # so that the client's next request goes to another server
    return JSONResponse(shape(error, request_id), error.status, headers)
