"""What a child takes is counted with its parent's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from asr_api.benchmark.machine import cpu_use, read_cpu_times, tree_bytes

TAKES_BOTH = "import time; kept = bytearray(b'x' * 50_000_000); end = time.process_time() + 0.3\n"
TAKES_BOTH += "while time.process_time() < end: pass\nprint('done', flush=True); input()"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


def test_memory_and_time_of_a_child_count_while_it_lives_and_after() -> None:
    before_bytes, before = tree_bytes(os.getpid()), read_cpu_times()
    with subprocess.Popen([sys.executable, "-c", TAKES_BOTH], stdin=-1, stdout=-1) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert (tree_bytes(os.getpid()) or 0) - (before_bytes or 0) > 45_000_000
        living = cpu_use(before, read_cpu_times())
        child.communicate(b"\n")
    ended = cpu_use(before, read_cpu_times())
    assert living is not None
    assert ended is not None
    assert 0.25 <= living.decoders_s <= ended.decoders_s + 0.02
    assert ended.engine_s == 0
