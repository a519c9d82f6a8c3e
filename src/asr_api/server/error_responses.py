"""Error responses: errors as HTTP replies with headers for retries, in one body shape per router."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.responses import JSONResponse

from asr_api.errors import AsrError, DeadlineExceeded, ServerDraining
from asr_api.formats.json import Json, partial_json
from asr_api.server.schemas import ErrorReply

BodyShape = Callable[[AsrError, str], dict[str, object]]
"""error, request id → the JSON body"""


def asr_error_body(error: AsrError, request_id: str) -> dict[str, object]:
    """`{"error": sentence, "code", "request_id"}`, and `partial_transcript`"""
    body = ErrorReply(error=str(error), code=error.code, request_id=request_id).model_dump(exclude_none=True)
    return body | partial_transcript(error)


def partial_transcript(error: AsrError) -> Json:
    """`{"partial": {"text", "chunks"}}`: what was transcribed before the deadline; empty for other errors."""
    return {"partial": partial_json(error.segments)} if isinstance(error, DeadlineExceeded) else {}


class ErrorShapes:
    """The body shape of each router, by the beginning of its paths; also for paths and methods that do not exist."""

    def __init__(
        self, by_prefix: Mapping[str, BodyShape], statuses: Mapping[str, Mapping[int, int]] | None = None
    ) -> None:
        """by_prefix: such as {"/v1": …}; every other path has the shape of `POST /asr`

        statuses: by prefix, those that its clients know in place of ours
        """
        self._by_prefix = sorted(by_prefix.items(), key=lambda item: -len(item[0]))
        self._statuses = statuses or {}

    def response(self, path: str, error: AsrError, request_id: str) -> JSONResponse:
        found = (item for item in self._by_prefix if path == item[0] or path.startswith(f"{item[0]}/"))
        prefix, shape = next(found, ("", asr_error_body))
        response = error_response(error, request_id, shape)
        response.status_code = self._statuses.get(prefix, {}).get(error.status, error.status)
        return response


def error_response(error: AsrError, request_id: str, shape: BodyShape = asr_error_body) -> JSONResponse:
    headers = {"cache-control": "no-store"}
    if error.is_retryable:
        retry_after_s = max(1, error.retry_after_s or 1)
        headers["retry-after"] = str(retry_after_s)
        headers["retry-after-ms"] = str(retry_after_s * 1000)  # OpenAI's clients read it first
    else:
        headers["x-should-retry"] = "false"
    if isinstance(error, ServerDraining):
        headers["connection"] = "close"  # so that the client's next request goes to another server
    return JSONResponse(shape(error, request_id), error.status, headers)
