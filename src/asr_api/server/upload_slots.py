"""Upload slots: limit concurrent uploads and slow senders; and, apart from them, concurrent downloads of links.

An upload may be slow for a while, must then keep an average rate, and may never be silent for long. When all slots are
taken, a sender that is silent or below that rate is dropped for the next upload, so that connections that send next to
nothing keep no client out. An account without a slot gets one beyond the limit; when these are taken too, it takes the
place of the account with most slots.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from asr_api.errors import RequestTimeout, ServerOverloaded
from asr_api.fair_share import is_full

RETRY_S = 2
MIN_BYTES_PER_S = 16 * 1024
TOO_SLOW = f"came slower than {MIN_BYTES_PER_S // 1024} KiB/s"
GRACE_S = 15.0  # of waiting for a body before its rate counts
MAX_SILENCE_S = 20.0  # however fast the upload was before: a sender may have gone to sleep
EVICTION_GRACE_S = 2.0  # of an upload before it may be dropped for another
EVICTION_SILENCE_S = 5.0  # after which a sender may be dropped for another, however fast it was before


@dataclass(frozen=True, slots=True)
class SlotSentences:
    """Of errors; {num} is how many slots there are."""

    full: str
    dropped: str


UPLOADS = SlotSentences(
    "The server is receiving {num} recordings already; try again in a moment.",
    f"The upload was dropped while all {{num}} upload slots were taken: it {TOO_SLOW}, or its client had most of them; "
    "send it again.",
)
DOWNLOADS = SlotSentences(
    "The server is downloading {num} links already; try again in a moment.",
    "The download of the link was dropped while all {num} download slots were taken: its client had most of them; send "
    "the link again when others of this client are done.",
)


class UploadSlot:
    """One upload or download; only an upload's rate is measured, downloads have limits of their own."""

    def __init__(self, limit: asyncio.Timeout, account: str) -> None:
        self.account = account
        self._limit = limit
        self._started_s: float | None = None
        self._num_bytes = 0
        self._waited_s = 0.0
        self._waits_since_s: float | None = None  # for the next chunk

    async def measured(self, chunks: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
        """The same chunks. Raises RequestTimeout when they arrive too slowly."""
        self._started_s = time.perf_counter()
        async with aclosing(chunks):
            while (chunk := await self._next(chunks)) is not None:
                self._num_bytes += len(chunk)
                yield chunk

    async def _next(self, chunks: AsyncGenerator[bytes, None]) -> bytes | None:
        started_s = self._waits_since_s = time.perf_counter()
        patience_s = max(GRACE_S, self._num_bytes / MIN_BYTES_PER_S) - self._waited_s
        try:
            async with asyncio.timeout(
                min(patience_s, MAX_SILENCE_S)
            ):  # wait_for of Python 3.11 may swallow a cancellation
                return await anext(chunks, None)
        except TimeoutError:
            is_silent = patience_s > MAX_SILENCE_S
            problem = f"stopped for {MAX_SILENCE_S:g} s" if is_silent else TOO_SLOW
            raise RequestTimeout(f"The body {problem}; use a faster connection, or send a link to the file.") from None
        finally:
            self._waits_since_s = None
            self._waited_s += time.perf_counter() - started_s

    @property
    def bytes_per_s(self) -> float:
        """Infinite while the rate does not count, and 0 when the sender is silent."""
        if self._waits_since_s is not None and time.perf_counter() - self._waits_since_s > EVICTION_SILENCE_S:
            return 0.0
        elapsed_s = 0.0 if self._started_s is None else time.perf_counter() - self._started_s
        return self._num_bytes / elapsed_s if elapsed_s > EVICTION_GRACE_S else float("inf")

    def evict(self) -> None:
        self._limit.reschedule(0)


class UploadSlots:
    def __init__(self, max_slots: int, sentences: SlotSentences = UPLOADS) -> None:
        self._max_slots = max_slots
        self._sentences = sentences
        self._taken: set[UploadSlot] = set()

    @asynccontextmanager
    async def slot(self, account: str = "") -> AsyncIterator[UploadSlot]:
        """Raises ServerOverloaded if all senders are fast, and RequestTimeout when this one is dropped for another."""
        self._free_slot(account)
        try:
            async with asyncio.timeout(None) as limit:
                self._taken.add(slot := UploadSlot(limit, account))
                yield slot
        except TimeoutError:
            if not limit.expired():
                raise
            raise RequestTimeout(self._sentences.dropped.format(num=self._max_slots)) from None
        finally:
            self._taken.discard(slot)

    def _free_slot(self, account: str) -> None:
        if len(self._taken) < self._max_slots:
            return
        slowest = min(self._taken, key=lambda slot: slot.bytes_per_s)
        if slowest.bytes_per_s < MIN_BYTES_PER_S:
            self._evict(slowest)
            return
        num_slots = Counter(slot.account for slot in self._taken)
        is_new = account not in num_slots
        if not is_full(len(self._taken), self._max_slots, is_newcomer=is_new):
            return
        largest, num_largest = num_slots.most_common(1)[0]
        if not is_new or num_largest <= self._max_slots // 4:
            raise ServerOverloaded(self._sentences.full.format(num=self._max_slots), retry_after_s=RETRY_S)
        self._evict(min((slot for slot in self._taken if slot.account == largest), key=lambda slot: slot.bytes_per_s))

    def _evict(self, slot: UploadSlot) -> None:
        self._taken.discard(slot)
        slot.evict()
