"""`LostWindows`: what was in the engine when it crashed or was killed runs again, except for what crashes it each time.

A window that was in it at two crashes runs alone, so that the next crash is its own. Its content is remembered, so that
neither another request nor a client that leaves and comes again costs the engine more than three crashes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

from asr_api.errors import CrashingAudio, RequestCrashedWorker
from asr_api.scheduler.crash_record import CRASHED, MAX_CRASHES, CrashRecord
from asr_api.scheduler.fair_queue import FairQueue, QueuedWindow

logger = logging.getLogger(__name__)


class LostWindows:
    def __init__(self, queue: FairQueue, clock: Callable[[], float]) -> None:
        self._queue = queue
        self._crashes = CrashRecord(clock)

    def requeue(self, lost: Sequence[QueuedWindow], *, is_killed: bool) -> None:
        """Those that have left their request count, too, and do not run again.

        is_killed: from outside, which is no sign against the windows, unless it happens again and again
        """
        for digest in {window.digest for window in lost if not is_killed or window.count_kill()}:
            self._crashes.add(digest)
        for window in lost:
            window.queue.num_running -= 1
            window.num_crashes = self._crashes.num_crashes(window.digest)
            if window.num_crashes >= MAX_CRASHES:
                logger.error("request %s: %s", window.queue.request.request_id or "unknown", CRASHED)
                window.fail(RequestCrashedWorker(CRASHED))
        self._queue.push_front([window for window in lost if not window.result.done()])

    def pop(self, free_slots: int, num_slots: int, running: Collection[QueuedWindow]) -> QueuedWindow | None:
        """As FairQueue.pop; fails windows whose content has crashed the engine before."""
        while window := self._queue.pop(free_slots, num_slots, running):
            if self._crashes.is_empty:
                return window
            window.num_crashes = self._crashes.num_crashes(window.digest)
            if window.num_crashes >= MAX_CRASHES:
                window.fail(CrashingAudio(CRASHED))
            elif window.is_suspect and running:
                self._queue.push_front([window])
            else:
                return window
        return None

    def clear(self, window: QueuedWindow) -> None:
        """It was transcribed."""
        if window.num_crashes:
            self._crashes.forget(window.digest)
