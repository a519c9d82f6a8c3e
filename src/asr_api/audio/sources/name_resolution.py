"""Name resolution in its own bounded set of threads, so that dead name servers cannot stop other work in threads.

A lookup cannot be interrupted: a request that no longer waits leaves its thread behind until the system gives up. Such
threads are counted until they end. Lookups of one host are shared, so that one host never takes more than one thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable

from anyio.lowlevel import RunVar

from asr_api.errors import ServerOverloaded, UrlFetchFailed, UrlFetchTimeout

MAX_LOOKUPS = 64  # threads; they only wait
RETRY_AFTER_S = 5

Lookup = Callable[[str], list[str]]  # host → addresses as text; blocks, and raises OSError or UnicodeError


class NameResolver:
    """Resolves host names on one event loop."""

    def __init__(self, lookup: Lookup | None = None, max_lookups: int = MAX_LOOKUPS) -> None:
        self._lookup = lookup or look_up
        self._max_lookups = max_lookups
        self._running: dict[str, asyncio.Future[list[str]]] = {}  # by host

    async def resolve(self, host: str, timeout_s: float) -> list[str]:
        """Errors: UrlFetchFailed for an unknown host, UrlFetchTimeout, ServerOverloaded when all threads are taken."""
        running = self._running.get(host) or self._start(host)
        await asyncio.wait([running], timeout=timeout_s)
        if not running.done():
            raise UrlFetchTimeout(
                f"The name of the link's host was not resolved within {timeout_s:g} s; check the link or upload."
            )
        try:
            return running.result()
        except (OSError, UnicodeError) as error:
            raise UrlFetchFailed("The link's host is not known; check the link.") from error

    def _start(self, host: str) -> asyncio.Future[list[str]]:
        if len(self._running) >= self._max_lookups:
            raise ServerOverloaded(
                f"The server is resolving {self._max_lookups} other host names, the limit; try again later.",
                retry_after_s=RETRY_AFTER_S,
            )
        loop = asyncio.get_running_loop()
        running: asyncio.Future[list[str]] = loop.create_future()
        running.add_done_callback(lambda future: future.exception())  # marks it as retrieved, should no request wait

        def finish(addresses: list[str], error: Exception | None) -> None:
            del self._running[host]
            if error is None:
                running.set_result(addresses)
            else:
                running.set_exception(error)

        def run() -> None:
            addresses: list[str] = []
            error: Exception | None = None
            try:
                addresses = self._lookup(host)
            except Exception as caught:  # noqa: BLE001  # handed over to the requests, whatever it is
                error = caught
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(finish, addresses, error)

        # A daemon thread does not keep the process alive, and threads of a pool could not be abandoned.
        threading.Thread(target=run, name="asr-api-name-resolution", daemon=True).start()
        self._running[host] = running
        return running


def look_up(host: str) -> list[str]:
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in answers))


async def resolve(host: str, timeout_s: float) -> list[str]:
    """As NameResolver.resolve, with one resolver for all requests of this event loop."""
    try:
        resolver = _resolver.get()
    except LookupError:
        resolver = NameResolver()
        _resolver.set(resolver)
    return await resolver.resolve(host, timeout_s)


_resolver: RunVar[NameResolver] = RunVar("asr_api_name_resolver")
