"""`EarlyTranscriptions`: transcriptions that begin while their upload arrives; a slow one then ends with its text.

Nobody gets their events before the upload is complete and the decoder has found that its beginning was decoded as it is
in the complete file.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from asr_api.errors import AsrError
from asr_api.events import TranscriptEvent
from asr_api.options import TranscribeOptions
from asr_api.request import RequestScope
from asr_api.shared_transcriptions import SharedTranscription

logger = logging.getLogger(__name__)

# Parts of MAX_REQUESTS: slow senders must not keep out requests whose audio is there.
RUNNING_PART = 4  # at most a quarter of it begin early
OPEN_PART = 2  # and none when half of it are open

Start = Callable[[Callable[[], None]], AsyncGenerator[TranscriptEvent, None]]
"""What to call as soon as all events are known to be those of the complete file → the events"""


class EarlyTranscription:
    """One, in a task of its own. Its owner closes it, unless its events are taken; then they are closed instead.

    options, request: what it was begun with
    """

    def __init__(
        self,
        options: TranscribeOptions,
        request: RequestScope,
        start: Start,
        on_given_up: Callable[[], None],
    ) -> None:
        """on_given_up: called if the request ends before its upload is complete"""
        self.options = options
        self.request = request
        self._on_given_up = on_given_up
        self._is_taken = False
        self._is_replaced = False
        self._is_usable: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._transcription = SharedTranscription()
        self.task = asyncio.create_task(self._run(start))

    async def _run(self, start: Start) -> None:
        try:
            await self._transcription.collect(start(lambda: self._settle(is_usable=True)))
        finally:
            self._settle(is_usable=False)

    def _settle(self, *, is_usable: bool) -> None:
        """The first call counts: later errors are those of the complete file."""
        if self._is_usable.done():
            return
        self._is_usable.set_result(is_usable)
        error = self._transcription.error
        if isinstance(error, Exception) and not isinstance(error, AsrError):
            logger.error("a transcription that began early failed and begins again", exc_info=error)

    async def events(
        self, start_again: Callable[[], AsyncGenerator[TranscriptEvent, None]]
    ) -> AsyncGenerator[TranscriptEvent, None]:
        """All events, from the first on, or those of `start_again` if it has failed while the upload arrived.

        Use it in `contextlib.aclosing(…)`: closing it cancels the transcription, and has freed everything when that is
        over. Raises what the transcription raises.
        """
        self._is_taken = True
        try:
            if is_usable := await asyncio.shield(self._is_usable):
                position = 0
                while (event := await self._transcription.event(position)) is not None:
                    yield event
                    position += 1
        finally:
            await self._end()
        if not is_usable:
            async with aclosing(start_again()) as events:
                async for event in events:
                    yield event

    def cancel(self) -> None:
        """Another transcription takes its place."""
        self._is_replaced = True
        self.task.cancel()

    async def aclose(self) -> None:
        """Cancels it if its events are not taken; then it has freed everything when this returns."""
        if not self._is_taken:
            await self._end()
            if not self._is_replaced:
                self._on_given_up()

    async def _end(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


class EarlyTranscriptions:
    """Those of one service."""

    def __init__(self, max_requests: int) -> None:
        self._max_running = max_requests // RUNNING_PART
        self._max_open = max_requests // OPEN_PART
        self._running: set[EarlyTranscription] = set()

    def has_capacity(self, num_open_requests: int) -> bool:
        """num_open_requests: of the model"""
        return len(self._running) < self._max_running and num_open_requests < self._max_open

    def begin(
        self, options: TranscribeOptions, request: RequestScope, start: Start, on_given_up: Callable[[], None]
    ) -> EarlyTranscription:
        early = EarlyTranscription(options, request, start, on_given_up)
        self._running.add(early)
        early.task.add_done_callback(lambda _: self._running.discard(early))
        return early
