"""uvicorn's HTTP/1.1 protocol with bounds: for connections, headers, chunks, and the time that a reply may stay unread.

Without them, a client that sends its headers byte by byte, or does not read its reply, would hold a connection for
ever. Requests that cannot be parsed get our error shape, and a line in the log.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from asr_api.errors import RequestError
from asr_api.request import RequestScope
from asr_api.server.checked_connection import CheckedConnection
from asr_api.server.connection_limit import ConnectionLimit
from asr_api.server.refused_connection import RefusedConnections

logger = logging.getLogger(__name__)

HEADERS_DEADLINE_S = 10.0
MAX_READ_BYTES = 64 * 1024  # in one turn of the event loop
LINGER_S = 1.0  # for the rest of a malformed request
UNREAD_S = 30.0  # in which a client has to read MIN_READ_BYTES of a reply, or its rest
MIN_READ_BYTES = 16 * 1024


class BoundedH11Protocol(H11Protocol):
    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limit: ConnectionLimit,
        refused: RefusedConnections,
    ) -> None:
        """limit, refused: of all connections of the server"""
        super().__init__(config, server_state, app_state, _loop)
        self._checked = self.conn = CheckedConnection()
        self._limit = limit
        self._refused = refused
        self._is_refused = False
        self._headers_deadline: asyncio.TimerHandle | None = None
        self._reading_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        peer = transport.get_extra_info("peername") or ("",)
        if not self._limit.admit(self, peer[0]):
            self._refused.take_over(transport)
            return
        transport.max_size = MAX_READ_BYTES  # type: ignore[attr-defined]  # of asyncio's transports of sockets
        transport.set_write_buffer_limits(high=0)  # so that `pause_writing` means: something is unread
        super().connection_made(transport)
        self._headers_deadline = self._close_later()

    def data_received(self, data: bytes) -> None:
        if not self._is_refused:
            super().data_received(data)
            self._watch_request()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._limit.set_idle(self, is_idle=False)
        self._watch_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._reading_deadline = _cancelled(self._reading_deadline)
        self._watch_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._limit.remove(self)
        self._headers_deadline = _cancelled(self._headers_deadline)
        self._reading_deadline = _cancelled(self._reading_deadline)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        try:
            super().handle_events()
        except RequestError as error:
            self._refuse(error)

    def close_idle(self) -> None:
        """For `ConnectionLimit`; at once, since a connection counts as idle only when its replies are sent."""
        self.transport.abort()

    def _should_upgrade(self) -> bool:
        """Never; the base class would log how to install WebSockets."""
        return False

    def _refuse(self, error: RequestError) -> None:
        """A request that is malformed, at its beginning or in its body. The connection is useless from then on."""
        self._is_refused = True
        if self._has_request():  # the app must not reply as well
            self.cycle.disconnected = True
            self.cycle.waiting_for_100_continue = False
            self.cycle.message_event.set()
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:  # the request was answered before its end
            self.transport.close()
            return
        request_id = self._request_id()
        peer = self.client[0] if self.client else ""
        logger.info("%s malformed request of %s: %d %s", request_id, peer, error.status, error.code)
        self.transport.write(self._checked.error_reply(error, request_id))
        self.transport.write_eof()
        self.flow.resume_reading()  # and drop it: if something is unread when the connection closes, the reply is lost
        self.loop.call_later(LINGER_S, self.transport.close)

    def _request_id(self) -> str:
        request: RequestScope | None = self.scope.get("state", {}).get("request") if self._has_request() else None
        return uuid.uuid4().hex if request is None else request.request_id

    def _has_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch_request(self) -> None:
        if self.transport.is_closing():
            return
        self._limit.set_idle(self, is_idle=not self._has_request() and not self.flow.write_paused)
        if self.conn.their_state is not h11.IDLE:
            self._headers_deadline = _cancelled(self._headers_deadline)
        elif self._headers_deadline is None and self.conn.trailing_data[0]:  # the next request has begun
            self._headers_deadline = self._close_later()

    def _close_later(self) -> asyncio.TimerHandle:
        return self.loop.call_later(HEADERS_DEADLINE_S, self.transport.close)

    def _watch_reading(self) -> None:
        num_unread = self.transport.get_write_buffer_size()
        self._reading_deadline = self.loop.call_later(UNREAD_S, self._check_reading, num_unread)

    def _check_reading(self, num_unread_before: int) -> None:
        if self.transport.get_write_buffer_size() <= num_unread_before - MIN_READ_BYTES:
            self._watch_reading()
            return
        peer = self.client[0] if self.client else ""
        logger.info("a client at %s did not read its reply for %g s; its connection is closed", peer, UNREAD_S)
        self.transport.abort()


def _cancelled(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """What takes its place."""
    if timer is not None:
        timer.cancel()
    return None
