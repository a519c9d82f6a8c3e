"""Spool: chunks of any size are written to an unnamed file, within bounds, without blocking the event loop."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest

from asr_api.audio.sources import spool as spool_module
from asr_api.audio.sources.spool import FLUSH_BYTES, Spool, spool_chunks
from asr_api.errors import BodyTooLarge, MediaTooLarge, ServerOverloaded, SpoolFull

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def stream(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize("sizes", [[], [0], [1], [5] * 100, [FLUSH_BYTES], [FLUSH_BYTES - 1, 2], [3 * FLUSH_BYTES + 7]])
async def test_the_file_has_all_chunks(sizes: list[int], tmp_path: Path) -> None:
    chunks = [os.urandom(size) for size in sizes]
    async with await spool_chunks(stream(chunks), sum(sizes), directory=tmp_path) as spool:
        assert spool.size_bytes == sum(sizes)
        assert os.pread(spool.fd, sum(sizes) + 1, 0) == b"".join(chunks)
        assert os.listdir(tmp_path) == []  # noqa: PTH208


@pytest.mark.parametrize("error", [BodyTooLarge, MediaTooLarge])
async def test_one_byte_too_many_is_refused_at_once(error: type[BodyTooLarge | MediaTooLarge]) -> None:
    num_chunks = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal num_chunks
        while True:
            num_chunks += 1
            yield bytes(1000)

    with pytest.raises(error, match="4,999"):
        await spool_chunks(endless(), 4_999, too_large=error)
    assert num_chunks == 5


async def test_a_source_that_fails_leaves_nothing_open() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(10)
        raise ConnectionResetError

    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(ConnectionResetError):
        await spool_chunks(broken(), 100)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def run_limited(limit: str, body: str) -> str:
    """Runs a program whose process has a real limit of the system."""
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
        {body}
    except AsrError as error:
        print(type(error).__name__, error.retry_after_s)
asyncio.run(main())
"""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout.strip()


def test_a_full_disk_is_temporary() -> None:
    result = run_limited("RLIMIT_FSIZE, (2**20, 2**20)", "await spool_chunks(megabytes(), 2**30)")
    assert result == f"{SpoolFull.__name__} 30"


def test_a_lack_of_descriptors_is_temporary() -> None:
    body = "files = []\n        while True: files.append(await spool_chunks(megabytes(), 2**30))"
    assert run_limited("RLIMIT_NOFILE, (20, 20)", body) == f"{ServerOverloaded.__name__} 30"


async def test_writing_does_not_run_on_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    writers: list[threading.Thread] = []

    def write(file: BinaryIO, data: bytearray) -> None:
        writers.append(threading.current_thread())
        file.write(data)

    monkeypatch.setattr(spool_module, "_write", write)
    async with await spool_chunks(stream(bytes(64 * 2**10) for _ in range(100)), 2**27):
        assert len(writers) == 100 // 16 + 1
        assert threading.current_thread() not in writers


class SlowFile:
    """Closing blocks until `release` is set; writing fails if `is_full`."""

    def __init__(self, *, is_full: bool = False) -> None:
        self.release = threading.Event()
        self.is_closed = threading.Event()
        self._is_full = is_full

    def write(self, data: bytearray) -> int:
        if self._is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None:
        assert self.release.wait(5), "the event loop is blocked"
        self.is_closed.set()

    def release_soon(self) -> None:
        """By the event loop, which must run for it."""
        asyncio.get_running_loop().call_later(0.05, self.release.set)


async def test_closing_does_not_block_the_event_loop() -> None:
    file = SlowFile()
    file.release_soon()
    async with Spool(cast("BinaryIO", file), 0):
        pass
    assert file.is_closed.is_set()


async def test_closing_after_an_error_does_not_block_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    file = SlowFile(is_full=True)
    monkeypatch.setattr(spool_module, "_open_unnamed", lambda _directory: file)
    file.release_soon()
    with pytest.raises(SpoolFull):
        await spool_chunks(stream([b"x"]), 100)
    assert file.is_closed.is_set()


async def test_a_cancelled_request_closes_its_file_all_the_same() -> None:
    file = SlowFile()
    file.release.set()

    async def request() -> None:
        async with Spool(cast("BinaryIO", file), 0):
            asyncio.get_running_loop().call_soon(task.cancel)  # before the thread that closes the file is started

    task = asyncio.create_task(request())
    await asyncio.wait([task])
    assert task.cancelled()
    assert await asyncio.to_thread(file.is_closed.wait, 5)
