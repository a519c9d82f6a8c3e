"""benchmarks/server memory: the parts of a server, and a row for each number of slots."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from asr_api.benchmark.machine import tree_bytes
from benchmarks.server.memory import read_memory
from tests.server.running import environment, serving


def test_the_engine_is_told_from_the_rest_and_nothing_is_left_out(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        memory = read_memory(server.process.pid)
        assert memory.total_mb == pytest.approx(tree_bytes(server.process.pid) / 1e6, rel=0.1)
    assert memory.engine_mb > 10
    assert memory.server_mb > 10


def test_each_number_of_slots_is_measured_while_it_works(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "benchmarks.server", "memory", "--slots", "1,3", "--clip-s", "12", "--rounds", "3"]
    ended = subprocess.run(line, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=True)
    one, three = json.loads(ended.stdout.splitlines()[-1])["slots"]
    assert (one["n_slots"], three["n_slots"]) == (1, 3)
    assert one["most_busy"] == 1
    assert 1 < three["most_busy"] <= 3  # as often as it was looked at
    for row in (one, three):
        assert sum(row["peak"].values()) > sum(row["loaded"].values())
        assert row["loaded"]["engine_mb"] > 50
        assert row["rtfx"] > 0
