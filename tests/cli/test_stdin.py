"""Stdin as a source: one thread reads it, in order, no faster than it is used, and errors are passed on."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from asr_api.cli.stdin import BLOCK_BYTES, MAX_PENDING_BLOCKS, read_stdin

pytestmark = pytest.mark.anyio
NUM_BLOCKS = 4 * MAX_PENDING_BLOCKS


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads that the test has started."""
    threads: list[threading.Thread] = []
    start = threading.Thread.start

    def record(thread: threading.Thread) -> None:
        threads.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", record)
    return threads


async def test_one_thread_reads_all_of_stdin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, started: list[threading.Thread]
) -> None:
    data = os.urandom(NUM_BLOCKS * BLOCK_BYTES + 1)
    (tmp_path / "data").write_bytes(data)
    with (tmp_path / "data").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert b"".join([block async for block in read_stdin()]) == data
    assert [thread.name for thread in started] == ["asr-api-stdin"]


async def test_stdin_is_read_no_faster_than_it_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(NUM_BLOCKS * BLOCK_BYTES))
    num_used = 0
    with (tmp_path / "data").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        async for _ in read_stdin():
            num_used += 1
            num_read_bytes = os.lseek(file.fileno(), 0, os.SEEK_CUR)
            assert num_read_bytes <= (num_used + MAX_PENDING_BLOCKS) * BLOCK_BYTES
    assert num_used == NUM_BLOCKS


class FolderAsStdin:
    """As after `asr-api transcribe - < folder`."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder, os.O_RDONLY)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)


async def test_stdin_that_cannot_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stdin = FolderAsStdin(tmp_path)
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(IsADirectoryError):
        await anext(read_stdin())
    stdin.close()
