"""Request scope middleware: gives each request its `RequestScope`, counts it as open, and puts its id on the reply.

For the middleware inside, it keeps in the state of the ASGI scope: "request", "reply_headers", which a route may fill
for every reply, also that of an error, and "status" once the reply has begun.
They get HTTP only: WebSockets are refused, because no route serves them, and the lifespan goes to the router.
"""

from __future__ import annotations

import hashlib
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr_api.request import RequestScope
from asr_api.server.client_network import client_address, client_network
from asr_api.server.lifecycle import ServiceHandle

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
API_KEY_HEADERS = ("authorization", "x-api-key")
POLICY_VIOLATION = 1008  # WebSocket close code


class RequestScopeMiddleware:
    def __init__(self, app: ASGIApp, handle: ServiceHandle) -> None:
        self._app = app
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._handle_request(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            await scope["app"].router.lifespan(scope, receive, send)

    async def _handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope)
        given_id = given.get("x-request-id", "")
        client: str = (scope.get("client") or ("",))[0]
        request = RequestScope(
            request_id=given_id if REQUEST_ID.fullmatch(given_id) else uuid.uuid4().hex,
            client=client_address(client),
            account=client_network(client),
            tenant=_tenant(given),
        )
        state = scope.setdefault("state", {})
        state["request"] = request
        added: dict[str, str] = state.setdefault("reply_headers", {})

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                state["status"] = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request.request_id
                headers["x-content-type-options"] = "nosniff"
                headers.update(added)
            await send(message)

        with self._handle.track(request):
            await self._app(scope, receive, send_with_headers)


def _tenant(headers: Headers) -> str:
    """A hash of every API key in the headers, so that the key itself goes no further; empty without one."""
    keys = [f"{name}: {key}" for name in API_KEY_HEADERS for key in headers.getlist(name)]
    return hashlib.sha256("\n".join(keys).encode()).hexdigest() if keys else ""


def request_scope(scope: Scope) -> RequestScope:
    """From an ASGI scope behind this middleware."""
    request: RequestScope = scope["state"]["request"]
    return request


def reply_headers(scope: Scope) -> dict[str, str]:
    """To be filled before the reply begins."""
    headers: dict[str, str] = scope["state"]["reply_headers"]
    return headers
