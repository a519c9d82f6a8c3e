"""`CrashRecord`: how often the engine crashed with the same content, for an hour, whoever sends it."""

from __future__ import annotations

import time
from collections.abc import Callable

from cachetools import TTLCache

MAX_CRASHES = 3  # with the same content: it is not tried again
SUSPECT_CRASHES = 2  # with the same window: it runs alone from then on, so that the next crash is its own
KILLS_PER_CRASH = 20  # kills from outside say little about a window, but a watchdog may kill the engine for its memory
KEEP_S = 3600.0
MAX_CONTENTS = 10_000
CRASHED = (
    f"The engine crashed {MAX_CRASHES} times while it transcribed this audio, which is not tried again for an hour; "
    "re-encode the audio, or report it."
)


class CrashRecord:
    """Contents are named by their digest: windows by that of their PCM, or files."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._num_crashes: TTLCache[bytes, int] = TTLCache(MAX_CONTENTS, KEEP_S, timer=clock)

    @property
    def is_empty(self) -> bool:
        return not self._num_crashes

    def num_crashes(self, digest: bytes) -> int:
        return self._num_crashes.get(digest, 0)

    def add(self, digest: bytes) -> None:
        self._num_crashes[digest] = self.num_crashes(digest) + 1

    def forget(self, digest: bytes) -> None:
        self._num_crashes.pop(digest, None)
