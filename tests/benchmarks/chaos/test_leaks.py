"""benchmarks/chaos/leaks.py: what is left over is named, and a slope of memory is found in noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.chaos.leaks import MIB, POOL_THREADS, Held, find_leaks, gauge_value, memory_slope
from benchmarks.chaos.memory_watch import MemoryWatch
from tests.benchmarks.chaos.records import right

IDLE = Held(
    health=200, open_requests=0, busy_slots=0, queued_windows=0, backlog_seconds=0, descriptors=18,
    engine_descriptors=9, fork_server_descriptors=4, decoders=1, other_children=0, threads=6, spool_files=0,
)  # fmt: skip


def test_a_server_that_holds_what_it_held_before_has_no_leaks() -> None:
    assert find_leaks(IDLE, IDLE) == []
    assert find_leaks(IDLE, replace(IDLE, descriptors=15, decoders=0, threads=6 + POOL_THREADS)) == []


@pytest.mark.parametrize(
    ("change", "leak"),
    [
        ({"health": 503}, "/hc is 503 after the load"),
        ({"open_requests": 1}, "open_requests is 1, not 0"),
        ({"busy_slots": 2}, "busy_slots is 2, not 0"),
        ({"queued_windows": 3}, "queued_windows is 3, not 0"),
        ({"backlog_seconds": 0.5}, "backlog_seconds is 0.5, not 0"),
        ({"descriptors": 19}, "descriptors: 18 before, 19 after"),
        ({"engine_descriptors": 10}, "engine_descriptors: 9 before, 10 after"),
        ({"fork_server_descriptors": 5}, "fork_server_descriptors: 4 before, 5 after"),
        ({"decoders": 2}, "decoders: 1 before, 2 after"),
        ({"other_children": 1}, "other_children: 0 before, 1 after"),
        ({"threads": 7 + POOL_THREADS}, f"threads: 6 before, {7 + POOL_THREADS} after"),
        ({"spool_files": 1}, "spool_files: 0 before, 1 after"),
    ],
)
def test_what_is_left_over_is_named(change: dict[str, float], leak: str) -> None:
    assert find_leaks(IDLE, replace(IDLE, **change)) == [leak]  # type: ignore[arg-type]


def test_a_gauge_is_summed_over_models() -> None:
    page = '# HELP asr_busy_slots …\nasr_busy_slots{model="a"} 2.0\nasr_busy_slots{model="b"} 1.0\nasr_slots 16.0\n'
    assert gauge_value(page, "busy_slots") == 3
    with pytest.raises(ValueError, match="asr_open_requests"):
        gauge_value(page, "open_requests")


def test_the_slope_of_memory_is_found_behind_a_warm_up_and_in_noise() -> None:
    counts = np.arange(0, 5000, 5)
    noise = np.random.default_rng(1).normal(0, 2, len(counts))
    warm_up = np.minimum(counts, 1000) / 10
    assert memory_slope(counts.tolist(), ((200 + warm_up + noise) * MIB).tolist()) == pytest.approx(0, abs=0.2)
    leak = counts / 1000 * 9.8
    assert memory_slope(counts.tolist(), ((200 + warm_up + noise + leak) * MIB).tolist()) == pytest.approx(9.8, abs=0.2)


def test_too_few_measurements_have_no_slope() -> None:
    with pytest.raises(ValueError, match="Too few"):
        memory_slope([10], [1])


def test_memory_is_set_beside_the_number_of_answers_at_that_time() -> None:
    watch = MemoryWatch(times_s=[0.0, 10.0, 20.0], server_bytes=[MIB, 2 * MIB, 3 * MIB])
    records = [right(0, end_s) for end_s in np.linspace(0.02, 20, 1000).tolist()]
    assert watch.slope(watch.server_bytes, records) == pytest.approx(2, rel=0.01)
