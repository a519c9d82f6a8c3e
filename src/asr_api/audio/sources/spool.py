"""Spool: an open, seekable file filled from a stream; it has no name, so that it never stays behind after a crash."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

import anyio
import anyio.to_thread

from asr_api.errors import BodyTooLarge, RequestError, ServerOverloaded, SpoolFull

FLUSH_BYTES = 2**20  # a write of this size takes a thread under 1 ms, and a hand-over to a thread costs 0.1 ms
RETRY_AFTER_S = 30  # the spools of running requests are freed as they finish
TOO_LARGE = "The media is larger than {:,} bytes (MAX_UPLOAD_MB); compress or split it."
DISK_FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_DESCRIPTOR_ERRNOS = {errno.EMFILE, errno.ENFILE}


class Spool:
    """Owns an open file. The caller closes it, by `async with` or `aclose`."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self.size_bytes = size_bytes  # when the file was filled or opened
        self._file = file
        self._closing: asyncio.Task[None] | None = None

    @property
    def fd(self) -> int:
        """Readable and seekable; read it with `os.pread`, which does not depend on the file position."""
        return self._file.fileno()

    async def aclose(self) -> None:
        """Closes the file in a thread, after any write that runs there. A cancellation ends only the waiting."""
        if self._closing is None:
            self._closing = asyncio.create_task(anyio.to_thread.run_sync(self._file.close))
        # Closing writes the rest, which fails once more when the disk is full.
        with anyio.CancelScope(shield=True), contextlib.suppress(OSError):
            await asyncio.shield(self._closing)

    async def __aenter__(self) -> Spool:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()


async def spool_chunks(
    chunks: AsyncIterator[bytes],
    max_bytes: int,
    *,
    directory: Path | None = None,
    too_large: type[RequestError] = BodyTooLarge,
) -> Spool:
    """Writes chunks of any size to an unnamed file, holding about 1 MiB of them at a time; after an error closes it.

    Errors: `too_large` at `max_bytes`, SpoolFull, ServerOverloaded without a descriptor left, and errors of `chunks`.
    """
    with _temporary_errors():
        # Buffered on purpose: its lock makes closing wait for a write that a cancelled request left in a thread.
        file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115  # the spool owns it
    spool, pending = Spool(file, 0), bytearray()
    async with contextlib.AsyncExitStack() as on_error:
        on_error.push_async_callback(spool.aclose)
        async for chunk in chunks:
            spool.size_bytes += len(chunk)
            if spool.size_bytes > max_bytes:
                raise too_large(TOO_LARGE.format(max_bytes))
            pending += chunk
            if len(pending) >= FLUSH_BYTES:
                await anyio.to_thread.run_sync(_write, file, pending)
                pending = bytearray()
        await anyio.to_thread.run_sync(_write, file, pending)
        on_error.pop_all()
    return spool


@contextlib.contextmanager
def _temporary_errors() -> Iterator[None]:
    """A full disk and a lack of descriptors become errors of errors.py."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL_ERRNOS:
            raise SpoolFull(
                "The server's disk for media is full; try again later.", retry_after_s=RETRY_AFTER_S
            ) from error
        if error.errno in NO_DESCRIPTOR_ERRNOS:
            raise ServerOverloaded("Too many files are open; try again later.", retry_after_s=RETRY_AFTER_S) from error
        raise


@_temporary_errors()
def _write(file: BinaryIO, data: bytearray) -> None:
    file.write(data)
    file.flush()
