"""The machine for ourselves, where others share it: a file is locked while somebody measures or works hard.

Any program can take part: `flock FILE COMMAND`. Turns are short, so the lock is kept over several, and passed on
between two of them after a few minutes.
"""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import TextIO

HOLD_S = 200.0
PASSING_S = 1.0  # how long the lock is left alone, so that one who waits for it gets it


class QuietMachine:
    """Without a file the machine is taken to be ours."""

    def __init__(self, lock: Path | None) -> None:
        self._file: TextIO | None = lock.open("a", encoding="utf-8") if lock else None
        self._since_s = 0.0

    def take(self) -> None:
        """To be called before each turn."""
        if not self._file or (self._since_s and time.monotonic() - self._since_s < HOLD_S):
            return
        if self._since_s:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            time.sleep(PASSING_S)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._since_s = time.monotonic()

    def close(self) -> None:
        if self._file:
            self._file.close()
