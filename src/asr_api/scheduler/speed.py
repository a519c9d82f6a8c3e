"""`SpeedMeter`: how fast the engine works, and the estimates of waiting times that follow from it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

from asr_api.request import RequestScope
from asr_api.scheduler.fair_queue import RequestQueue

MAX_RETRY_AFTER_S = 120  # clients ignore longer waits
INITIAL_RTFX = 10.0
MEMORY_S = 60.0
MIN_MEASURED_WINDOWS = 8


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
        self._work_s = 0.0  # as _busy_s, without the guess
        self._num_windows = 0.0

    def note(self, *, is_busy: bool, audio_s: float = 0.0) -> None:
        """is_busy: the engine has work from now on; audio_s: of the window that it has just finished, if any"""
        now_s = self._clock()
        if self._is_busy:
            self._busy_s += now_s - self._last_s
            self._work_s += now_s - self._last_s
        self._last_s, self._is_busy = now_s, is_busy
        self._audio_s += audio_s
        self._num_windows += audio_s > 0
        if self._busy_s > MEMORY_S:
            self._busy_s /= 2
            self._audio_s /= 2
            self._work_s /= 2
            self._num_windows /= 2

    @property
    def rtfx(self) -> float:
        return self._audio_s / self._busy_s

    @property
    def s_per_window(self) -> float | None:
        """Seconds of work per window; None until enough windows were measured.

        A short window costs nearly as much as a full one, so this tells the time of a long file even on a server that
        has transcribed nothing but clips.
        """
        return self._work_s / self._num_windows if self._num_windows >= MIN_MEASURED_WINDOWS else None


def retry_after_s(queues: Sequence[RequestQueue], rtfx: float) -> int:
    """Whole seconds until the first of these requests should be done, in [1, MAX_RETRY_AFTER_S].

    With equal shares, the request with the least left is done after all requests were served as much.
    """
    known_s = [queue.remaining_s for queue in queues if queue.submitted_s or queue.unsubmitted_s]
    first_s = min(known_s, default=0.0) * len(queues) / rtfx
    return min(max(1, math.ceil(first_s)), MAX_RETRY_AFTER_S)


def num_windows_ahead(
    queues: Sequence[RequestQueue], request: RequestScope, num_windows: float, window_s: float
) -> float:
    """About how many windows of these requests run before the last of so many windows of this one.

    Requests of a higher priority go first. Of the others, each account is served as much as that of this request, which
    divides its share among its own requests.
    """
    num_ahead = 0.0
    num_of_account: defaultdict[str, float] = defaultdict(float)
    num_siblings = 1 + sum(queue.request.account == request.account for queue in queues)
    for queue in queues:
        num_left = max(len(queue.held), queue.remaining_s / window_s)
        if queue.request.priority > request.priority:
            num_ahead += num_left
        elif queue.request.priority == request.priority and queue.request.account == request.account:
            num_ahead += min(num_left, num_windows)
        elif queue.request.priority == request.priority:
            num_of_account[queue.request.account] += num_left
    return num_ahead + sum(min(num_left, num_windows * num_siblings) for num_left in num_of_account.values())
