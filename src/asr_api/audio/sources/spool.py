"""Spool: an open, seekable file filled from a stream; it has no name, so that it never stays behind after a crash."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import BinaryIO, Self

import anyio
import anyio.to_thread

from asr_api.audio.sources.spool_budget import RETRY_AFTER_S, SpoolBudget, SpoolReservation
from asr_api.errors import BodyTooLarge, RequestError, ServerOverloaded, SpoolFull

FLUSH_BYTES = 2**20  # a write of this size takes a thread under 1 ms, and a hand-over to a thread costs 0.1 ms
TOO_LARGE = "The media is larger than {:,} bytes (MAX_UPLOAD_MB); compress or split it."
DISK_FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_DESCRIPTOR_ERRNOS = {errno.EMFILE, errno.ENFILE}


class Spool:
    """Owns an open file. The caller closes it, by `async with` or `aclose`."""

    is_complete = True  # False while a `GrowingSpool` is filled

    def __init__(
        self,
        file: BinaryIO,
        size_bytes: int,
        digest: bytes | None = None,
        reservation: SpoolReservation | None = None,
    ) -> None:
        """digest: SHA-256 of the content; None for a file that others may change

        reservation: of a budget, for a file that is filled; released here
        """
        self.size_bytes = size_bytes  # when the file was filled or opened
        self.digest = digest
        self.reservation = reservation or SpoolBudget(sys.maxsize).reserve()
        self._file = file
        self._closing: asyncio.Task[None] | None = None

    @property
    def fd(self) -> int:
        """Readable and seekable; read it with `os.pread`, which does not depend on the file position."""
        return self._file.fileno()

    def duplicate(self) -> Spool:
        """Another owner of the same file, closed by itself. Raises ServerOverloaded without a descriptor left."""
        return Spool(self._duplicate_file(), self.size_bytes, self.digest, self.reservation.shared())

    def _duplicate_file(self) -> BinaryIO:
        with _temporary_errors():
            fd = os.dup(self.fd)
        return os.fdopen(fd, "rb", buffering=0)

    async def wait_beyond(self, size_bytes: int) -> None:
        """Returns when more than `size_bytes` have arrived, or when the spool is complete."""

    async def aclose(self) -> None:
        """Closes the file in a thread, after any write that runs there. A cancellation ends only the waiting."""
        # Closing writes the rest, which fails once more when the disk is full.
        with anyio.CancelScope(shield=True), contextlib.suppress(OSError):
            await asyncio.shield(self.close_soon())

    def close_soon(self) -> asyncio.Task[None]:
        """As `aclose`, without waiting."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close_file())
            self._closing.add_done_callback(lambda _: self.reservation.release())
        return self._closing

    async def _close_file(self) -> None:
        try:
            await anyio.to_thread.run_sync(self._file.close)
        except asyncio.CancelledError:  # at the end of the event loop, perhaps before the thread began
            self._file.close()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()


async def spool_chunks(
    chunks: AsyncIterator[bytes],
    max_bytes: int,
    *,
    too_large: type[RequestError] = BodyTooLarge,
    reservation: SpoolReservation | None = None,
) -> Spool:
    """Writes chunks of any size to an unnamed file, holding about 1 MiB of them at a time; after an error closes it.

    Errors: `too_large` at `max_bytes`, SpoolFull, ServerOverloaded without a descriptor left, and errors of `chunks`.
    """
    file = open_unnamed_file()
    spool, writer, pending = Spool(file, 0, None, reservation), SpoolWriter(file), bytearray()
    async with contextlib.AsyncExitStack() as on_error:
        on_error.push_async_callback(spool.aclose)
        async for chunk in chunks:
            spool.size_bytes += len(chunk)
            check_size(spool.size_bytes, max_bytes, too_large)
            spool.reservation.grow(len(chunk))
            pending += chunk
            if len(pending) >= FLUSH_BYTES:
                await anyio.to_thread.run_sync(writer.write, pending)
                pending = bytearray()
        await anyio.to_thread.run_sync(writer.write, pending)
        spool.digest = writer.digest()
        on_error.pop_all()
    return spool


def check_size(size_bytes: int, max_bytes: int, too_large: type[RequestError]) -> None:
    if size_bytes > max_bytes:
        raise too_large(TOO_LARGE.format(max_bytes))


def open_unnamed_file() -> BinaryIO:
    """Errors: SpoolFull, ServerOverloaded without a descriptor left."""
    with _temporary_errors():
        # Buffered on purpose: its lock makes closing wait for a write that a cancelled request left in a thread.
        return tempfile.TemporaryFile()


@contextlib.contextmanager
def _temporary_errors() -> Iterator[None]:
    """A full disk and a lack of descriptors become our errors."""
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
def write_to_file(file: BinaryIO, data: bytearray) -> None:
    file.write(data)
    file.flush()


class SpoolWriter:
    """Writes to a file, and computes the digest of what it has written. `write` blocks: call it in a thread."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: bytearray) -> None:
        write_to_file(self._file, data)
        self._hash.update(data)

    def digest(self) -> bytes:
        return self._hash.digest()
