"""Chunks of any size arrive whole, in an unnamed file, within bounds, without holding up the event loop."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, BinaryIO

import pytest

from asr_api.audio.sources import spool as spool_module
from asr_api.audio.sources.spool import FLUSH_BYTES, spool_chunks
from asr_api.errors import BodyTooLarge, MediaTooLarge, ServerOverloaded, SpoolFull

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def stream(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize("sizes", [[], [0], [1], [5] * 100, [FLUSH_BYTES], [FLUSH_BYTES - 1, 2], [3 * FLUSH_BYTES + 7]])
async def test_what_comes_in_is_in_the_file(sizes: list[int], tmp_path: Path) -> None:
    chunks = [os.urandom(size) for size in sizes]
    with await spool_chunks(stream(chunks), sum(sizes), directory=tmp_path) as spool:
        assert spool.size_bytes == sum(sizes)
        assert os.pread(spool.fd, sum(sizes) + 1, 0) == b"".join(chunks)
        assert os.listdir(tmp_path) == []  # noqa: PTH208


@pytest.mark.parametrize("kind", [BodyTooLarge, MediaTooLarge])
async def test_one_byte_too_many_is_refused_at_once(kind: type[BodyTooLarge | MediaTooLarge]) -> None:
    num_asked = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal num_asked
        while True:
            num_asked += 1
            yield bytes(1000)

    with pytest.raises(kind, match="4,999"):
        await spool_chunks(endless(), 4_999, too_large=kind)
    assert num_asked == 5


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


def test_a_full_disk_is_a_matter_of_time() -> None:
    result = run_limited("RLIMIT_FSIZE, (2**20, 2**20)", "await spool_chunks(megabytes(), 2**30)")
    assert result == f"{SpoolFull.__name__} 30"


def test_so_is_a_lack_of_descriptors() -> None:
    body = "files = []\n        while True: files.append(await spool_chunks(megabytes(), 2**30))"
    assert run_limited("RLIMIT_NOFILE, (20, 20)", body) == f"{ServerOverloaded.__name__} 30"


async def test_the_event_loop_never_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    writers: list[threading.Thread] = []

    def write(file: BinaryIO, data: bytearray) -> None:
        writers.append(threading.current_thread())
        file.write(data)

    monkeypatch.setattr(spool_module, "_write", write)
    with await spool_chunks(stream(bytes(64 * 2**10) for _ in range(100)), 2**27):
        assert len(writers) == 100 // 16 + 1
        assert threading.current_thread() not in writers
