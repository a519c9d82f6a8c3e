"""`counted_wait`: waits for a future with a timeout that does not run while this process or its machine is paused."""

from __future__ import annotations

import asyncio
from typing import Any

MAX_TICK_S = 0.25


async def counted_wait(future: asyncio.Future[Any], timeout_s: float) -> float:
    """Returns when `future` is done, or after `timeout_s`: how long it waited. Neither is raised or cancelled.

    It counts in ticks: one that took longer than it was meant to was a pause, and counts as one tick.
    """
    loop = asyncio.get_running_loop()
    waited_s = 0.0
    while True:
        tick_s = min(MAX_TICK_S, max(0.0, timeout_s - waited_s))
        started_s = loop.time()
        await asyncio.wait([future], timeout=tick_s)  # wait_for of Python 3.11 may swallow a cancellation
        waited_s += min(tick_s, loop.time() - started_s)
        if future.done() or waited_s >= timeout_s:
            return waited_s
