"""`asr-api serve`: listens at once, loads the model meanwhile, serves, and stops as it should.

On the first SIGTERM or SIGINT new requests are refused while running ones finish; the port stays open until they have.
A second signal ends the running ones with an error. In: settings. Out: an exit code, or a StartupError.
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
from typing import Any

import uvicorn

from asr_api import __version__
from asr_api.compose import default_options, media_policy, open_transcriber
from asr_api.engines.protocol import EngineInfo
from asr_api.metrics import Metrics
from asr_api.server.app import create_app
from asr_api.server.app_options import AppOptions
from asr_api.server.http_protocol import BoundedH11Protocol
from asr_api.server.lifecycle import ServiceHandle
from asr_api.server.listen import EVERYWHERE, open_sockets
from asr_api.settings.settings import Settings
from asr_api.transcriber import Transcriber

logger = logging.getLogger(__name__)

KEEP_ALIVE_S = 65  # longer than the usual 60 s of proxies, so that they never meet a closing connection
LAST_REPLIES_S = 5  # for what has been transcribed to reach its client
FORCED = 1


async def serve(settings: Settings) -> int:
    """The exit code. Raises StartupError when it cannot start, and AsrError when the engine is lost for good."""
    sockets = open_sockets(settings.host, settings.port)
    signals = _Signals()
    entrance = ServiceHandle(max_requests=settings.max_queued_requests)
    metrics = Metrics()
    server = _open_server(settings, entrance, metrics)
    logger.info(
        "asr-api %s: listening on %s, loading %s", __version__, _address(settings.host, sockets), settings.model_id
    )
    with signals.handled():
        serving = asyncio.create_task(server.serve(sockets))
        working = asyncio.create_task(_work(settings, metrics, entrance, signals))
        try:
            await _first_of(working, signals.stop)
            if entrance.transcriber is None:  # asked to stop while loading: there is nothing to finish
                working.cancel()
            await asyncio.wait([working])
        finally:
            server.should_exit = True
            await serving
    return 0 if working.cancelled() else working.result()


class _Signals:
    """The first signal asks to stop, the second to stop now, the third is obeyed on the spot."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.force = asyncio.Event()

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._take)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _take(self) -> None:
        if self.force.is_set():
            os._exit(FORCED)
        (self.force if self.stop.is_set() else self.stop).set()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The signals are ours."""
        yield


def _open_server(settings: Settings, entrance: ServiceHandle, metrics: Metrics) -> _Server:
    options = AppOptions(
        media_policy(settings),
        settings.salad_machine_id,
        settings.salad_container_group_id,
        defaults=default_options(settings),
    )
    return _Server(
        uvicorn.Config(
            create_app(entrance, metrics, options),
            http=BoundedH11Protocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=LAST_REPLIES_S,
        )
    )


async def _work(settings: Settings, metrics: Metrics, entrance: ServiceHandle, signals: _Signals) -> int:
    """From loading the model to the last transcript; the exit code."""
    started_s = time.perf_counter()
    async with open_transcriber(settings, metrics) as transcriber:
        entrance.transcriber = transcriber
        _announce(transcriber.info, time.perf_counter() - started_s)
        failing = asyncio.create_task(transcriber.wait_failed())
        await _first_of(failing, signals.stop)
        if failing.done():
            raise failing.result()
        failing.cancel()
        await _drain(transcriber, entrance, signals, settings.shutdown_timeout_s)
    return FORCED if signals.force.is_set() else 0


async def _drain(transcriber: Transcriber, entrance: ServiceHandle, signals: _Signals, timeout_s: float) -> None:
    logger.info("stopping: up to %g s for %d running requests", timeout_s, entrance.num_inside)
    draining = asyncio.create_task(_empty(transcriber, entrance))
    await _first_of(draining, signals.force, timeout_s)
    if not draining.done():
        logger.warning("stopping: %d requests are ended unfinished", entrance.num_inside)
        entrance.abort()
        await asyncio.wait([draining], timeout=LAST_REPLIES_S)
        draining.cancel()


async def _empty(transcriber: Transcriber, entrance: ServiceHandle) -> None:
    """Nobody new comes in; who is inside, perhaps still sending, is served."""
    await transcriber.drain()
    await entrance.wait_until_empty()


async def _first_of(task: asyncio.Task[Any], event: asyncio.Event, timeout_s: float | None = None) -> None:
    """Returns when the task is done, the event is set, or the time is up."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait([task, waiting], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def _announce(info: EngineInfo, elapsed_s: float) -> None:
    logger.info(
        "ready after %.1f s: %s on %s (%s engine, %s, %d slots)",
        elapsed_s, info.model_id, info.device_name, info.engine, info.compute_type, info.n_slots,
    )  # fmt: skip
    for note in info.notes:
        logger.info("%s", note)


def _address(host: str, sockets: list[socket.socket]) -> str:
    """For people: a link that works on this machine."""
    port = sockets[0].getsockname()[1]
    if host == EVERYWHERE:
        return f"http://localhost:{port} (every interface; anyone who can reach it may use it)"
    return f"http://[{host.strip('[]')}]:{port}" if ":" in host else f"http://{host}:{port}"
