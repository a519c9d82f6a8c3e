"""`RefusedConnection`: answers the first request of a connection for which there is no room with 503."""

from __future__ import annotations

import asyncio
import logging
import uuid

from asr_api.errors import ServerOverloaded
from asr_api.server.checked_connection import CheckedConnection
from asr_api.server.throttled_log import ThrottledLog

logger = logging.getLogger(__name__)

RETRY_S = 2
PATIENCE_S = 1.0  # for the request: if it is unread when the connection closes, the reply is lost
MAX_WAITING = 16  # further ones are closed at once
STATUS = 503


class RefusedConnections:
    """Makes one `RefusedConnection` after the other, of one server."""

    def __init__(self) -> None:
        self._waiting: set[RefusedConnection] = set()
        self._log = ThrottledLog(logger)

    def take_over(self, transport: asyncio.Transport) -> None:
        self._log.warning("new connections are refused: all are taken, and none is idle")
        if len(self._waiting) < MAX_WAITING:
            transport.set_protocol(RefusedConnection(transport, self._waiting))
        else:
            transport.set_protocol(asyncio.Protocol())
            transport.abort()


class RefusedConnection(asyncio.Protocol):
    def __init__(self, transport: asyncio.Transport, waiting: set[RefusedConnection]) -> None:
        self._transport = transport
        self._waiting = waiting
        self._waiting.add(self)
        self._has_replied = False
        self._deadline = asyncio.get_running_loop().call_later(PATIENCE_S, transport.abort)

    def data_received(self, _data: bytes) -> None:
        if self._has_replied:
            return
        self._has_replied = True
        error = ServerOverloaded("The server has too many connections; try again in a moment.", retry_after_s=RETRY_S)
        self._transport.write(CheckedConnection().error_reply(error, uuid.uuid4().hex, STATUS))
        self._transport.write_eof()

    def connection_lost(self, _error: Exception | None) -> None:
        self._deadline.cancel()
        self._waiting.discard(self)
