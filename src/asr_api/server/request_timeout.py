"""Timeout of a request: the header `X-Request-Timeout` and the query parameter `timeout`, on every route."""

from __future__ import annotations

from fastapi import Request

from asr_api.errors import InvalidParameter
from asr_api.parameters import TIMEOUT, TIMEOUT_ALLOWED, timeout_s
from asr_api.request import RequestScope

HEADER = "X-Request-Timeout"


def limit_time(request: Request, scope: RequestScope, max_s: float) -> None:
    """max_s: of the settings; 0 is no limit. Raises InvalidParameter."""
    if max_s:
        scope.limit_time(max_s)
    given = [(HEADER, text) for text in request.headers.getlist(HEADER)]
    given += [(TIMEOUT, text) for text in request.query_params.getlist(TIMEOUT)]
    for name, text in given:
        try:
            if text:
                scope.limit_time(timeout_s(text))
        except ValueError:
            raise InvalidParameter(f"{name} is {text[:40]!r}; it must be {TIMEOUT_ALLOWED}.", parameter=name) from None
