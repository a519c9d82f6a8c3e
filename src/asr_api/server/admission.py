"""Admission: what is checked before a request that costs engine time is read; a dependency of its routes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

from fastapi import Request
from starlette.datastructures import Headers

from asr_api.compose import Service
from asr_api.errors import OriginNotAllowed, UnsupportedContentEncoding
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.middleware.request_scope import request_scope


def admission(handle: ServiceHandle) -> Callable[[Request], Coroutine[None, None, Service]]:
    """The dependency. It raises OriginNotAllowed, ModelLoading, EngineRestarting, ServerDraining, ServerOverloaded and
    UnsupportedContentEncoding.
    """

    async def admit(request: Request) -> Service:
        check_origin(request.headers)
        service = handle.ready_service()
        service.pool.get(request_scope(request.scope).model).check_capacity()
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            raise UnsupportedContentEncoding(
                f"Content-Encoding {encoding[:40]!r} is not supported; send the bytes of the file as they are."
            )
        return service

    return admit


def check_origin(headers: Headers) -> None:
    """Browsers tell which page sends; a foreign page must not use this machine's time or read its files."""
    origin = headers.get("origin")
    own = (headers.get("host"), headers.get("x-forwarded-host"))
    if origin is not None and origin.partition("://")[2] not in own:
        raise OriginNotAllowed("Web pages of another origin may not use this server; send the request from your own.")
