"""`python -m tests.server.leaking_server SCRIPT ARGUMENT…`: the scripted server with a leak: 10 KiB for each request.

The control of `benchmarks.chaos memory`, which has to notice it.
"""

from __future__ import annotations

import runpy
from contextlib import AbstractContextManager

from asr_api.request import RequestScope
from asr_api.scheduler.fair_queue import RequestQueue
from asr_api.scheduler.scheduler import Scheduler

LEAK_BYTES = 10 * 1024
open_queue = Scheduler.open_queue
leaked: list[bytes] = []


def open_and_leak(scheduler: Scheduler, request: RequestScope) -> AbstractContextManager[RequestQueue]:
    leaked.append(bytes(range(256)) * (LEAK_BYTES // 256))
    return open_queue(scheduler, request)


if __name__ == "__main__":
    Scheduler.open_queue = open_and_leak  # type: ignore[method-assign, assignment]
    runpy.run_module("tests.server.scripted_server", run_name="__main__")
