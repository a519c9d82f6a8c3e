"""Errors as HTTP replies: `{"error": sentence, "code", "request_id"}` with the headers that clients retry by.

Knows the error tree and nothing about what went wrong.
"""

from __future__ import annotations

from starlette.responses import JSONResponse

from asr_api.errors import AsrError, RequestError, ServerDraining


class NotFound(RequestError):
    code, status = "not_found", 404


class MethodNotAllowed(RequestError):
    code, status = "method_not_allowed", 405


class HeadersTooLarge(RequestError):
    code, status = "headers_too_large", 431


def error_response(error: AsrError, request_id: str) -> JSONResponse:
    headers = {"cache-control": "no-store"}
    if error.is_retryable:
        headers["retry-after"] = str(max(1, error.retry_after_s or 1))
    else:
        headers["x-should-retry"] = "false"
    if isinstance(error, ServerDraining):
        headers["connection"] = "close"  # so that the client's next request goes to another server
    body = {"error": str(error), "code": error.code, "request_id": request_id}
    return JSONResponse(body, error.status, headers)
