"""Where requests find the transcriber: before it can work, while it works, and while it comes to its end.

In: the work of a request and the channel on which its client may say that it is gone. Out: the work's result.
Work is cancelled at once when its client leaves, and when the server may wait no longer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from asr_api.errors import ModelLoading, ServerDraining, ServerOverloaded
from asr_api.server.upload_slots import UploadSlot, UploadSlots
from asr_api.transcriber import Transcriber

RETRY_S = 2
MIN_RECEIVING = 64  # recordings that may come in at once, however few may be worked on
T = TypeVar("T")


class ServiceHandle:
    def __init__(self, transcriber: Transcriber | None = None, *, max_requests: int = 0) -> None:
        """max_requests: that may be worked on or wait; as many recordings may come in, but at least MIN_RECEIVING"""
        self.transcriber = transcriber
        self._receiving = UploadSlots(max(MIN_RECEIVING, max_requests))
        self._aborted = asyncio.Event()
        self._num_inside = 0
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    def enter(self) -> Transcriber:
        """The transcriber. Raises ModelLoading as long as there is none."""
        if self.transcriber is None:
            raise ModelLoading("The model is still being loaded; try again in a few seconds.", retry_after_s=RETRY_S)
        return self.transcriber

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """From the door to the reply."""
        self._num_inside += 1
        self._is_empty.clear()
        try:
            yield
        finally:
            self._num_inside -= 1
            if not self._num_inside:
                self._is_empty.set()

    @property
    def num_inside(self) -> int:
        return self._num_inside

    async def wait_until_empty(self) -> None:
        """Returns when nobody is inside; close the door first."""
        await self._is_empty.wait()

    @contextlib.asynccontextmanager
    async def receiving(self) -> AsyncIterator[UploadSlot]:
        """While audio comes in, by upload or download; raises as UploadSlots.place does.

        Places for transcribing are the scheduler's, so that slow senders take none of them.
        """
        try:
            async with self._receiving.place() as place:
                yield place
        except ServerOverloaded:
            if self.transcriber is not None:
                self.transcriber.metrics.requests.labels("refused").inc()
            raise

    def abort(self) -> None:
        """Ends all work that still runs, each with an error that tells its client to come back."""
        self._aborted.set()

    async def run(self, work: Coroutine[Any, Any, T], receive: Receive | None = None) -> T:
        """The result of `work`. receive: once the body was read, so that only a disconnect can be received.

        Raises ClientDisconnect when the client leaves first, and ServerDraining when the server stops first.
        """
        working = asyncio.ensure_future(work)
        aborting = asyncio.ensure_future(self._aborted.wait())
        leaving = asyncio.ensure_future(_disconnected(receive)) if receive else None
        tasks = [task for task in (working, aborting, leaving) if task]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            if leaving and leaving.done():
                raise ClientDisconnect
            raise ServerDraining("The server had to stop before this was transcribed; send it again.", retry_after_s=5)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
