"""Fair queue: which window goes next into a free slot, shares of requests in seconds of audio, reserved slots.

Self-clocked fair queueing; plain bookkeeping without engine, clock or metrics.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from asr_api.engines.protocol import WindowJob
from asr_api.pcm import SAMPLE_RATE_HZ
from asr_api.request import RequestScope
from asr_api.scheduler.crash_record import KILLS_PER_CRASH, SUSPECT_CRASHES
from asr_api.transcript import WindowTranscript

URGENT_UNTIL_S = 30.0  # of a request's audio: a clip is urgent, a long file only at its beginning
MIN_COST_S = 1.0  # a window costs the encoder something however short it is
MIN_QUEUE_SLOTS = 4  # with fewer at once, an engine gets markedly slower
RECENT_ARRIVAL_WINDOWS = 64  # while so few were served since requests last overlapped, slots are kept for newcomers


@dataclass(slots=True, eq=False)
class AccountShare:
    """The open requests of one account. virtual_s: seconds of audio they were served, on a scale of all accounts"""

    queues: list[RequestQueue] = field(default_factory=list)
    virtual_s: float = 0.0
    now_s: float = 0.0  # virtual time of its request that was served last


@dataclass(slots=True, eq=False)
class RequestQueue:
    """The windows of one request.

    held:            windows that were submitted and are not finished: waiting, or in the engine
    num_pieces:      pieces that were cut and are not transcribed completely
    has_capacity:    set when it may have become able to hold one more of them
    share:           of its account
    virtual_s:       seconds of audio it was served, on a scale of all requests of its account
    submitted_s:     audio that was submitted so far; continuations count again
    unsubmitted_s:   audio that will be submitted later, as far as it is known
    """

    request: RequestScope = field(default_factory=RequestScope)
    waiting: deque[QueuedWindow] = field(default_factory=deque)
    held: set[QueuedWindow] = field(default_factory=set)
    num_running: int = 0
    num_pieces: int = 0
    has_capacity: asyncio.Event = field(default_factory=asyncio.Event)
    share: AccountShare = field(default_factory=AccountShare)
    virtual_s: float = 0.0
    submitted_s: float = 0.0
    unsubmitted_s: float = 0.0

    @property
    def next_cost_s(self) -> float:
        """Of its next window."""
        return max(MIN_COST_S, self.waiting[0].audio_s)

    @property
    def remaining_s(self) -> float:
        return self.unsubmitted_s + sum(window.audio_s for window in self.held)


@dataclass(eq=False)
class QueuedWindow:
    """One window on its way through the engine.

    num_crashes: of the engine while it held this content, as far as they count
    num_kills:   of the engine, from outside, while it held this window
    """

    queue: RequestQueue
    job: WindowJob
    result: asyncio.Future[WindowTranscript]
    queued_s: float
    admitted_s: float = 0.0
    num_crashes: int = 0
    num_kills: int = 0

    @property
    def audio_s(self) -> float:
        return len(self.job.pcm) / SAMPLE_RATE_HZ

    @property
    def is_suspect(self) -> bool:
        return self.num_crashes >= SUSPECT_CRASHES

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(self.job.pcm.data).digest()

    def count_kill(self) -> bool:
        """Whether the kills now weigh as much as one more crash."""
        self.num_kills += 1
        return self.num_kills % KILLS_PER_CRASH == 0

    def leave_engine(self) -> None:
        """For good; a window that was lost in a crash is pushed again instead."""
        self.queue.num_running -= 1
        self.queue.held.discard(self)

    def fail(self, error: Exception) -> None:
        self.queue.held.discard(self)
        if not self.result.done():
            self.result.set_exception(error)


class FairQueue:
    """Self-clocked fair queueing (Golestani, 1994) in two levels: the next window is that of the account with the
    lowest virtual time after it, and in an account that of the request with the lowest one. A new request starts at the
    virtual time of the request that was served last: a clip goes before the queued windows of long files, and a stream
    of clips delays a file by no more than their share. Accounts have equal shares, however many requests each of them
    has open. Requests with a higher priority go first.

    One slot in five is reserved for requests with no window in the engine, so that a clip need not wait for a slot. A
    long file fills the other slots, but only a quarter of all while requests have recently overlapped: the slots share
    the engine's time, and on a processor a quarter of them is nearly as fast as all.
    """

    def __init__(self) -> None:
        self.queues: list[RequestQueue] = []
        self._shares: dict[str, AccountShare] = {}  # by account
        self._now_s = 0.0  # virtual time of the account that was served last
        self._num_served = RECENT_ARRIVAL_WINDOWS  # windows served since a request arrived beside others
        self._retries: deque[QueuedWindow] = deque()  # lost in a crash of the engine
        self._suspects: deque[QueuedWindow] = deque()  # one of them may be the cause of the crashes

    @property
    def num_waiting(self) -> int:
        return sum(len(queue.waiting) for queue in self.queues) + len(self._retries) + len(self._suspects)

    def open_queue(self, request: RequestScope) -> RequestQueue:
        share = self._shares.setdefault(request.account, AccountShare())
        queue = RequestQueue(request, share=share)
        share.queues.append(queue)
        if self.queues:
            self._num_served = 0
        self.queues.append(queue)
        return queue

    def close_queue(self, queue: RequestQueue) -> None:
        self.queues.remove(queue)
        queue.share.queues.remove(queue)
        if not queue.share.queues:
            del self._shares[queue.request.account]
        self._retries = deque(window for window in self._retries if window.queue is not queue)
        self._suspects = deque(window for window in self._suspects if window.queue is not queue)

    def is_urgent(self, queue: RequestQueue) -> bool:
        """Whether the next window of this request should be encoded before those of others, if there are any."""
        return queue.submitted_s < URGENT_UNTIL_S and len(self.queues) > 1

    def push(self, window: QueuedWindow, *, is_next: bool) -> None:
        """is_next: it goes before the other windows of its request, because it continues an earlier one"""
        queue, share = window.queue, window.queue.share
        if not any(other.waiting for other in share.queues):
            share.virtual_s = max(share.virtual_s, self._now_s)
        if not queue.waiting:
            queue.virtual_s = max(queue.virtual_s, share.now_s)
        if is_next:
            queue.waiting.appendleft(window)
        else:
            queue.waiting.append(window)
        queue.held.add(window)

    def push_front(self, windows: Sequence[QueuedWindow]) -> None:
        """Windows that were taken already run before all others; the suspects among them run alone."""
        self._suspects.extend(window for window in windows if window.is_suspect)
        self._retries.extendleft(window for window in reversed(windows) if not window.is_suspect)

    def pop(self, free_slots: int, n_slots: int, running: Collection[QueuedWindow]) -> QueuedWindow | None:
        """The window that should enter the engine now, if any."""
        if free_slots <= 0 or any(window.is_suspect for window in running):
            return None
        if self._suspects:
            return None if running else self._suspects.popleft()
        if self._retries:
            return self._retries.popleft()
        has_recent_arrival = self._num_served < RECENT_ARRIVAL_WINDOWS
        max_running = max(MIN_QUEUE_SLOTS, n_slots // 4) if has_recent_arrival else n_slots
        if free_slots <= num_reserved_slots(n_slots):
            max_running = 1
        queue = self._next_queue(max_running)
        if queue is None:
            return None
        share, cost_s = queue.share, queue.next_cost_s
        queue.virtual_s += cost_s
        share.virtual_s += cost_s
        share.now_s = max(share.now_s, queue.virtual_s)
        self._now_s = max(self._now_s, share.virtual_s)
        self._num_served += 1
        return queue.waiting.popleft()

    def _next_queue(self, max_running: int) -> RequestQueue | None:
        """max_running: of one request"""

        def by_request(queue: RequestQueue) -> tuple[float, float, int]:
            return -queue.request.priority, queue.virtual_s + queue.next_cost_s, queue.num_running

        def by_account(queue: RequestQueue) -> tuple[float, float, int]:
            return -queue.request.priority, queue.share.virtual_s + queue.next_cost_s, queue.num_running

        firsts: list[RequestQueue] = []
        for share in self._shares.values():
            queues = [queue for queue in share.queues if queue.waiting and queue.num_running < max_running]
            if queues:
                firsts.append(min(queues, key=by_request))
        return min(firsts, key=by_account, default=None)


def num_reserved_slots(n_slots: int) -> int:
    """Slots that are for the first window of a request only."""
    return n_slots // 5
