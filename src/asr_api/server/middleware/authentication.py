"""Authentication middleware: on a server with API keys every request must carry one, before its body is read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from asr_api.errors import InvalidApiKey
from asr_api.server.middleware.request_scope import reply_headers, request_scope
from asr_api.settings.api_keys import ApiKeys

OPEN_PATHS = frozenset({"/hc", "/livez"})  # for the probes of platforms, which carry no key
PAGE = re.compile(r"/|/page/.*")  # the page asks for a key itself, and sends it with its requests
READING = {"GET", "HEAD"}
CREDENTIALS = re.compile(r"\s*(?:Bearer|Token)\s+(\S+)\s*", re.IGNORECASE)  # OpenAI's scheme, and Deepgram's


class AuthenticationMiddleware:
    def __init__(self, app: ASGIApp, keys: ApiKeys, *, has_page: bool = False) -> None:
        """keys: with none, every request passes; has_page: whether the files of the page may be read without one"""
        self._app = app
        self._keys = keys
        self._has_page = has_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises InvalidApiKey."""
        if self._keys and not self._is_open(scope):
            key = self._keys.find(_candidates(Headers(scope=scope)))
            if key is None:
                reply_headers(scope)["www-authenticate"] = "Bearer"
                raise InvalidApiKey(
                    "The request carries no valid API key; send one as Authorization: Bearer KEY, or as X-Api-Key: KEY."
                )
            request = request_scope(scope)
            request.account = request.tenant = f"key:{key.name}"
            request.limits = key.limits
            request.priority = key.priority
        await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        is_page = self._has_page and scope["method"] in READING and PAGE.fullmatch(scope["path"]) is not None
        return is_page or scope["path"] in OPEN_PATHS


def _candidates(headers: Headers) -> Iterator[str]:
    for value in headers.getlist("authorization"):
        if credentials := CREDENTIALS.fullmatch(value):
            yield credentials[1]
    yield from headers.getlist("x-api-key")
