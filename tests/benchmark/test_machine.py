"""CPU time and memory of a process and its children."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from asr_api.benchmark.machine import peak_memory, read_cpu_s, tree_bytes

BUSY = "import time; kept = bytearray(b'x' * 50_000_000); end = time.process_time() + 0.3\n"
BUSY += "while time.process_time() < end: pass\nprint('done', flush=True); input()"


def test_memory_and_cpu_time_of_a_child_are_counted() -> None:
    """Its memory while it runs, its CPU time also afterwards."""
    before_bytes, before_s = tree_bytes(os.getpid()), read_cpu_s()
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=-1, stdout=-1) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert tree_bytes(os.getpid()) - before_bytes > 45_000_000
        running_s = read_cpu_s()["decoders"] - before_s["decoders"]
        child.communicate(b"\n")
    after_s = read_cpu_s()
    assert 0.25 <= running_s <= after_s["decoders"] - before_s["decoders"] + 0.02
    assert after_s["engine"] == 0, "no process is called asr-api-engine"
    assert tree_bytes(child.pid) == 0


def test_peak_memory_keeps_the_highest_reading() -> None:
    with peak_memory(os.getpid()) as peak_bytes:
        time.sleep(0.1)
        before_bytes = peak_bytes()
        kept = bytearray(b"x" * 50_000_000)
        time.sleep(0.8)
        del kept
        time.sleep(0.6)
    assert peak_bytes() - before_bytes > 45_000_000
