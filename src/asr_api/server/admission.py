"""Admission: the checks before the body of a request that costs engine time is read."""

from __future__ import annotations

from fastapi import Request
from starlette.datastructures import Headers

from asr_api.compose import Service
from asr_api.errors import OriginNotAllowed, UnsupportedContentEncoding
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.middleware.request_scope import request_scope


def admit(request: Request, handle: ServiceHandle) -> Service:
    """Raises OriginNotAllowed, UnsupportedContentEncoding, ModelLoading and what `check_capacity` raises."""
    check_origin(request.headers)
    service = handle.ready_service()
    service.pool.get(request_scope(request.scope).model).check_capacity()
    _check_encoding(request.headers)
    return service


def _check_encoding(headers: Headers) -> None:
    """A header that is sent twice counts as one with both values."""
    encoding = ", ".join(headers.getlist("content-encoding")).lower()
    if {token.strip() for token in encoding.split(",")} - {"", "identity"}:
        raise UnsupportedContentEncoding(f"Content-Encoding {encoding[:40]!r} is not supported; send the plain file.")


def check_origin(headers: Headers) -> None:
    """Browsers name the origin of a page; a foreign page must not use this machine's time or read its files."""
    origin = headers.get("origin")
    own = (headers.get("host"), headers.get("x-forwarded-host"))
    if origin is not None and origin.partition("://")[2] not in own:
        raise OriginNotAllowed("Web pages of another origin may not use this server; send the request from your own.")
