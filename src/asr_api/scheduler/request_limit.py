"""`RequestLimit`: refuses requests when too many are open, and those that cannot be done before their deadline."""

from __future__ import annotations

import math
from collections.abc import Sequence

from asr_api.errors import DeadlineUnreachable, ServerOverloaded
from asr_api.fair_share import is_full
from asr_api.request import RequestScope
from asr_api.scheduler.fair_queue import RequestQueue
from asr_api.scheduler.speed import MAX_RETRY_AFTER_S, SpeedMeter, num_windows_ahead, retry_after_s

REFUSAL_RATIO = 2.0  # a request is refused above this ratio of estimated time to time left: estimates are rough


class RequestLimit:
    def __init__(self, queues: Sequence[RequestQueue], speed: SpeedMeter, max_requests: int) -> None:
        """queues: of the open requests, as they are at each moment"""
        self._queues = queues
        self._speed = speed
        self._max_requests = max_requests

    def check_num_requests(self, account: str) -> None:
        """Raises ServerOverloaded."""
        is_new = all(queue.request.account != account for queue in self._queues)
        if is_full(len(self._queues), self._max_requests, is_newcomer=is_new):
            wait_s = retry_after_s(self._queues, self._speed.rtfx)
            raise ServerOverloaded(
                f"The server has {self._max_requests} open requests, the limit (MAX_REQUESTS); retry in {wait_s} s.",
                retry_after_s=wait_s,
            )

    def check_deadline(self, request: RequestScope, window_s: float, audio_s: float = 0.0) -> None:
        """Raises DeadlineUnreachable. A server that has not measured its speed yet refuses nothing.

        audio_s: of the request, if known; its own queue, if it has one, counts for nothing
        """
        left_s = request.left_s
        if math.isinf(left_s) or self._speed.s_per_window is None:
            return
        others = [queue for queue in self._queues if queue.request.listener is not request]
        num_windows = max(1.0, audio_s / window_s)
        needed_s = (num_windows + num_windows_ahead(others, request, num_windows, window_s)) * self._speed.s_per_window
        if needed_s > REFUSAL_RATIO * left_s:
            raise DeadlineUnreachable(
                f"This takes about {needed_s:.0f} s here now, and the request has {max(0.0, left_s):.1f} s left "
                "(timeout); allow more time, or retry later.",
                retry_after_s=min(max(1, math.ceil(needed_s - left_s)), MAX_RETRY_AFTER_S),
            )
