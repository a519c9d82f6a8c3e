"""File descriptors: raises their limit, divides them between connections and work, and reports a shortage quietly."""

from __future__ import annotations

import asyncio
import errno
import importlib
import importlib.util
import logging
import resource
import sys
from typing import Any

from asr_api.server.throttled_log import ThrottledLog

logger = logging.getLogger(__name__)

MAX_DESCRIPTORS = 65536
MAX_CONNECTIONS = 8192  # each may hold 64 KiB that it has sent and that nobody has read
# Beside its connection, a request has a spool, two decoders with pipes, or the connections of a link.
DESCRIPTORS_PER_REQUEST = 8
# For the engine, the fork server, the event loop, the port of the metrics, and connections that are being refused.
MIN_RESERVED = 128
# Modules that the server or its libraries would import at the first request that needs them, on the event loop.
LATE_IMPORTS = (
    "asr_api.audio.sources.url", "certifi", "encodings.idna", "encodings.punycode", "encodings.utf_8_sig", "httpcore",
    "importlib.readers", "importlib.resources.readers", "numpy.fft", "numpy.ma",
)  # fmt: skip
OPTIONAL_IMPORTS = ("sniffio",)  # anyio, httpx and httpcore look for it in every call
SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def raise_descriptor_limit() -> int:
    """Raises the soft limit to the hard one, or to MAX_DESCRIPTORS; the limit from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MAX_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def import_all() -> None:
    """So that no request fails because a module cannot be opened."""
    for name in LATE_IMPORTS:
        importlib.import_module(name)
    for name in OPTIONAL_IMPORTS:
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name)
        else:
            sys.modules[name] = None  # type: ignore[assignment]  # an import of it fails at once, without a search


def max_connections(num_descriptors: int, num_requests: int) -> int:
    """What is left beside the work of so many requests, and at least half of the descriptors."""
    reserved = MIN_RESERVED + DESCRIPTORS_PER_REQUEST * num_requests
    return min(max(num_descriptors - reserved, num_descriptors // 2), MAX_CONNECTIONS)


class ShortageHandler:
    """An exception handler of an event loop. asyncio reports each connection that it cannot accept, many at once."""

    def __init__(self) -> None:
        self._log = ThrottledLog(logger)

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in SHORTAGES and "socket" in context:
            self._log.warning(f"new connections have to wait: {error.strerror}; raise the limit (ulimit -n)")
        else:
            loop.default_exception_handler(context)
