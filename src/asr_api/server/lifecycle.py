"""`ServiceHandle`: holds the service while it loads, runs and drains; tracks open requests and client disconnects.

A request is cancelled when its client disconnects, and when the time to shut down is over.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from asr_api.compose import Service
from asr_api.errors import DeadlineExceeded, DeadlineUnreachable, ModelLoading, ServerDraining, ServerOverloaded
from asr_api.request import RequestScope
from asr_api.server.account_usage import AccountUsage
from asr_api.server.upload_slots import DOWNLOADS, UploadSlot, UploadSlots

RETRY_S = 2
MIN_UPLOAD_SLOTS = 64  # uploads at once, however small MAX_REQUESTS is


class ServiceHandle:
    def __init__(self, service: Service | None = None, *, max_requests: int = 0) -> None:
        """service: None until it is ready; max_requests: as many uploads at once, but at least MIN_UPLOAD_SLOTS"""
        self.service = service
        self.usage = AccountUsage()
        self._upload_slots = UploadSlots(max(MIN_UPLOAD_SLOTS, max_requests))
        self._download_slots = UploadSlots(max(MIN_UPLOAD_SLOTS, max_requests), DOWNLOADS)
        self._open: set[RequestScope] = set()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def ready_service(self) -> Service:
        """Raises ModelLoading until the service is ready."""
        if self.service is None:
            raise ModelLoading("The model is still being loaded; try again in a few seconds.", retry_after_s=RETRY_S)
        return self.service

    @contextlib.asynccontextmanager
    async def upload_slot(self, request: RequestScope, *, is_download: bool = False) -> AsyncIterator[UploadSlot]:
        """Held while audio arrives; a local path needs none. Raises what UploadSlots.slot raises.

        The limits are not the scheduler's, so that slow senders do not use that up, and links have one of their own.
        """
        slots = self._download_slots if is_download else self._upload_slots
        try:
            async with slots.slot(request.account) as slot:
                yield slot
        except ServerOverloaded:
            if self.service is not None:
                self.service.pool.get().metrics.requests["refused"].inc()
            raise

    @contextlib.contextmanager
    def track(self, request: RequestScope) -> Iterator[None]:
        """Counts a request as open while the block runs."""
        self._open.add(request)
        self._is_idle.clear()
        try:
            yield
        finally:
            self._open.discard(request)
            self.usage.release(request)
            if not self._open:
                self._is_idle.set()

    @property
    def num_open(self) -> int:
        return len(self._open)

    async def wait_until_idle(self) -> None:
        await self._is_idle.wait()

    def abort(self) -> None:
        """Cancels all open requests; their clients are asked to send them again."""
        sentence = "The server had to stop before this was transcribed; send it again."
        for request in self._open:
            request.cancel(ServerDraining(sentence, retry_after_s=5))

    @contextlib.asynccontextmanager
    async def running(self, request: RequestScope) -> AsyncIterator[None]:
        """As `RequestScope.running`, around the work for an admitted request; counts one that misses its deadline."""
        try:
            async with request.running():
                yield
        except (DeadlineExceeded, DeadlineUnreachable) as error:
            metrics = self.ready_service().pool.get(request.model).metrics
            metrics.requests["expired" if isinstance(error, DeadlineExceeded) else "refused"].inc()
            raise

    @contextlib.asynccontextmanager
    async def until_disconnect(self, request: RequestScope, receive: Receive) -> AsyncIterator[None]:
        """Around work after the body. Raises ClientDisconnect, and what `running` raises."""
        watch = asyncio.create_task(_cancel_on_disconnect(request, receive))
        try:
            async with self.running(request):
                yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


async def _cancel_on_disconnect(request: RequestScope, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    request.cancel(ClientDisconnect())
