"""Stdin as a source: one thread reads it, in order, no faster than it is used, and errors are passed on."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from asr_api.cli.stdin import BLOCK_BYTES, MAX_PENDING_BLOCKS, read_stdin

pytestmark = pytest.mark.anyio
NUM_BLOCKS = 4 * MAX_PENDING_BLOCKS


async def test_one_thread_reads_no_faster_than_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = os.urandom(NUM_BLOCKS * BLOCK_BYTES + 1)
    (tmp_path / "data").write_bytes(data)
    blocks: list[bytes] = []
    threads: set[threading.Thread] = set()
    with (tmp_path / "data").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        async for block in read_stdin():
            blocks.append(block)
            threads |= {thread for thread in threading.enumerate() if thread.name == "asr-api-stdin"}
            num_read_bytes = os.lseek(file.fileno(), 0, os.SEEK_CUR)
            assert num_read_bytes <= (len(blocks) + MAX_PENDING_BLOCKS) * BLOCK_BYTES
    assert b"".join(blocks) == data
    assert len(threads) == 1


async def test_stdin_that_cannot_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As after `asr-api transcribe - < folder`."""
    folder = os.open(tmp_path, os.O_RDONLY)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: folder))
    with pytest.raises(IsADirectoryError):
        await anext(read_stdin())
    os.close(folder)
