"""Helper for tests that start the command as a process of its own."""

from __future__ import annotations

import time

import psutil


def wait_for_engine(pid: int, timeout_s: float = 20) -> None:
    """Until the process has started its engine process."""
    deadline_s = time.monotonic() + timeout_s
    while "asr-api-engine" not in {child.name() for child in psutil.Process(pid).children()}:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
