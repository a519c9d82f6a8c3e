"""Spool: chunks are written to an unnamed file, within bounds, without blocking the event loop."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import BinaryIO, cast

import psutil
import pytest

from asr_api.audio.sources.spool import FLUSH_BYTES, Spool, spool_chunks
from asr_api.errors import AsrError, BodyTooLarge, MediaTooLarge, ServerOverloaded, SpoolFull

pytestmark = pytest.mark.anyio


async def stream(chunks: Iterable[bytes], error: Exception | None = None) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    if error is not None:
        raise error


@pytest.mark.parametrize("sizes", [[], [0], [1], [5] * 100, [FLUSH_BYTES], [FLUSH_BYTES - 1, 2], [3 * FLUSH_BYTES + 7]])
async def test_the_file_has_all_chunks(sizes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = [os.urandom(size) for size in sizes]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with await spool_chunks(stream(chunks), sum(sizes)) as spool:
        assert spool.size_bytes == sum(sizes)
        assert os.pread(spool.fd, sum(sizes) + 1, 0) == b"".join(chunks)
        assert spool.digest == hashlib.sha256(b"".join(chunks)).digest()
        assert not os.listdir(tmp_path)  # noqa: PTH208


async def test_a_duplicate_outlives_the_spool_that_it_is_of() -> None:
    before = psutil.Process().num_fds()
    async with await spool_chunks(stream([b"content"]), 7) as spool:
        duplicate = spool.duplicate()
    async with duplicate:
        assert os.pread(duplicate.fd, 8, 0) == b"content"
        assert (duplicate.size_bytes, duplicate.digest) == (7, spool.digest)
        assert not os.get_inheritable(duplicate.fd)
    assert psutil.Process().num_fds() == before


async def test_without_a_descriptor_left_there_is_no_duplicate(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    async with await spool_chunks(stream([b"content"]), 7) as spool:
        monkeypatch.setattr(os, "dup", fail)
        with pytest.raises(ServerOverloaded):
            spool.duplicate()


@pytest.mark.parametrize("error", [BodyTooLarge, MediaTooLarge])
async def test_media_beyond_the_limit_are_refused_at_once(error: type[BodyTooLarge | MediaTooLarge]) -> None:
    chunks = iter([bytes(1000)] * 10)
    with pytest.raises(error, match="4,999"):
        await spool_chunks(stream(chunks), 4_999, too_large=error)
    assert len(list(chunks)) == 5


async def test_a_source_that_fails_leaves_nothing_open() -> None:
    before = psutil.Process().num_fds()
    with pytest.raises(ConnectionResetError):
        await spool_chunks(stream([bytes(10)], ConnectionResetError()), 100)
    assert psutil.Process().num_fds() == before


@pytest.mark.parametrize(
    ("limit", "error"),
    [("RLIMIT_FSIZE, (2**20, 2**20)", SpoolFull), ("RLIMIT_NOFILE, (20, 20)", ServerOverloaded)],
    ids=["disk", "descriptors"],
)
def test_exhausted_resources_are_temporary_errors(limit: str, error: type[AsrError]) -> None:
    """In a process that has a real limit of the system."""
    program = f"""
import asyncio, resource
from asr_api.audio.sources.spool import spool_chunks
from asr_api.errors import AsrError
async def megabytes():
    for _ in range(8):
        yield bytes(2**20)
async def main():
    resource.setrlimit(resource.{limit})
    try:
        files = [await spool_chunks(megabytes(), 2**30) for _ in range(20)]
    except AsrError as error:
        print(type(error).__name__, error.retry_after_s)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout.split() == [error.__name__, "30"]


class FakeFile:
    """Closing blocks until `release` is set; writing fails if `is_full`."""

    def __init__(self, *, is_full: bool = False) -> None:
        self.release = threading.Event()
        self.is_closed = threading.Event()
        self.writers: list[threading.Thread] = []
        self._is_full = is_full

    def write(self, data: bytearray) -> int:
        if self._is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.writers.append(threading.current_thread())
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None:
        assert self.release.wait(5), "the event loop is blocked"
        self.is_closed.set()

    def release_soon(self) -> None:
        """By the event loop, which must run for it."""
        asyncio.get_running_loop().call_later(0.05, self.release.set)


async def test_neither_writing_nor_closing_blocks_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    file = FakeFile()
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: file)
    async with await spool_chunks(stream(bytes(64 * 2**10) for _ in range(100)), 2**27):
        assert len(file.writers) == 100 // 16 + 1
        assert threading.current_thread() not in file.writers
        file.release_soon()
    assert file.is_closed.is_set()


async def test_closing_after_an_error_does_not_block_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    file = FakeFile(is_full=True)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: file)
    file.release_soon()
    with pytest.raises(SpoolFull):
        await spool_chunks(stream([b"x"]), 100)
    assert file.is_closed.is_set()


async def test_a_cancelled_request_closes_its_file() -> None:
    file = FakeFile()
    file.release.set()

    async def request() -> None:
        async with Spool(cast("BinaryIO", file), 0):
            asyncio.get_running_loop().call_soon(task.cancel)  # before the thread that closes the file is started

    task = asyncio.create_task(request())
    await asyncio.wait([task])
    assert task.cancelled()
    assert await asyncio.to_thread(file.is_closed.wait, 5)


def test_a_file_that_is_being_closed_when_the_event_loop_ends_is_closed() -> None:
    file = tempfile.TemporaryFile()  # noqa: SIM115

    async def begin_to_close() -> None:
        Spool(file, 0).close_soon()

    asyncio.run(begin_to_close())
    assert file.closed
