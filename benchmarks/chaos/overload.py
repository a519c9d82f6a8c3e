"""Overload: what a server does with ten times the requests that it can serve, beside what it does with as many.

The server has one core and the load another. Goodput at ten times should be that at one, and refusals quick.
"""

# ruff: noqa: T201 – a program that prints a table

from __future__ import annotations

import os
from dataclasses import replace

from benchmarks.chaos.accounting import Account, account, figure_rows, goodput, outcome_rows, suspect_rows
from benchmarks.chaos.clip_load import clip_server
from benchmarks.chaos.load_process import run_load
from benchmarks.chaos.outcomes import Outcome
from benchmarks.chaos.server_processes import cpu_s

MAX_REQUESTS = 8
TIMES = 10
NUM_CLIENTS = 240  # at ten times, many more than are served, so that those who wait do not lower the rate
WARM_UP_S = 5.0


def overload(seed: int, seconds: float) -> int:
    """The exit code."""
    cores = sorted(os.sched_getaffinity(0))
    own, other = {cores[0]}, {cores[-1]}
    with clip_server({"MAX_REQUESTS": str(MAX_REQUESTS), "RESULT_CACHE_S": "0"}, cores=own) as clips:
        options = replace(clips.load_options(seed, MAX_REQUESTS), duration_s=WARM_UP_S)
        run_load(options, clips.expected, "warm-up", other)
        started = cpu_s(clips.pid)
        once = account(run_load(replace(options, duration_s=seconds), clips.expected, "once", other))
        between = cpu_s(clips.pid)
        rate = TIMES * goodput(once)
        options = replace(options, duration_s=seconds, num_clients=NUM_CLIENTS, pacing_s=NUM_CLIENTS / rate)
        ten_times = account(run_load(options, clips.expected, "ten-times", other))
        ended = cpu_s(clips.pid)
    print_load("1 x", once)
    print_cpu(once, started, between)
    print_load(f"{TIMES} x", ten_times)
    print_cpu(ten_times, between, ended)
    print(f"goodput at {TIMES} x is {goodput(ten_times) / goodput(once):.2f} of that at 1 x")
    print(ten_times.last_line)
    return 0 if once.is_clean and ten_times.is_clean else 1


def print_cpu(whole: Account, before: tuple[float, float], after: tuple[float, float]) -> None:
    """Which tells a server that wastes its core on refusals from one whose core other programs use."""
    server_s, engine_s = (end - begin for begin, end in zip(before, after, strict=True))
    num_right = max(1, whole.num(Outcome.RIGHT))
    a_text = f"{engine_s / num_right:.3f} s of the engine and {server_s / num_right:.3f} s of the server for a text"
    print(f"CPU: engine {engine_s:.1f} s, server {server_s:.1f} s; {a_text}")


def print_load(name: str, whole: Account) -> None:
    begins_s = [record.begin_s for record in whole.records]
    rate = len(begins_s) / (max(begins_s) - min(begins_s))
    print(f"\n{name}: {rate:.1f} requests/s")
    for row in [*outcome_rows(whole), *figure_rows(whole), *suspect_rows(whole)[:20]]:
        print(row)
