"""The load with chaos: a calm run, the load with faults, the account of every request, and what is left over."""

# ruff: noqa: T201 – a program that prints a table

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.chaos.accounting import Account, account, fault_rows, figure_rows, outcome_rows, suspect_rows
from benchmarks.chaos.fault_plan import plan_faults
from benchmarks.chaos.faults import FaultMaker
from benchmarks.chaos.leaks import read_held, wait_until_settled
from benchmarks.chaos.load_options import LoadOptions
from benchmarks.chaos.load_process import run_load, running_load
from benchmarks.chaos.media_server import serving_media
from benchmarks.chaos.memory_watch import MemoryWatch, watching_memory
from benchmarks.chaos.outcomes import Expected
from benchmarks.chaos.own_server import OwnServer, own_server, port_of
from benchmarks.chaos.recordings import HOUR, TEN_MINUTES, clip_names, make_recordings, sample_names, write_recordings
from benchmarks.chaos.references import all_references, learn_references

NUM_WARM_UP = 200  # requests, before it is measured what the server holds
MIN_SLOPE_REQUESTS = 2000
FAIR_MARGIN = 1.5  # of a client's share of the server
WARM_UP_SEED_STEP = 1


def soak(url: str | None, minutes: float, seed: int, num_clients: int) -> int:
    """The exit code."""
    recordings = asyncio.run(make_recordings())
    with ExitStack() as stack:
        if url is None:
            server = stack.enter_context(own_server(has_small_disk=True))
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="asr-api-chaos-")))
            server = OwnServer(port_of(url), None, folder)
            print("The server is not this program's own: it gets the load, no faults, and is not searched for leaks.")
        if url is None and not server.is_small_disk:
            print("No small disk could be mounted (it takes root), so the spools' disk is never full in this run.")
        media_url = stack.enter_context(serving_media(recordings))
        write_recordings(recordings, server.folder)
        names = [*clip_names(), *sample_names(), TEN_MINUTES, HOUR]
        expected, calm_s = learn_references(server.port, all_references(names), recordings)
        print(f"calm run: {len(expected)} answers learned, {1 / calm_s:.0f} s of audio a second", flush=True)
        patience = calm_s * num_clients * FAIR_MARGIN
        options = LoadOptions(
            server.port, seed, num_clients, str(server.folder), media_url, minutes * 60, s_per_audio_s=patience
        )
        whole = measure_chaos(server, options, expected)
    print_account(whole)
    return 0 if whole.is_clean else 1


def measure_chaos(server: OwnServer, options: LoadOptions, expected: Mapping[str, Expected]) -> Account:
    if server.pid is None:
        return account(run_load(options, expected, "load"))
    warm_up = replace(options, seed=options.seed + WARM_UP_SEED_STEP, max_requests=NUM_WARM_UP)
    run_load(warm_up, expected, "warm-up")
    time.sleep(2)
    before = read_held(server.port, server.pid, server.spool_folder)
    maker = FaultMaker(server, options.seed)
    with (
        watching_memory(server.pid) as memory,
        running_load(options, expected, "load") as load,
    ):
        plan = plan_faults(options.seed, options.duration_s)
        maker.run(plan, time.monotonic(), load.is_over)
    settled_s, leaks = wait_until_settled(server.port, server.pid, server.spool_folder, before)
    print(f"\nhealthy, idle and as small as before {settled_s:.1f} s after the load" if not leaks else "")
    print_log(server)
    print_memory(memory, account(load.records))
    return account(load.records, maker.made, leaks)


def print_log(server: OwnServer) -> None:
    lines = server.log.read_text(encoding="utf-8", errors="replace").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("Traceback")]
    print(f"log: {len(lines):,} lines, {len(starts):,} tracebacks")
    for text in sorted({"\n".join(lines[max(0, start - 1) : start + 1]) for start in starts}):
        print(f"    {text[:300]}")


def print_memory(memory: MemoryWatch, whole: Account) -> None:
    first, last = memory.server_bytes[0] / 2**20, memory.server_bytes[-1] / 2**20
    slope = "too few requests for a slope"
    if len(whole.records) >= MIN_SLOPE_REQUESTS:
        slope = f"slope {memory.slope(memory.server_bytes, whole.records):+.2f} MiB per 1,000 requests"
    print(f"memory of the server: {first:.0f} MiB, at the end {last:.0f}, {slope}")


def print_account(whole: Account) -> None:
    print()
    for row in [*outcome_rows(whole), "", *fault_rows(whole), "", *figure_rows(whole), ""]:
        print(row)
    for row in [*suspect_rows(whole), *(f"leaked: {leak}" for leak in whole.leaks)]:
        print(row)
    print(whole.last_line)
