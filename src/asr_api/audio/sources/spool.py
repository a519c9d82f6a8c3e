"""Spool: one open, seekable file without a name and of known size; `spool_chunks` fills one from a stream of bytes.

No named file is ever created, so nothing stays behind, not even after `kill -9`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import anyio
import anyio.to_thread

from asr_api.errors import AsrError, BodyTooLarge, RequestError, ServerOverloaded, SpoolFull

FLUSH_BYTES = 2**20  # a write of this size takes a thread under 1 ms, and a hand-over to a thread costs 0.1 ms
RETRY_AFTER_S = 30  # the spools of running requests are freed as they finish
TOO_LARGE = "The media is larger than {:,} bytes, the limit; compress or split it."
DISK_FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_DESCRIPTOR_ERRNOS = {errno.EMFILE, errno.ENFILE}


class Spool:
    """Owns an open file; the caller that gets one closes it: by `async with` or `aclose` where an event loop runs.

    fd:         readable and seekable; read it with `os.pread`, which does not depend on the file position
    size_bytes: when it was filled or opened
    """

    __slots__ = ("_closing", "_file", "size_bytes")

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._file = file
        self._closing: asyncio.Task[None] | None = None

    @property
    def fd(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        """Blocks while a cancelled request's write runs in a thread; for callers without an event loop."""
        self._file.close()

    async def aclose(self) -> None:
        """Closes the file in a thread. A cancellation ends the waiting alone; the file is closed all the same."""
        if self._closing is None:
            self._closing = asyncio.create_task(anyio.to_thread.run_sync(self._file.close))
        with anyio.CancelScope(shield=True):
            await asyncio.shield(self._closing)

    async def __aenter__(self) -> Spool:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def spool_chunks(
    chunks: AsyncIterator[bytes],
    max_bytes: int,
    *,
    directory: Path | None = None,
    too_large: type[RequestError] = BodyTooLarge,
) -> Spool:
    """Writes chunks of any size to an unnamed file, holding about 1 MiB of them at a time.

    Errors: `too_large` as soon as `max_bytes` is passed, SpoolFull when the disk is full, ServerOverloaded when the
    process has no descriptor left. Errors of `chunks` pass through. After an error the file is closed.
    """
    file = _open_unnamed(directory)
    spool = Spool(file, 0)
    try:
        pending = bytearray()
        async for chunk in _limited(chunks, max_bytes, too_large):
            spool.size_bytes += len(chunk)
            pending += chunk
            if len(pending) >= FLUSH_BYTES:
                await anyio.to_thread.run_sync(_write, file, pending)
                pending = bytearray()
        await anyio.to_thread.run_sync(_write, file, pending)
    except BaseException:
        with contextlib.suppress(OSError):  # closing flushes the rest, and fails once more when the disk is full
            await spool.aclose()
        raise
    return spool


async def _limited(chunks: AsyncIterator[bytes], max_bytes: int, too_large: type[RequestError]) -> AsyncIterator[bytes]:
    left_bytes = max_bytes
    async for chunk in chunks:
        left_bytes -= len(chunk)
        if left_bytes < 0:
            raise too_large(TOO_LARGE.format(max_bytes))
        yield chunk


def _open_unnamed(directory: Path | None) -> BinaryIO:
    """Buffered on purpose: its lock makes closing wait for a write that a cancelled request left in a thread."""
    try:
        return tempfile.TemporaryFile(dir=directory)
    except OSError as error:
        raise _spool_error(error) from error


def _write(file: BinaryIO, data: bytearray) -> None:
    try:
        file.write(data)
        file.flush()
    except OSError as error:
        raise _spool_error(error) from error


def _spool_error(error: OSError) -> AsrError | OSError:
    if error.errno in DISK_FULL_ERRNOS:
        return SpoolFull("The server's disk for incoming media is full; try again later.", retry_after_s=RETRY_AFTER_S)
    if error.errno in NO_DESCRIPTOR_ERRNOS:
        return ServerOverloaded("The server has too many open files; try again later.", retry_after_s=RETRY_AFTER_S)
    return error
