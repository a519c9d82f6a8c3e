"""`SharedTranscriptions`: the same content with the same options is transcribed once for all requests that ask for it.

Clients send a file again after a timeout or a lost connection. The repeat joins the transcription that is running, or
gets its result, which is kept for a while.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from operator import attrgetter

from cachetools import TTLCache

from asr_api.errors import AsrError, RequestError, ServerOverloaded
from asr_api.events import FinalSegments, TranscriptEvent
from asr_api.fair_share import is_full
from asr_api.metrics import Metrics
from asr_api.options import TranscribeOptions

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 5
MAX_KEPT_BYTES = 64 * 2**20  # some 10 hours of speech with words
# Memory of objects with all their numbers and empty strings, in CPython on 64 bits.
RESULT_BYTES = 2048  # with the key
EVENT_BYTES = 512
SEGMENT_BYTES = 640
WORD_BYTES = 224
TOKEN_BYTES = 72  # id and logarithm
TOKEN_TEXT_BYTES = 48
CHARACTER_BYTES = 4  # up to two in most scripts, in the segment and again in its words


@dataclass(frozen=True, slots=True)
class TranscriptionKey:
    """What requests for the same transcript have in common.

    digest: SHA-256 of the content; model: its id; tenant: that of the request scope
    """

    digest: bytes
    options: TranscribeOptions
    model: str
    tenant: str = ""


class SharedTranscription:
    """The events of one transcription so far, for any number of listeners.

    error: what ended it; listeners: their accounts; size_bytes: about, once it is kept
    """

    def __init__(self) -> None:
        self.events: list[TranscriptEvent] = []
        self.is_finished = False
        self.error: BaseException | None = None
        self.listeners: list[str] = []
        self.size_bytes = 0
        self._has_news = asyncio.Event()

    async def event(self, position: int) -> TranscriptEvent | None:
        """As soon as there is one at this position; None after the last. Raises what ended the transcription."""
        while position >= len(self.events) and not self.is_finished:
            await self._has_news.wait()
        if position < len(self.events):
            return self.events[position]
        if self.error is not None:
            raise _copied(self.error)
        return None

    async def collect(self, events: AsyncGenerator[TranscriptEvent, None]) -> None:
        """Reads and closes the generator. Raises nothing but a cancellation; `event` raises the rest."""
        try:
            async with aclosing(events):
                async for event in events:
                    self.events.append(event)
                    self._wake_listeners()
        except BaseException as error:
            self.error = _copied(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self.is_finished = True
            self._wake_listeners()

    def _wake_listeners(self) -> None:
        self._has_news.set()
        self._has_news = asyncio.Event()


class SharedTranscriptions:
    """All transcriptions that are running or kept; to be used from one event loop."""

    def __init__(
        self,
        metrics: Metrics,
        keep_s: float,
        max_listeners: int,
        *,
        max_kept_bytes: int = MAX_KEPT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """keep_s: for which a result is kept, unless others take its place

        max_listeners: of all transcriptions that are running; each holds its own copy of the content until the end
        """
        self._metrics = metrics
        self._keep_s = keep_s
        self._max_listeners = max_listeners
        self._max_kept_bytes = max_kept_bytes
        self._running: dict[TranscriptionKey, SharedTranscription] = {}
        self._tasks: dict[SharedTranscription, asyncio.Task[None]] = {}
        self._kept: TTLCache[TranscriptionKey, SharedTranscription] = TTLCache(
            max_kept_bytes, keep_s, timer=clock, getsizeof=attrgetter("size_bytes")
        )

    async def events(
        self, key: TranscriptionKey, start: Callable[[], AsyncGenerator[TranscriptEvent, None]], account: str = ""
    ) -> AsyncGenerator[TranscriptEvent, None]:
        """All events of the transcription, from the first on. Use it in `contextlib.aclosing(…)`: when the last
        listener closes it before the end, the transcription is cancelled, and has freed everything when that is over.

        start: called if this key is neither running nor kept; what it gives is read by a task of its own, which begins
        before any listener can leave. Raises what the transcription raises (a RequestError is kept as a result is), and
        ServerOverloaded.

        account: of the listener
        """
        shared = self._find(key, account) or self._start(key, start)
        shared.listeners.append(account)
        position = 0
        try:
            while (event := await shared.event(position)) is not None:
                yield event
                position += 1
        finally:
            shared.listeners.remove(account)
            if not shared.listeners and not shared.is_finished:
                await self._cancel(key, shared)

    def __contains__(self, key: TranscriptionKey) -> bool:
        """Whether it is running or kept."""
        return key in self._running or key in self._kept

    def _find(self, key: TranscriptionKey, account: str) -> SharedTranscription | None:
        running = self._running.get(key)
        if running is not None:
            self._check_capacity(key.model, account)
            self._metrics.joined_requests.labels(key.model).inc()
            return running
        kept = self._kept.get(key)
        if kept is not None:
            self._metrics.repeated_requests.labels(key.model).inc()
        return kept

    def _check_capacity(self, model: str, account: str) -> None:
        listeners = [listener for shared in self._running.values() for listener in shared.listeners]
        if is_full(len(listeners), self._max_listeners, is_newcomer=account not in listeners):
            self._metrics.requests.labels(model, "refused").inc()
            raise ServerOverloaded(
                f"The server has {self._max_listeners} open requests, the limit (MAX_REQUESTS); retry in "
                f"{RETRY_AFTER_S} s.",
                retry_after_s=RETRY_AFTER_S,
            )

    def _start(
        self, key: TranscriptionKey, start: Callable[[], AsyncGenerator[TranscriptEvent, None]]
    ) -> SharedTranscription:
        shared = SharedTranscription()
        task = asyncio.create_task(self._run(key, shared, start()))
        self._running[key], self._tasks[shared] = shared, task
        task.add_done_callback(lambda _: self._tasks.pop(shared))
        return shared

    async def _run(
        self, key: TranscriptionKey, shared: SharedTranscription, events: AsyncGenerator[TranscriptEvent, None]
    ) -> None:
        try:
            await shared.collect(events)
        finally:
            if self._running.get(key) is shared:
                del self._running[key]
                self._keep(key, shared)

    def _keep(self, key: TranscriptionKey, shared: SharedTranscription) -> None:
        """Keeps what a repeat would give again, unless it is too large."""
        if shared.error is not None and not isinstance(shared.error, RequestError):
            return
        shared.size_bytes = result_size_bytes(key, shared.events)
        if shared.size_bytes <= self._max_kept_bytes:
            self._kept[key] = shared
            # The cache drops what is too old only when it is used.
            asyncio.get_running_loop().call_later(self._keep_s, self._kept.expire)

    async def _cancel(self, key: TranscriptionKey, shared: SharedTranscription) -> None:
        """Returns when it is closed; a cancellation ends only the waiting."""
        task = self._tasks[shared]
        del self._running[key]  # a request that comes from now on starts anew
        task.cancel()
        await asyncio.wait([task])
        if isinstance(shared.error, Exception) and not isinstance(shared.error, AsrError):
            logger.error("a transcription failed while it was cancelled", exc_info=shared.error)


def _copied(error: BaseException) -> BaseException:
    """Of our errors a copy: each listener raises its own, and the frames of a traceback are not kept."""
    return copy.copy(error) if isinstance(error, AsrError) else error


def result_size_bytes(key: TranscriptionKey, events: Iterable[TranscriptEvent]) -> int:
    """About, rather too much: objects that events share are counted again."""
    decode = key.options.decode
    size_bytes = RESULT_BYTES + CHARACTER_BYTES * (len(decode.prompt) + len(decode.hotwords))
    for event in events:
        size_bytes += EVENT_BYTES
        for segment in (*event.segments, *event.omitted) if isinstance(event, FinalSegments) else ():
            size_bytes += SEGMENT_BYTES + CHARACTER_BYTES * len(segment.text)
            size_bytes += WORD_BYTES * len(segment.words) + TOKEN_BYTES * len(segment.tokens)
            size_bytes += TOKEN_TEXT_BYTES * len(segment.token_bytes)
    return size_bytes
