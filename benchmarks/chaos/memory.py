"""Memory over thousands of requests: the slope after a warm-up, and that of a server which leaks on purpose.

The control shows that a leak would be seen: without it a slope of nothing says little.
"""

# ruff: noqa: T201 – a program that prints a table

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.chaos.accounting import account
from benchmarks.chaos.clip_load import clip_server
from benchmarks.chaos.load_process import running_load
from benchmarks.chaos.memory_watch import watching_memory
from benchmarks.chaos.own_server import PROGRAM

NUM_CLIENTS = 8
SCRIPTED = ("-m", "tests.server.scripted_server", "{}")
LEAKING = ("-m", "tests.server.leaking_server", "{}")
MAX_SLOPE = 2.0  # MiB per 1,000 requests; the control leaks 9.8
NUM_CONTROL = 2000


@dataclass(frozen=True, slots=True)
class Slopes:
    """MiB per 1,000 requests."""

    server: float
    engine: float

    @property
    def is_flat(self) -> bool:
        return self.server <= MAX_SLOPE and self.engine <= MAX_SLOPE


def measure_memory(seed: int, num_requests: int, engine: str) -> int:
    """The exit code."""
    slopes = measure_slopes(seed, num_requests, SCRIPTED if engine == "scripted" else PROGRAM)
    control = measure_slopes(seed, min(num_requests, NUM_CONTROL), LEAKING)
    print(f"MiB per 1,000 requests: server {slopes.server:+.2f}, engine {slopes.engine:+.2f}, limit {MAX_SLOPE:g}")
    print(f"control, which leaks: server {control.server:+.2f}, {'not ' if control.is_flat else ''}detected")
    return 0 if slopes.is_flat and not control.is_flat else 1


def measure_slopes(seed: int, num_requests: int, program: Sequence[str]) -> Slopes:
    with clip_server({"RESULT_CACHE_S": "0"}, program=program) as clips:
        options = replace(clips.load_options(seed, NUM_CLIENTS), max_requests=num_requests)
        with watching_memory(clips.pid) as watch, running_load(options, clips.expected, "load") as load:
            load.is_over.wait()
    print(account(load.records).last_line, flush=True)
    server, engine = (watch.slope(num_bytes, load.records) for num_bytes in (watch.server_bytes, watch.engine_bytes))
    return Slopes(server, engine)
