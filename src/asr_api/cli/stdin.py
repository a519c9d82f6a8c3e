"""Stdin as an asynchronous stream of blocks, read by a daemon thread, which cannot delay the exit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator

from asr_api.errors import PathNotFound

BLOCK_BYTES = 2**16
MAX_PENDING_BLOCKS = 16


async def read_stdin() -> AsyncIterator[bytes]:
    """Blocks until the end of stdin. Raises PathNotFound when it is closed, and OSError when it cannot be read."""
    if sys.stdin is None:
        raise PathNotFound("Stdin is closed; pipe a recording into it.")
    file, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    results: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    free = threading.Semaphore(MAX_PENDING_BLOCKS)

    def read_all() -> None:
        result: bytes | OSError | None = None
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the rest is not needed
            while result != b"" and not isinstance(result, OSError):
                free.acquire()
                try:
                    result = os.read(file, BLOCK_BYTES)
                except OSError as error:
                    result = error
                loop.call_soon_threadsafe(results.put_nowait, result)

    threading.Thread(target=read_all, name="asr-api-stdin", daemon=True).start()
    while result := await results.get():
        if isinstance(result, OSError):
            raise result
        free.release()
        yield result
