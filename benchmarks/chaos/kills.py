"""Kills of the engine under load: `kill -9` again and again, each some time after the engine was ready once more."""

# ruff: noqa: T201 – a program that prints a table

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from statistics import median

from benchmarks.chaos.accounting import account, outcome_rows, suspect_rows
from benchmarks.chaos.clip_load import clip_server
from benchmarks.chaos.fault_plan import Fault, FaultKind
from benchmarks.chaos.faults import FaultMaker
from benchmarks.chaos.leaks import is_healthy, read_held, wait_until_settled
from benchmarks.chaos.load_process import run_load, running_load
from benchmarks.chaos.outcomes import Outcome

NUM_CLIENTS = 8
READY_S = (0.2, 2.0)  # from ready to the next kill
RECOVERY_S = 60.0
LONGEST_S = 3600.0


def kill_engines(seed: int, num_kills: int) -> int:
    """The exit code."""
    rng = Random(seed)  # noqa: S311 – it has to be repeatable
    with clip_server() as clips:
        server = clips.server
        options = clips.load_options(seed, NUM_CLIENTS)
        run_load(replace(options, max_requests=50), clips.expected, "warm-up")
        before = read_held(server.port, clips.pid, server.spool_folder)
        maker, times_s = FaultMaker(server, seed), []
        with running_load(replace(options, duration_s=LONGEST_S), clips.expected, "load") as load:
            for _ in range(num_kills):
                load.is_over.wait(rng.uniform(*READY_S))
                maker.made.append(maker.make(FaultKind.ENGINE_KILL, 0.0, load.is_over))
                times_s.append(seconds_until_healthy(server.port, load.is_over))
            load.process.terminate()  # it ends when its clients have their answers
        _, leaks = wait_until_settled(server.port, clips.pid, server.spool_folder, before)
    whole = account(load.records, maker.made, leaks)
    for row in [*outcome_rows(whole), *suspect_rows(whole), *leaks]:
        print(row)
    failed = whole.num(Outcome.FAILED) + whole.num(Outcome.WRONG) + whole.num(Outcome.LOST)
    print(f"{num_made(maker.made)} kills, {failed} failed requests, {failed / num_kills:.2f} a kill")
    print(f"/hc 200 after median {median(times_s):.2f} s, max {max(times_s):.2f} s")
    print(whole.last_line)
    return 0 if whole.is_clean else 1


def num_made(faults: Sequence[Fault]) -> int:
    return sum(fault.is_made for fault in faults)


def seconds_until_healthy(port: int, is_over: threading.Event) -> float:
    """From now, after a kill, whose effect is awaited first."""
    started_s = time.monotonic()
    while is_healthy(port) and time.monotonic() - started_s < 1:
        time.sleep(0.01)
    while not is_healthy(port) and time.monotonic() - started_s < RECOVERY_S and not is_over.is_set():
        time.sleep(0.02)
    return time.monotonic() - started_s
