"""`asr-api serve`: listens at once, loads the model meanwhile, serves, and drains at the end.

On the first SIGTERM, SIGINT or SIGHUP new requests are refused while open ones finish, and the port stays open until
then. A second signal ends the open ones with an error, a third ends the process at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from typing import Any

from asr_api import __version__
from asr_api.compose import Service, open_service
from asr_api.engines.protocol import EngineInfo
from asr_api.errors import InternalError
from asr_api.metrics import Metrics
from asr_api.server.app import create_app
from asr_api.server.connection_limit import ConnectionLimit
from asr_api.server.file_descriptors import ShortageHandler, import_all, max_connections, raise_descriptor_limit
from asr_api.server.http_servers import LAST_REPLIES_S, HttpServers
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.listen import EVERYWHERE, listening_sockets
from asr_api.server.routes.prometheus import METRICS_CONNECTIONS, metrics_app
from asr_api.settings.api_keys import ApiKeys, read_api_keys
from asr_api.settings.other_servers import variables_without_effect
from asr_api.settings.settings import Settings

logger = logging.getLogger(__name__)

FORCED = 1


async def serve(settings: Settings) -> int:
    """The exit code. Raises StartupError when it cannot start, and AsrError when the engine or HTTP fails for good."""
    api_keys = read_api_keys(settings)
    with (
        listening_sockets(settings.host, settings.port, "PORT") as sockets,
        listening_sockets(settings.host, settings.metrics_port, "METRICS_PORT") as metrics_sockets,
    ):
        return await _serve_http(settings, api_keys, sockets, metrics_sockets)


async def _serve_http(
    settings: Settings, api_keys: ApiKeys, sockets: list[socket.socket], metrics_sockets: list[socket.socket]
) -> int:
    """metrics_sockets: none where the metrics have no port of their own"""
    asyncio.get_running_loop().set_exception_handler(ShortageHandler())
    import_all()
    limit = ConnectionLimit(max_connections(raise_descriptor_limit(), settings.max_requests), settings.proxy_trust)
    metrics, signals = Metrics(), _Signals()
    handle = ServiceHandle(max_requests=settings.max_requests)
    servers = HttpServers()
    servers.open(create_app(handle, metrics, settings, api_keys), sockets, limit)
    if metrics_sockets:
        servers.open(metrics_app(metrics), metrics_sockets, ConnectionLimit(METRICS_CONNECTIONS))
    address = _address(settings.host, sockets, is_open=not api_keys)
    logger.info("asr-api %s: listening on %s, loading %s", __version__, address, settings.model_id)
    for theirs, ours in variables_without_effect().items():
        logger.warning("%s is a variable of another server and has no effect here; set %s", theirs, ours)
    serving = asyncio.create_task(_serve(settings, metrics, handle, signals))
    try:
        await _first_of([serving, *servers.tasks], signals.stop)
        if handle.service is None or servers.has_failed:  # nothing to finish, or no way to reply
            serving.cancel()
        await asyncio.wait([serving])
    finally:
        failure = await servers.aclose()
    if failure is not None:
        raise InternalError("The HTTP server ended unexpectedly; see the log above, and start it again.") from failure
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
