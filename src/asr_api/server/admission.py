"""Admission: the checks before the body of a request that costs engine time is read."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import Request
from starlette.datastructures import Headers

from asr_api.compose import Service
from asr_api.errors import OriginNotAllowed, UnsupportedContentEncoding
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.middleware.cors import FOREIGN_PAGE
from asr_api.server.middleware.request_scope import request_scope
from asr_api.server.request_timeout import limit_time
from asr_api.settings.access_settings import ANY_ORIGIN
from asr_api.settings.settings import Settings


def admit(request: Request, handle: ServiceHandle, settings: Settings) -> Service:
    """Raises OriginNotAllowed, UnsupportedContentEncoding, InvalidParameter, ModelLoading, RateLimitExceeded and what
    `check_capacity` and `check_deadline` raise.
    """
    check_origin(request.headers, settings.cors_origins)
    service = handle.ready_service()
    scope = request_scope(request.scope)
    limit_time(request, scope, settings.request_timeout_s)
    model = service.pool.get(scope.model)
    model.check_capacity(scope.account)
    model.check_deadline(scope)
    _check_encoding(request.headers)
    scope.record.model = model.info.model_id
    handle.usage.admit(scope)
    return service


def _check_encoding(headers: Headers) -> None:
    """A header that is sent twice counts as one with both values."""
    encoding = ", ".join(headers.getlist("content-encoding")).lower()
    if {token.strip() for token in encoding.split(",")} - {"", "identity"}:
        raise UnsupportedContentEncoding(f"Content-Encoding {encoding[:40]!r} is not supported; send the plain file.")


def check_origin(headers: Headers, allowed: Collection[str]) -> None:
    """Browsers name the origin of a page; a foreign page must not use this machine's time or read its files.

    allowed: those of CORS_ORIGINS
    """
    origin = headers.get("origin")
    own = (headers.get("host"), headers.get("x-forwarded-host"))
    if origin is None or ANY_ORIGIN in allowed or origin in allowed:
        return
    if origin.partition("://")[2] not in own:
        raise OriginNotAllowed(FOREIGN_PAGE)
