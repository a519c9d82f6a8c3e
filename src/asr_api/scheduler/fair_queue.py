"""Whose window is next: self-clocked fair queueing over requests, counted in audio seconds.

In: windows with their queues, and how many slots are free. Out: one window at a time. All of it is plain bookkeeping;
it knows nothing about engines, clocks or metrics.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from asr_api.engines.protocol import WindowJob
from asr_api.pcm import SAMPLE_RATE_HZ
from asr_api.transcript import WindowTranscript

URGENT_UNTIL_S = 30.0  # the audio of a request that is urgent, so that a clip is and a long file soon is not
MIN_COST_S = 1.0  # a window costs the encoder something however short it is
MIN_ENOUGH_SLOTS = 4  # with fewer at once, an engine gets markedly slower
RECENT_ARRIVAL_WINDOWS = 64  # whoever came within so many may well be back
SUSPECT_DEATHS = 2  # a window that saw as many deaths of the engine runs alone


@dataclass(slots=True, eq=False)
class RequestQueue:
    """One request's place in the queue.

    held:          what it submitted and is not finished: waiting, or in the engine
    num_windows:   windows that were cut and are not yet heard to their end
    room:          set when it may have become able to hold one more of them
    virtual_s:     audio seconds it was served, on the scale that all queues share
    submitted_s:   audio that was submitted so far, parts that are heard again each time
    unsubmitted_s: audio that will be submitted later, as far as anybody knows
    """

    waiting: deque[QueuedWindow] = field(default_factory=deque)
    held: set[QueuedWindow] = field(default_factory=set)
    num_running: int = 0
    num_windows: int = 0
    room: asyncio.Event = field(default_factory=asyncio.Event)
    virtual_s: float = 0.0
    submitted_s: float = 0.0
    unsubmitted_s: float = 0.0

    @property
    def next_virtual_s(self) -> float:
        """Where it will be when its next window was served."""
        return self.virtual_s + max(MIN_COST_S, self.waiting[0].audio_s)

    @property
    def remaining_s(self) -> float:
        return self.unsubmitted_s + sum(ticket.audio_s for ticket in self.held)


@dataclass(slots=True, eq=False)
class QueuedWindow:
    """One window on its way. num_deaths: how often the engine died while it was inside."""

    queue: RequestQueue
    job: WindowJob
    heard: asyncio.Future[WindowTranscript]
    queued_s: float
    admitted_s: float = 0.0
    num_deaths: int = 0

    @property
    def audio_s(self) -> float:
        return len(self.job.pcm) / SAMPLE_RATE_HZ

    @property
    def is_suspect(self) -> bool:
        return self.num_deaths >= SUSPECT_DEATHS


class FairQueue:
    """Next is the queue that will be least far with its next window (self-clocked fair queueing: Golestani, 1994). Who
    comes starts where the latest served queue is: a clip goes before what long files have queued, and even clips that
    come all the time can't keep a file waiting for longer than their share.

    One slot in five is only for queues with nothing in the engine, so that a clip need not wait for a slot. A file fills
    the others, but only a quarter where somebody has come beside it lately: the slots share the engine's time, and on a
    processor a quarter does nearly as much as all.
    """

    def __init__(self) -> None:
        self.queues: list[RequestQueue] = []
        self._now_s = 0.0  # virtual time: where the latest served queue is
        self._num_alone = RECENT_ARRIVAL_WINDOWS  # windows that were served since somebody came and wasn't alone
        self._retries: deque[QueuedWindow] = deque()  # they were in an engine that died
        self._suspects: deque[QueuedWindow] = deque()  # one of them may have killed it

    @property
    def num_waiting(self) -> int:
        return sum(len(queue.waiting) for queue in self.queues) + len(self._retries) + len(self._suspects)

    def open_queue(self) -> RequestQueue:
        queue = RequestQueue()
        if self.queues:
            self._num_alone = 0
        self.queues.append(queue)
        return queue

    def close_queue(self, queue: RequestQueue) -> None:
        self.queues.remove(queue)
        self._retries = deque(ticket for ticket in self._retries if ticket.queue is not queue)
        self._suspects = deque(ticket for ticket in self._suspects if ticket.queue is not queue)

    def is_urgent(self, queue: RequestQueue) -> bool:
        """Whether what it submits next should pass the windows of others, if there are any."""
        return queue.submitted_s < URGENT_UNTIL_S and len(self.queues) > 1

    def push(self, ticket: QueuedWindow, *, is_next: bool) -> None:
        """is_next: before the queue's other windows; it is the rest of an earlier one."""
        queue = ticket.queue
        if not queue.waiting:
            queue.virtual_s = max(queue.virtual_s, self._now_s)
        if is_next:
            queue.waiting.appendleft(ticket)
        else:
            queue.waiting.append(ticket)
        queue.held.add(ticket)

    def push_front(self, tickets: Sequence[QueuedWindow]) -> None:
        """Windows that lost their engine run again before all others, and the suspects among them alone."""
        for ticket in tickets:
            ticket.queue.num_running -= 1
        self._suspects.extend(ticket for ticket in tickets if ticket.is_suspect)
        self._retries.extendleft(ticket for ticket in reversed(tickets) if not ticket.is_suspect)

    def pop(self, free_slots: int, n_slots: int, running: Collection[QueuedWindow]) -> QueuedWindow | None:
        """The window that should enter the engine now, if any."""
        if free_slots <= 0 or any(ticket.is_suspect for ticket in running):
            return None
        if self._suspects:
            return self._suspects.popleft() if free_slots == n_slots else None
        if self._retries:
            return self._retries.popleft()
        lane_slots = n_slots if self._num_alone >= RECENT_ARRIVAL_WINDOWS else max(MIN_ENOUGH_SLOTS, n_slots // 4)
        if free_slots <= num_kept_slots(n_slots):
            lane_slots = 1
        queues = [queue for queue in self.queues if queue.waiting and queue.num_running < lane_slots]
        if not queues:
            return None
        queue = min(queues, key=lambda queue: (queue.next_virtual_s, queue.num_running))
        queue.virtual_s = queue.next_virtual_s
        self._now_s = max(self._now_s, queue.virtual_s)
        self._num_alone += 1
        return queue.waiting.popleft()


def num_kept_slots(n_slots: int) -> int:
    """Slots that no queue may have beside another slot."""
    return n_slots // 5
