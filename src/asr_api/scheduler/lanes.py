"""Whose window is next: self-clocked fair queueing over requests, counted in audio seconds.

In: windows with their lanes, and how many slots are free. Out: one window at a time. All of it is plain bookkeeping;
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

YOUNG_S = 30.0  # the audio of a request that is urgent, so that a clip is and a long file soon is not
MIN_COST_S = 1.0  # a window costs the encoder something however short it is
MIN_ENOUGH_SLOTS = 4  # with fewer at once, an engine gets markedly slower
SOCIABLE_WINDOWS = 64  # whoever came within so many may well be back
SUSPECT_DEATHS = 2  # a window that saw as many deaths of the engine runs alone


@dataclass(slots=True, eq=False)
class Lane:
    """One request's place in the queue.

    held:          what it submitted and is not finished: waiting, or in the engine
    num_windows:   windows that were cut and are not yet heard to their end
    room:          set when it may have become able to hold one more of them
    virtual_s:     audio seconds it was served, on the scale that all lanes share
    submitted_s:   audio that was submitted so far, parts that are heard again each time
    unsubmitted_s: audio that will be submitted later, as far as anybody knows
    """

    waiting: deque[Ticket] = field(default_factory=deque)
    held: set[Ticket] = field(default_factory=set)
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
class Ticket:
    """One window on its way. num_deaths: how often the engine died while it was inside."""

    lane: Lane
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
    """Next is the lane that will be least far with its next window (self-clocked fair queueing: Golestani, 1994). Who
    comes starts where the latest served lane is: a clip goes before what long files have queued, and even clips that
    come all the time can't keep a file waiting for longer than their share.

    One slot in five is only for lanes with nothing in the engine, so that a clip need not wait for a slot. A file fills
    the others, but only a quarter where somebody has come beside it lately: the slots share the engine's time, and on a
    processor a quarter does nearly as much as all.
    """

    def __init__(self) -> None:
        self.lanes: list[Lane] = []
        self._now_s = 0.0  # virtual time: where the latest served lane is
        self._num_alone = SOCIABLE_WINDOWS  # windows that were served since somebody came and wasn't alone
        self._retries: deque[Ticket] = deque()  # they were in an engine that died
        self._suspects: deque[Ticket] = deque()  # one of them may have killed it

    @property
    def num_waiting(self) -> int:
        return sum(len(lane.waiting) for lane in self.lanes) + len(self._retries) + len(self._suspects)

    def open_lane(self) -> Lane:
        lane = Lane()
        if self.lanes:
            self._num_alone = 0
        self.lanes.append(lane)
        return lane

    def close_lane(self, lane: Lane) -> None:
        self.lanes.remove(lane)
        self._retries = deque(ticket for ticket in self._retries if ticket.lane is not lane)
        self._suspects = deque(ticket for ticket in self._suspects if ticket.lane is not lane)

    def is_urgent(self, lane: Lane) -> bool:
        """Whether what it submits next should pass the windows of others, if there are any."""
        return lane.submitted_s < YOUNG_S and len(self.lanes) > 1

    def push(self, ticket: Ticket, *, is_next: bool) -> None:
        """is_next: before the lane's other windows; it is the rest of an earlier one."""
        lane = ticket.lane
        if not lane.waiting:
            lane.virtual_s = max(lane.virtual_s, self._now_s)
        if is_next:
            lane.waiting.appendleft(ticket)
        else:
            lane.waiting.append(ticket)
        lane.held.add(ticket)

    def push_front(self, tickets: Sequence[Ticket]) -> None:
        """Windows that lost their engine run again before all others, and the suspects among them alone."""
        for ticket in tickets:
            ticket.lane.num_running -= 1
        self._suspects.extend(ticket for ticket in tickets if ticket.is_suspect)
        self._retries.extendleft(ticket for ticket in reversed(tickets) if not ticket.is_suspect)

    def pop(self, free_slots: int, n_slots: int, running: Collection[Ticket]) -> Ticket | None:
        """The window that should enter the engine now, if any."""
        if free_slots <= 0 or any(ticket.is_suspect for ticket in running):
            return None
        if self._suspects:
            return self._suspects.popleft() if free_slots == n_slots else None
        if self._retries:
            return self._retries.popleft()
        lane_slots = n_slots if self._num_alone >= SOCIABLE_WINDOWS else max(MIN_ENOUGH_SLOTS, n_slots // 4)
        if free_slots <= num_kept_slots(n_slots):
            lane_slots = 1
        lanes = [lane for lane in self.lanes if lane.waiting and lane.num_running < lane_slots]
        if not lanes:
            return None
        lane = min(lanes, key=lambda lane: (lane.next_virtual_s, lane.num_running))
        lane.virtual_s = lane.next_virtual_s
        self._now_s = max(self._now_s, lane.virtual_s)
        self._num_alone += 1
        return lane.waiting.popleft()


def num_kept_slots(n_slots: int) -> int:
    """Slots that no lane may have beside another slot."""
    return n_slots // 5
