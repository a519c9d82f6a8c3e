"""Clients that disconnect at five stages of a request, many at once; afterwards the server holds what it held."""

# ruff: noqa: T201 – a program that prints a table

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random

from benchmarks.chaos.client import LEFT, send
from benchmarks.chaos.clip_load import ClipServer, clip_server
from benchmarks.chaos.http_requests import http_request
from benchmarks.chaos.leaks import read_held, wait_until_settled
from benchmarks.chaos.planned_requests import LEAVING, Manner, PlannedRequest, leaving_request

NUM_CLIENTS = 16
NUM_WARM_UP = 50
PATIENCE_S = 60.0


def disconnect(seed: int, num: int) -> int:
    """The exit code."""
    rng = Random(seed)  # noqa: S311 – it has to be repeatable
    plan = [leaving_request(number, LEAVING[number % len(LEAVING)], rng) for number in range(NUM_WARM_UP + num)]
    with clip_server({"RESULT_CACHE_S": "0"}) as clips:
        server = clips.server
        send_all(clips, plan[:NUM_WARM_UP])
        _, leaks = wait_until_settled(
            server.port, clips.pid, server.spool_folder, read_held(server.port, clips.pid, server.spool_folder)
        )
        before = read_held(server.port, clips.pid, server.spool_folder)
        left = send_all(clips, plan[NUM_WARM_UP:])
        settled_s, leaks = wait_until_settled(server.port, clips.pid, server.spool_folder, before)
        after = read_held(server.port, clips.pid, server.spool_folder)
    print(f"before {before}\nafter  {after}")
    for leak in leaks:
        print(f"leaked: {leak}")
    stages = ", ".join(f"{left[manner]} {manner.value}" for manner in LEAVING)
    print(f"{left.total():,} of {num:,} disconnected ({stages}); idle after {settled_s:.1f} s, {len(leaks)} leaked")
    return 0 if left.total() == num and not leaks else 1


def send_all(clips: ClipServer, plan: Sequence[PlannedRequest]) -> Counter[Manner]:
    """How many left, by manner."""

    def has_left(planned: PlannedRequest) -> bool:
        request = http_request(planned, clips.recordings, "")
        return send(clips.server.port, request, planned.manner, PATIENCE_S).problem == LEFT

    with ThreadPoolExecutor(NUM_CLIENTS) as pool:
        return Counter(planned.manner for planned, left in zip(plan, pool.map(has_left, plan), strict=True) if left)
