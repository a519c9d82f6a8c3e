"""`asr-api serve`: listens at once, loads the model meanwhile, serves, and drains at the end.

On the first SIGTERM, SIGINT or SIGHUP new requests are refused while open ones finish, and the port stays open until
then. A second signal ends the open ones with an error, a third ends the process at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from asr_api import __version__
from asr_api.compose import Service, open_service
from asr_api.engines.protocol import EngineInfo
from asr_api.errors import InternalError
from asr_api.metrics import Metrics
from asr_api.server.app import create_app
from asr_api.server.connection_limit import ConnectionLimit
from asr_api.server.file_descriptors import ShortageHandler, import_all, max_connections, raise_descriptor_limit
from asr_api.server.http_protocol import BoundedH11Protocol
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.listen import BACKLOG, EVERYWHERE, open_sockets
from asr_api.server.refused_connection import RefusedConnections
from asr_api.server.routes.prometheus import metrics_server
from asr_api.settings.api_keys import ApiKeys, read_api_keys
from asr_api.settings.settings import Settings

logger = logging.getLogger(__name__)

# asyncio accepts as many connections in one turn of the event loop as its backlog has, and these take descriptors
# before they can be refused.
ACCEPTS_PER_TURN = 16
KEEP_ALIVE_S = 65  # longer than the usual 60 s of proxies, so that they never use a connection that is closing
LAST_REPLIES_S = 5  # for finished transcripts to reach their clients
FORCED = 1


async def serve(settings: Settings) -> int:
    """The exit code. Raises StartupError when it cannot start, and AsrError when the engine or HTTP fails for good."""
    api_keys = read_api_keys(settings)
    metrics = Metrics()
    with metrics_server(metrics, settings.host, settings.metrics_port):
        return await _listen_and_serve(settings, api_keys, metrics)


async def _listen_and_serve(settings: Settings, api_keys: ApiKeys, metrics: Metrics) -> int:
    asyncio.get_running_loop().set_exception_handler(ShortageHandler())
    import_all()
    limit = ConnectionLimit(max_connections(raise_descriptor_limit(), settings.max_requests), settings.proxy_trust)
    sockets = open_sockets(settings.host, settings.port)
    signals = _Signals()
    handle = ServiceHandle(max_requests=settings.max_requests)
    server = _Server(_uvicorn_config(create_app(handle, metrics, settings, api_keys), limit))
    address = _address(settings.host, sockets, is_open=not api_keys)
    logger.info("asr-api %s: listening on %s, loading %s", __version__, address, settings.model_id)
    answering = asyncio.create_task(server.serve(sockets))
    serving = asyncio.create_task(_serve(settings, metrics, handle, signals))
    try:
        await _first_of([serving, answering], signals.stop)
        if handle.service is None or answering.done():  # nothing to finish, or no way to reply
            serving.cancel()
        await asyncio.wait([serving])
    finally:
        has_failed = answering.done()
        server.should_exit = True
        await asyncio.wait([answering])
    if has_failed:
        cause = None if answering.cancelled() else answering.exception()
        raise InternalError("The HTTP server ended unexpectedly; see the log above, and start it again.") from cause
    return 0 if serving.cancelled() else serving.result()


class _Signals:
    """The first signal asks to drain, the second to stop now, the third ends the process."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.force = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores it
                asyncio.get_running_loop().add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self.force.is_set():
            os._exit(FORCED)
        (self.force if self.stop.is_set() else self.stop).set()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """`_Signals` handles them."""
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


async def _serve(settings: Settings, metrics: Metrics, handle: ServiceHandle, signals: _Signals) -> int:
    """From loading the model to the last transcript; the exit code."""
    started_s = time.perf_counter()
    async with open_service(settings, metrics, result_cache_s=settings.result_cache_s) as service:
        handle.service = service
        _announce(service.pool.get().info, time.perf_counter() - started_s)
        failing = asyncio.create_task(service.pool.wait_failed())
        await _first_of([failing], signals.stop)
        if failing.done():
            raise failing.result()
        failing.cancel()
        await _drain(service, handle, signals, settings.shutdown_timeout_s)
    return FORCED if signals.force.is_set() else 0


async def _drain(service: Service, handle: ServiceHandle, signals: _Signals, timeout_s: float) -> None:
    logger.info("stopping: up to %g s for %d open requests", timeout_s, handle.num_open)
    draining = asyncio.create_task(_wait_until_drained(service, handle))
    await _first_of([draining], signals.force, timeout_s)
    if not draining.done():
        logger.warning("stopping: %d requests are ended unfinished", handle.num_open)
        handle.abort()
        await asyncio.wait([draining], timeout=LAST_REPLIES_S)
        draining.cancel()


async def _wait_until_drained(service: Service, handle: ServiceHandle) -> None:
    """New requests are refused; open ones, whose uploads may still be arriving, are served."""
    await service.pool.drain()
    await handle.wait_until_idle()


async def _first_of(tasks: list[asyncio.Task[Any]], event: asyncio.Event, timeout_s: float | None = None) -> None:
    """Returns when a task is done, the event is set, or the time is up."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait([*tasks, waiting], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def _announce(info: EngineInfo, elapsed_s: float) -> None:
    engine = f"{info.engine} engine, {info.compute_type}, {info.n_slots} slots"
    logger.info("ready after %.1f s: %s on %s (%s)", elapsed_s, info.model_id, info.device_name, engine)
    for note in info.notes:
        logger.info("%s", note)


def _address(host: str, sockets: list[socket.socket], *, is_open: bool) -> str:
    """A link that works on this machine, for the log. is_open: nobody needs a key"""
    port = sockets[0].getsockname()[1]
    if host == EVERYWHERE:
        warning = "; anyone who can reach it may use it, set API_KEYS" if is_open else ""
        return f"http://localhost:{port} (every interface{warning})"
    return f"http://[{host.strip('[]')}]:{port}" if ":" in host else f"http://{host}:{port}"
