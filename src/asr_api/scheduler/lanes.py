"""Whose window is next: start-time fair queueing over requests, counted in audio seconds.

In: windows with their lanes, and how many slots are free. Out: one window at a time. All of it is plain bookkeeping;
it knows nothing about engines, clocks or metrics.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from asr_api.engines.protocol import WindowJob
from asr_api.pcm import SAMPLE_RATE_HZ
from asr_api.transcript import WindowTranscript

MIN_COST_S = 1.0  # a window costs the encoder something however short it is
MIN_ENOUGH_SLOTS = 4  # with fewer at once, an engine gets markedly slower
SUSPECT_DEATHS = 2  # a window that saw as many deaths of the engine runs alone


@dataclass(slots=True, eq=False)
class Lane:
    """One request's place in the queue.

    held:          what it submitted and is not finished: waiting, or in the engine
    num_windows:   windows that were cut and are not yet heard to their end
    room:          set when it may have become able to hold one more of them
    virtual_s:     audio seconds it was served, on the scale that all lanes share
    unsubmitted_s: audio that will be submitted later, as far as anybody knows
    """

    waiting: deque[Ticket] = field(default_factory=deque)
    held: set[Ticket] = field(default_factory=set)
    num_running: int = 0
    num_windows: int = 0
    room: asyncio.Event = field(default_factory=asyncio.Event)
    virtual_s: float = 0.0
    unsubmitted_s: float = 0.0

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
    """A new lane starts at the present virtual time (Goyal, Vin and Cheng, 1996): it goes before what long files have
    queued, and later lanes can't keep it waiting for longer than their share.

    One slot in sixteen is only for lanes with nothing in the engine, so that a short clip need not wait for a slot.
    """

    def __init__(self) -> None:
        self.lanes: list[Lane] = []
        self._now_s = 0.0  # virtual time: where the latest served lane was
        self._retries: deque[Ticket] = deque()  # they were in an engine that died
        self._suspects: deque[Ticket] = deque()  # one of them may have killed it

    @property
    def num_waiting(self) -> int:
        return sum(len(lane.waiting) for lane in self.lanes) + len(self._retries) + len(self._suspects)

    def open_lane(self) -> Lane:
        lane = Lane()
        self.lanes.append(lane)
        return lane

    def close_lane(self, lane: Lane) -> None:
        self.lanes.remove(lane)
        self._retries = deque(ticket for ticket in self._retries if ticket.lane is not lane)
        self._suspects = deque(ticket for ticket in self._suspects if ticket.lane is not lane)

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

    def pop(self, free_slots: int, n_slots: int, num_soon_done: int, running: Collection[Ticket]) -> Ticket | None:
        """The window that should enter the engine now, if any.

        num_soon_done: how many windows the engine finishes within a moment
        """
        if free_slots <= 0 or any(ticket.is_suspect for ticket in running):
            return None
        if self._suspects:
            return self._suspects.popleft() if free_slots == n_slots else None
        if self._retries:
            return self._retries.popleft()
        lane_slots = min(max(self._fair_slots(n_slots), num_soon_done), most_slots(n_slots))
        is_last = free_slots <= (n_slots + 8) // 16
        lanes = [lane for lane in self.lanes if lane.waiting and lane.num_running < (1 if is_last else lane_slots)]
        if not lanes:
            return None
        lane = min(lanes, key=lambda lane: lane.virtual_s)  # of equals, the one that came first
        ticket = lane.waiting.popleft()
        self._now_s = max(self._now_s, lane.virtual_s)
        lane.virtual_s += max(MIN_COST_S, ticket.audio_s)
        return ticket

    def _fair_slots(self, n_slots: int) -> int:
        """How many windows one request may have in an engine that isn't done with them in a moment.

        The slots share its time, so a clip that joins a full engine is slow; and on a processor half of the slots do as
        much as all.
        """
        num_busy = sum(1 for lane in self.lanes if lane.waiting or lane.num_running)
        return math.ceil(most_slots(n_slots) / max(1, num_busy))


def most_slots(n_slots: int) -> int:
    """How many slots one request may fill: half of them, which bounds what a long file takes of the memory as well."""
    return max(MIN_ENOUGH_SLOTS, n_slots // 2)
