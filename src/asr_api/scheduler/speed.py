"""`SpeedMeter`: how fast the engine works, and the estimate for Retry-After that follows from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from asr_api.scheduler.fair_queue import RequestQueue

MAX_RETRY_AFTER_S = 120  # clients ignore longer waits
INITIAL_RTFX = 10.0
MEMORY_S = 60.0


class SpeedMeter:
    """Seconds of audio per second of work (RTFx), over about the last minute of work.

    It starts with a guess that weighs as much as one second of work.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last_s = clock()
        self._is_busy = False
        self._audio_s = INITIAL_RTFX
        self._busy_s = 1.0

    def note(self, *, is_busy: bool, audio_s: float = 0.0) -> None:
        """is_busy: the engine has work from now on; audio_s: audio that it has just finished"""
        now_s = self._clock()
        if self._is_busy:
            self._busy_s += now_s - self._last_s
        self._last_s, self._is_busy = now_s, is_busy
        self._audio_s += audio_s
        if self._busy_s > MEMORY_S:
            self._busy_s /= 2
            self._audio_s /= 2

    @property
    def rtfx(self) -> float:
        return self._audio_s / self._busy_s


def retry_after_s(queues: Sequence[RequestQueue], rtfx: float) -> int:
    """Whole seconds until the first of these requests should be done, in [1, MAX_RETRY_AFTER_S].

    With equal shares, the request with the least left is done after all requests were served as much.
    """
    known_s = [queue.remaining_s for queue in queues if queue.submitted_s or queue.unsubmitted_s]
    first_s = min(known_s, default=0.0) * len(queues) / rtfx
    return min(max(1, math.ceil(first_s)), MAX_RETRY_AFTER_S)
