"""What a server holds when nothing is asked of it, and what is left over after a load; the slope of its memory."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import psutil

from benchmarks.chaos.server_processes import find_processes, unnamed_files

GAUGES = ("open_requests", "busy_slots", "queued_windows", "backlog_seconds")
SETTLE_S = 45.0
MIB = 2**20
POOL_THREADS = 8  # of the pools of Python and anyio, which start and end as they like


@dataclass(frozen=True, slots=True)
class Held:
    """health: status of /hc; the rest are counts that may not grow"""

    health: int
    open_requests: float
    busy_slots: float
    queued_windows: float
    backlog_seconds: float
    descriptors: int
    engine_descriptors: int
    fork_server_descriptors: int
    decoders: int
    other_children: int
    threads: int
    spool_files: int


def read_held(port: int, server_pid: int, spool_folder: Path) -> Held:
    page = _get(port, "/metrics")[1]
    gauges = {gauge: gauge_value(page, gauge) for gauge in GAUGES}
    processes = find_processes(server_pid)
    engine, fork_server = processes.engine, processes.fork_server
    return Held(
        health=_get(port, "/hc")[0],
        **gauges,
        descriptors=processes.server.num_fds(),
        engine_descriptors=engine.num_fds() if engine else 0,
        fork_server_descriptors=fork_server.num_fds() if fork_server else 0,
        decoders=len(processes.decoders),
        other_children=len(processes.others),
        threads=processes.server.num_threads(),
        spool_files=len(unnamed_files(server_pid, spool_folder)),
    )


def gauge_value(page: str, name: str) -> float:
    """Summed over models. Raises ValueError if the page has no such metric."""
    values = re.findall(rf"^asr_{name}(?:\{{.*\}})? (\S+)$", page, re.MULTILINE)
    if not values:
        raise ValueError(f"/metrics has no asr_{name}.")
    return sum(map(float, values))


def find_leaks(before: Held, after: Held) -> list[str]:
    """A sentence for each thing of which there is more than before; the engine must be healthy and idle."""
    leaks = [] if after.health == 200 else [f"/hc is {after.health} after the load"]
    leaks += [f"{name} is {value:g}, not 0" for name in GAUGES if (value := getattr(after, name)) != 0]
    for field in fields(Held):
        if field.name in {"health", *GAUGES}:
            continue
        num_before, num_after = getattr(before, field.name), getattr(after, field.name)
        allowed = num_before + (POOL_THREADS if field.name == "threads" else 0)
        if num_after > allowed:
            leaks.append(f"{field.name}: {num_before} before, {num_after} after")
    return leaks


def wait_until_settled(port: int, server_pid: int, spool_folder: Path, before: Held) -> tuple[float, list[str]]:
    """Seconds until nothing is left over, and what is left over if that takes too long."""
    started_s = time.monotonic()
    leaks = ["nothing was measured"]
    while leaks and time.monotonic() - started_s < SETTLE_S:
        time.sleep(0.2)
        try:
            leaks = find_leaks(before, read_held(port, server_pid, spool_folder))
        except (OSError, psutil.Error) as error:
            leaks = [f"the server does not answer: {error}"]
    return time.monotonic() - started_s, leaks


def memory_slope(num_requests: Sequence[float], num_bytes: Sequence[float], warm_up: float = 0.3) -> float:
    """MiB per 1,000 requests by least squares, without the first share of the requests, during which pools fill.

    num_requests: that were done when num_bytes was measured, ascending
    """
    counts = np.asarray(num_requests, float)
    is_warm = counts >= warm_up * counts[-1] if len(counts) else counts
    if len(counts) < 2 or np.ptp(counts[is_warm]) == 0:
        raise ValueError("Too few measurements for a slope; let it run longer.")
    return float(np.polyfit(counts[is_warm] / 1000, np.asarray(num_bytes, float)[is_warm] / MIB, 1)[0])


def is_healthy(port: int) -> bool:
    try:
        return _get(port, "/hc", timeout_s=2)[0] == 200
    except OSError:
        return False


def _get(port: int, path: str, timeout_s: float = 10) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout_s) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
