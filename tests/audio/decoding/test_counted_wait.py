"""A wait with a timeout that a pause of the process does not use up."""

from __future__ import annotations

import asyncio
import time

import pytest

from asr_api.audio.decoding.counted_wait import counted_wait

pytestmark = pytest.mark.anyio


async def test_a_pause_of_the_process_counts_as_one_tick() -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_soon(time.sleep, 1.0)
    loop.call_later(1.1, future.set_result, None)
    assert await counted_wait(future, 0.6) < 0.5
    assert future.done()


async def test_it_ends_with_the_timeout_and_leaves_the_future_pending() -> None:
    future = asyncio.get_running_loop().create_future()
    assert await counted_wait(future, 0.3) == pytest.approx(0.3)
    assert not future.done()
    assert await counted_wait(future, -1.0) == 0


async def test_it_ends_with_the_future_and_raises_no_error_of_it() -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_later(0.05, future.set_exception, OSError())
    assert 0.04 < await counted_wait(future, 60.0) < 5
    assert isinstance(future.exception(), OSError)
