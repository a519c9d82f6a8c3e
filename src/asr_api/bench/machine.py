"""The memory of a process and of all that it started, as Linux tells it; knows nothing about what they do.

What processes share, such as the pages of a library, is counted once (PSS).
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from types import TracebackType

PROC = Path("/proc")
INTERVAL_S = 0.5


def tree_bytes(pid: int) -> int | None:
    """None where the system does not tell."""
    found = [memory for each in _tree(pid) if (memory := _pss_bytes(each)) is not None]
    return sum(found) if found else None


class PeakMemory:
    """Looks twice a second while the block runs. peak_bytes: None where the system does not tell"""

    def __init__(self, pid: int) -> None:
        self.peak_bytes: int | None = None
        self._pid = pid
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="asr-api-memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            if (now_bytes := tree_bytes(self._pid)) is not None:
                self.peak_bytes = max(now_bytes, self.peak_bytes or 0)
            if self._is_over.wait(INTERVAL_S):
                return


def _tree(pid: int) -> list[int]:
    """The process and its descendants; those that end meanwhile may be missing."""
    pids = [pid]
    for each in pids:
        for task in (PROC / str(each) / "task").glob("*/children"):
            with contextlib.suppress(OSError):
                pids += map(int, task.read_text(encoding="ascii").split())
    return pids


def _pss_bytes(pid: int) -> int | None:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux, or the process has ended
        return None
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
