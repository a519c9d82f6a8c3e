"""Growing spool: readers see each chunk as it arrives, and get the error of an upload that breaks off."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import psutil
import pytest

from asr_api.audio.sources import spool as spool_module
from asr_api.audio.sources.growing_spool import GrowingSpool
from asr_api.audio.sources.spool import FLUSH_BYTES, open_unnamed_file
from asr_api.errors import AsrError, BodyTooLarge, InternalError, SpoolFull

pytestmark = pytest.mark.anyio


async def stream(chunks: Iterable[bytes], error: Exception | None = None) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(0)
    if error is not None:
        raise error


@pytest.mark.parametrize("sizes", [[], [0], [1], [5] * 100, [FLUSH_BYTES], [FLUSH_BYTES - 1, 2], [3 * FLUSH_BYTES + 7]])
async def test_a_complete_one_has_all_chunks(sizes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = [os.urandom(size) for size in sizes]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with GrowingSpool(open_unnamed_file()) as spool:
        await spool.fill(stream(chunks), sum(sizes))
        assert (spool.is_complete, spool.size_bytes) == (True, sum(sizes))
        assert os.pread(spool.fd, sum(sizes) + 1, 0) == b"".join(chunks)
        assert not os.listdir(tmp_path)  # noqa: PTH208
        assert spool.digest == hashlib.sha256(b"".join(chunks)).digest()


async def test_a_reader_sees_each_chunk_before_the_next_arrives() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for byte in range(100):
            yield bytes([byte])
            await spool.wait_beyond(byte)
            assert os.pread(spool.fd, 1000, 0) == bytes(range(byte + 1))

    async with GrowingSpool(open_unnamed_file()) as spool:
        await asyncio.wait_for(spool.fill(chunks(), 100), 10)
        await spool.wait_beyond(10**9)


async def test_a_duplicate_grows_too_and_stays_open_alone() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        await may_end.wait()
        yield b"two"

    may_end, spool = asyncio.Event(), GrowingSpool(open_unnamed_file())
    filling = asyncio.create_task(spool.fill(chunks(), 100))
    async with spool.duplicate() as duplicate:
        await duplicate.wait_beyond(0)
        assert (duplicate.size_bytes, duplicate.is_complete) == (3, False)
        may_end.set()
        await filling
        await spool.aclose()
        await duplicate.wait_beyond(100)
        assert (duplicate.size_bytes, duplicate.is_complete) == (6, True)
        assert os.pread(duplicate.fd, 100, 0) == b"onetwo"


async def test_what_arrives_during_a_write_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(spool_module, "write_to_file", lambda _, data: sizes.append(len(data)))
    async with GrowingSpool(open_unnamed_file()) as spool:
        await spool.fill(stream(bytes(2**16) for _ in range(160)), 2**30)
    assert sum(sizes) == 160 * 2**16
    assert max(sizes) <= FLUSH_BYTES
    assert len(sizes) < 160


async def test_one_that_is_too_large_fails_for_readers_too() -> None:
    chunks = iter([bytes(1000)] * 10)
    async with GrowingSpool(open_unnamed_file()) as spool:
        reading = asyncio.create_task(spool.wait_beyond(10**6))
        with pytest.raises(BodyTooLarge, match="4,999"):
            await spool.fill(stream(chunks), 4_999)
        with pytest.raises(BodyTooLarge):
            await reading
        with pytest.raises(BodyTooLarge):
            await spool.wait_beyond(0)
    assert len(list(chunks)) == 5
    assert not spool.is_complete


async def test_a_stream_that_breaks_off_or_is_cancelled_is_an_error_to_readers() -> None:
    before = psutil.Process().num_fds()
    async with GrowingSpool(open_unnamed_file()) as spool:
        with pytest.raises(ConnectionResetError):
            await spool.fill(stream([b"x"], ConnectionResetError()), 100)
        with pytest.raises(InternalError):
            await spool.wait_beyond(5)
    async with GrowingSpool(open_unnamed_file()) as spool:
        endless = stream(bytes(9) for _ in range(10**9))
        filling = asyncio.create_task(spool.fill(endless, 2**40))
        await spool.wait_beyond(100)
        filling.cancel()
        await asyncio.wait([filling])
        with pytest.raises(InternalError):
            await spool.wait_beyond(2**40)
    assert psutil.Process().num_fds() == before


async def test_a_full_disk_is_an_error_to_the_writer_and_to_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise SpoolFull("The disk is full.")

    monkeypatch.setattr(spool_module, "write_to_file", fail)
    async with GrowingSpool(open_unnamed_file()) as spool:
        for reader in (spool.fill(stream(bytes(9) for _ in range(1000)), 2**30), spool.wait_beyond(0)):
            with pytest.raises(AsrError) as caught:
                await reader
            assert caught.type is SpoolFull
