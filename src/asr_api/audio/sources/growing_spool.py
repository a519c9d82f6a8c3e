"""Growing spool: a spool that one task fills from a stream while others read what has arrived."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import BinaryIO

import anyio.to_thread

from asr_api.audio.sources.spool import FLUSH_BYTES, Spool, SpoolWriter, check_size
from asr_api.audio.sources.spool_budget import SpoolReservation
from asr_api.errors import AsrError, BodyTooLarge, InternalError

BROKEN_OFF = "The media broke off while they arrived; send them again."


class GrowingSpool(Spool):
    """Filled by one call of `fill`, after which it is complete or has failed.

    size_bytes: how many can be read by now; digest: None until it is complete
    """

    def __init__(self, file: BinaryIO, reservation: SpoolReservation | None = None) -> None:
        super().__init__(file, 0, None, reservation)
        self.is_complete = False
        self._writer = SpoolWriter(file)
        self._error: AsrError | None = None
        self._has_changed = asyncio.Event()  # replaced at each change
        self._pending = bytearray()  # has arrived and is not written yet
        self._writing: asyncio.Task[None] | None = None

    async def fill(self, chunks: AsyncIterator[bytes], max_bytes: int) -> None:
        """Writes chunks of any size, of which readers see each at once. Readers get an error, too.

        Errors: BodyTooLarge at `max_bytes`, SpoolFull, and errors of `chunks`, for which readers get InternalError
        unless they are AsrError.
        """
        try:
            num_bytes = 0
            async for chunk in chunks:
                num_bytes += len(chunk)
                check_size(num_bytes, max_bytes, BodyTooLarge)
                self.reservation.grow(len(chunk))
                await self._write(chunk)
            await self._finish_writing()
            self.digest = self._writer.digest()
            self.is_complete = True
        except BaseException as error:
            self._error = error if isinstance(error, AsrError) else InternalError(BROKEN_OFF)
            raise
        finally:
            self._announce()

    async def wait_beyond(self, size_bytes: int) -> None:
        """Returns when more than `size_bytes` can be read, or when the spool is complete; raises its error."""
        while not self.is_complete:
            if self._error is not None:
                raise self._error
            if self.size_bytes > size_bytes:
                break
            await self._has_changed.wait()

    def duplicate(self) -> Spool:
        """It grows, too, and stays open when this one is closed, which is filled or has failed by then."""
        return super().duplicate() if self.is_complete else _FollowingSpool(self._duplicate_file(), self)

    async def aclose(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
        await super().aclose()

    async def _write(self, chunk: bytes) -> None:
        """Writes in the background. What arrives meanwhile is the next write, and waits when it becomes too large."""
        self._pending += chunk
        if self._writing is not None and self._writing.done():
            await self._finish_writing()
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_pending())
        if len(self._pending) >= FLUSH_BYTES:
            await self._finish_writing()

    async def _write_pending(self) -> None:
        while self._pending:
            data, self._pending = self._pending, bytearray()
            await anyio.to_thread.run_sync(self._writer.write, data)
            self.size_bytes += len(data)
            self._announce()

    async def _finish_writing(self) -> None:
        """Raises the error of the writing, if there was one."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    def _announce(self) -> None:
        self._has_changed.set()
        self._has_changed = asyncio.Event()


class _FollowingSpool(Spool):
    """A duplicate of a spool that is filled; what has arrived there is known here after `wait_beyond`."""

    is_complete = False

    def __init__(self, file: BinaryIO, filled: GrowingSpool) -> None:
        super().__init__(file, filled.size_bytes, None, filled.reservation.shared())
        self._filled = filled

    async def wait_beyond(self, size_bytes: int) -> None:
        await self._filled.wait_beyond(size_bytes)
        self.size_bytes, self.is_complete = self._filled.size_bytes, self._filled.is_complete
