"""Places for recordings that come in, so many at once, and none for long for who only holds one.

While there is room a slow sender is in nobody's way. When every place is taken, the slowest sender gives its place to
the next: so connections that send next to nothing keep nobody out. Knows nothing about what is sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asr_api.errors import RequestTimeout, ServerOverloaded
from asr_api.server.request_limits import MIN_BYTES_PER_S

RETRY_S = 2
GRACE_S = 2.0  # in which no sender counts as slow


class UploadSlot:
    def __init__(self, limit: asyncio.Timeout) -> None:
        self._limit = limit
        self._started_s: float | None = None  # an upload's; downloads have limits of their own
        self._num_bytes = 0

    async def counted(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks; who sends them is asked for some speed."""
        self._started_s = time.perf_counter()
        async for chunk in chunks:
            self._num_bytes += len(chunk)
            yield chunk

    @property
    def bytes_per_s(self) -> float:
        """Infinite where speed does not count, or not yet."""
        elapsed_s = 0.0 if self._started_s is None else time.perf_counter() - self._started_s
        return self._num_bytes / elapsed_s if elapsed_s > GRACE_S else float("inf")

    def give_up(self) -> None:
        self._limit.reschedule(0)


class UploadSlots:
    def __init__(self, max_places: int) -> None:
        self._max_places = max_places
        self._places: set[UploadSlot] = set()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[UploadSlot]:
        """While a recording comes in. Raises ServerOverloaded when all places are taken by senders who are fast enough,
        and RequestTimeout when the place is needed for another.
        """
        self._make_room()
        try:
            async with asyncio.timeout(None) as limit:
                self._places.add(place := UploadSlot(limit))
                yield place
        except TimeoutError:
            if not limit.expired():
                raise
            raise RequestTimeout(
                f"The body came slower than {MIN_BYTES_PER_S // 1024} KiB/s while others waited for its place; "
                "send it again, over a faster line."
            ) from None
        finally:
            self._places.discard(place)

    def _make_room(self) -> None:
        if len(self._places) < self._max_places:
            return
        slowest = min(self._places, key=lambda place: place.bytes_per_s)
        if slowest.bytes_per_s >= MIN_BYTES_PER_S:
            raise ServerOverloaded(
                f"The server is receiving {self._max_places} recordings already; try again in a moment.",
                retry_after_s=RETRY_S,
            )
        self._places.discard(slowest)
        slowest.give_up()
