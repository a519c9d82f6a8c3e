"""uvicorn's HTTP/1.1 protocol with a deadline for headers, and with our error shape for requests that it cannot parse.

Without the deadline, a client that sends its headers byte by byte would hold a connection for ever.
"""

from __future__ import annotations

import asyncio
import uuid

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from asr_api.errors import InvalidRequest
from asr_api.server.error_responses import error_response

HEADERS_DEADLINE_S = 10.0


class BoundedH11Protocol(H11Protocol):
    _headers_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._disarm()
        elif self._headers_deadline is None and self.conn.trailing_data[0]:  # the next request has begun
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _should_upgrade(self) -> bool:
        """Never; the base class would log how to install WebSockets."""
        return False

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # clients get our own sentence
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:  # the request was answered before its end
            self.transport.close()
            return
        error = InvalidRequest("The request is not valid HTTP/1.1, or its headers are too large; correct it.")
        request_id = uuid.uuid4().hex
        reply = error_response(error, request_id)
        headers = [*reply.raw_headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers),
            h11.Data(data=bytes(reply.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _arm(self) -> None:
        self._headers_deadline = self.loop.call_later(HEADERS_DEADLINE_S, self.transport.close)

    def _disarm(self) -> None:
        if self._headers_deadline is not None:
            self._headers_deadline.cancel()
            self._headers_deadline = None
