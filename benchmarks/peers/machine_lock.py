"""Lock of a shared machine: a file that is locked while a program measures or needs all cores.

Any program can take part: `flock FILE COMMAND`. Turns are short, so the lock is kept for several of them; after a few
minutes it is released once between two turns.
"""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import TextIO

HOLD_S = 200.0
RELEASE_S = 1.0  # so that another program that waits for the lock gets it


class MachineLock:
    """Without a file it does nothing."""

    def __init__(self, lock: Path | None) -> None:
        self._file: TextIO | None = lock.open("a", encoding="utf-8") if lock else None
        self._since_s = 0.0

    def acquire(self) -> None:
        """Call it before each turn."""
        if not self._file or (self._since_s and time.monotonic() - self._since_s < HOLD_S):
            return
        if self._since_s:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            time.sleep(RELEASE_S)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._since_s = time.monotonic()

    def close(self) -> None:
        if self._file:
            self._file.close()
