"""Name resolution in its own bounded set of threads, so that dead name servers cannot stop other work in threads.

A lookup cannot be interrupted: after a timeout its thread remains, and is counted, until the system gives up. Requests
share the lookup of a host, so that one host takes at most one thread. An account may take as many threads as would
still be free, so that a thousand names of a dead name server leave some to others.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from functools import partial

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
        self._accounts: dict[str, str] = {}  # host → the account whose request began the lookup

    async def resolve(self, host: str, timeout_s: float, account: str = "") -> list[str]:
        """Errors: UrlFetchFailed for an unknown host, UrlFetchTimeout, ServerOverloaded when no thread is left."""
        running = self._running.get(host) or self._start(host, account)
        await asyncio.wait([running], timeout=timeout_s)
        if not running.done():
            raise UrlFetchTimeout(f"The link's host was not resolved within {timeout_s:g} s; check the link or upload.")
        try:
            return running.result()
        except (OSError, UnicodeError) as error:
            raise UrlFetchFailed("The link's host is not known; check the link.") from error

    def _start(self, host: str, account: str) -> asyncio.Future[list[str]]:
        num_free, num_own = self._max_lookups - len(self._running), list(self._accounts.values()).count(account)
        if num_own >= num_free:
            raise ServerOverloaded(
                f"The server is resolving {len(self._running)} other host names, {num_own} of them for you; try again "
                "later.",
                retry_after_s=RETRY_AFTER_S,
            )
        loop = asyncio.get_running_loop()
        running: asyncio.Future[list[str]] = loop.create_future()

        def forget(_: object) -> None:
            del self._running[host], self._accounts[host]
            running.exception()  # marks it as retrieved, in case no request waits any more

        def run() -> None:
            try:
                outcome = partial(running.set_result, self._lookup(host))
            except Exception as error:  # noqa: BLE001  # every error is handed over to the requests
                outcome = partial(running.set_exception, error)
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(outcome)

        running.add_done_callback(forget)
        # A daemon thread does not keep the process alive, and threads of a pool could not be abandoned.
        threading.Thread(target=run, name="asr-api-name-resolution", daemon=True).start()
        self._running[host], self._accounts[host] = running, account
        return running


def literal_addresses(host: str) -> list[str]:
    """The address that the text is, also in old forms such as 127.1, without a lookup; empty for a name."""
    try:
        return look_up(host, socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return []


def look_up(host: str, flags: int = 0) -> list[str]:
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in answers))


async def resolve(host: str, timeout_s: float, account: str = "") -> list[str]:
    """As NameResolver.resolve, with one resolver for all requests of this event loop."""
    try:
        resolver = _resolver.get()
    except LookupError:
        resolver = NameResolver()
        _resolver.set(resolver)
    return await resolver.resolve(host, timeout_s, account)


_resolver: RunVar[NameResolver] = RunVar("asr_api_name_resolver")
