"""Bytes of unknown length → `Spool`: one open, seekable file without a name, of known size.

Nothing named is ever created, so nothing stays behind, not even after `kill -9`. Knows nothing about audio or HTTP.
"""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import anyio.to_thread

from asr_api.errors import AsrError, BodyTooLarge, RequestError, ServerOverloaded, SpoolFull

FLUSH_BYTES = 2**20  # a write of this size takes a thread under 1 ms, and a hand-over to a thread costs 0.1 ms
RETRY_AFTER_S = 30  # the spools of running requests are freed as they finish
TOO_LARGE = "The media is larger than {:,} bytes, the limit here; compress or split it."

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE}


class Spool:
    """Owns an open file; whoever gets one closes it.

    fd:         readable and seekable; readers use `os.pread`, the position belongs to nobody
    size_bytes: when it was filled or opened
    """

    __slots__ = ("_file", "size_bytes")

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self.size_bytes = size_bytes

    @property
    def fd(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def spool_chunks(
    chunks: AsyncIterator[bytes],
    max_bytes: int,
    *,
    directory: Path | None = None,
    too_large: type[RequestError] = BodyTooLarge,
) -> Spool:
    """Streams chunks of any size to an unnamed file, holding about 1 MiB of them at a time.

    Errors: `too_large` as soon as `max_bytes` is passed, SpoolFull when the disk is, ServerOverloaded when the process
    has no descriptor left. Whatever `chunks` raises passes through. The file is gone in every one of these cases.
    """
    file = _open_unnamed(directory)
    try:
        size_bytes = 0
        pending = bytearray()
        async for chunk in _limited(chunks, max_bytes, too_large):
            size_bytes += len(chunk)
            pending += chunk
            if len(pending) >= FLUSH_BYTES:
                await anyio.to_thread.run_sync(_write, file, pending)
                pending = bytearray()
        await anyio.to_thread.run_sync(_write, file, pending)
    except BaseException:
        with contextlib.suppress(OSError):  # a full disk fails once more when the rest is flushed
            file.close()
        raise
    return Spool(file, size_bytes)


async def _limited(chunks: AsyncIterator[bytes], max_bytes: int, too_large: type[RequestError]) -> AsyncIterator[bytes]:
    left_bytes = max_bytes
    async for chunk in chunks:
        left_bytes -= len(chunk)
        if left_bytes < 0:
            raise too_large(TOO_LARGE.format(max_bytes))
        yield chunk


def _open_unnamed(directory: Path | None) -> BinaryIO:
    """Buffered on purpose: its lock makes `close` wait for a write that a cancelled request left in a thread."""
    try:
        return tempfile.TemporaryFile(dir=directory)
    except OSError as error:
        raise _refusal(error) from error


def _write(file: BinaryIO, data: bytearray) -> None:
    try:
        file.write(data)
        file.flush()
    except OSError as error:
        raise _refusal(error) from error


def _refusal(error: OSError) -> AsrError | OSError:
    if error.errno in _FULL:
        return SpoolFull("The server's disk for incoming media is full; try again later.", retry_after_s=RETRY_AFTER_S)
    if error.errno in _NO_DESCRIPTORS:
        return ServerOverloaded("The server has too many files open; try again later.", retry_after_s=RETRY_AFTER_S)
    return error
