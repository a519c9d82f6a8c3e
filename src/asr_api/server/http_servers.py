"""`HttpServers`: uvicorn on each port, with our protocol and a limit of connections of its own, in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from asr_api.server.connection_limit import ConnectionLimit
from asr_api.server.http_protocol import BoundedH11Protocol
from asr_api.server.listen import BACKLOG
from asr_api.server.refused_connection import RefusedConnections

# asyncio accepts as many connections in one turn of the event loop as its backlog has, and these take descriptors
# before they can be refused.
ACCEPTS_PER_TURN = 16
KEEP_ALIVE_S = 65  # longer than the usual 60 s of proxies, so that they never use a connection that is closing
LAST_REPLIES_S = 5  # for finished transcripts to reach their clients


class HttpServers:
    """tasks: one for each server; it ends before `aclose` only if the server fails"""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self._servers: list[uvicorn.Server] = []

    def open(self, app: ASGIApp, sockets: list[socket.socket], limit: ConnectionLimit) -> None:
        """sockets: listening, of one port; closed with the server. limit: of their connections"""
        server = _Server(_uvicorn_config(app, limit))
        self._servers.append(server)
        self.tasks.append(asyncio.create_task(server.serve(sockets)))

    @property
    def has_failed(self) -> bool:
        return any(task.done() for task in self.tasks)

    async def aclose(self) -> BaseException | None:
        """Returns within LAST_REPLIES_S, whatever clients do; what ended a server before, if one has failed."""
        failed = [task for task in self.tasks if task.done()]
        for server in self._servers:
            server.should_exit = True
        await asyncio.wait(self.tasks)
        return next(map(_failure, failed), None)


def _failure(task: asyncio.Task[None]) -> BaseException:
    error = None if task.cancelled() else task.exception()
    return error or RuntimeError("the server returned")


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The program handles them."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or []:
            listening.listen(BACKLOG)  # instead of uvicorn's


def _uvicorn_config(app: ASGIApp, limit: ConnectionLimit) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(BoundedH11Protocol, limit=limit, refused=RefusedConnections())),
        ws="none",
        lifespan="off",
        loop="asyncio",
        backlog=ACCEPTS_PER_TURN,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=LAST_REPLIES_S,
    )
