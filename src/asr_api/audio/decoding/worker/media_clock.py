"""Media clock: the silence before each frame, by timestamps, so that unrecorded pauses do not shift later audio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from av.audio.frame import AudioFrame
from av.packet import Packet

# Longer than the delays of encoders, and than the first packets of WMA, which decode to nothing (128 ms).
MIN_START_S = 0.15
# How much audio may be early: muxers round timestamps to milliseconds, recorders set them when packets arrive, and one
# piece of silence is better than many slivers. Late packets of a recorder add up to no more than the latest of them.
TOLERANCE_S = 0.2
# Less than a lost packet, more than rounding: a clock that merely runs faster than the audio must not split words.
MIN_BREAK_S = 0.01
MAX_GAP_S = 600.0  # a longer jump is another clock: a wrap, a splice, a damaged timestamp
MAX_OVERLAP_S = 1.0  # likewise backwards, and between a timestamp and the one that should continue it
SLACK_S = 1.0  # headers may leave out the last packet


T = TypeVar("T", bound=AudioFrame | Packet)  # type: ignore[type-arg]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The clock of a file, from its headers."""

    tick_s: float | None  # the unit of pts; None where pts count packets, which says no time when some are damaged
    start_s: float = 0.0  # the time at which the first of all streams begins
    end_s: float | None = None  # the time at which all audio has ended; None where the headers do not say


class Clock:
    """Places frames, or packets, one after the other.

    Silence fills what is missing between the beginning and a timestamp, less the overlaps before it: audio is never
    dropped, and errors of the timestamps in between do not add up.
    """

    def __init__(self, timeline: Timeline) -> None:
        self.length_s = 0.0  # of all that was placed, silence included
        self.gaps_s = 0.0  # silence in length_s, without that at the beginning
        self._timeline = timeline
        self._origin_s = timeline.start_s  # the timestamp of the beginning
        self._next_s: float | None = None  # the timestamp that continues without a break; None before the first

    def place(self, pts: int | None, length_s: float, next_pts: int | None = None) -> float:
        """Counts a frame; returns the silence before it, in seconds.

        A frame without a pts follows the previous one. So does a frame whose pts is damaged: `next_pts` is known and
        does not continue it.
        """
        silence_s, tick_s = 0.0, self._timeline.tick_s
        if pts is not None and tick_s is not None:
            at_s = pts * tick_s
            if next_pts is None or abs(next_pts * tick_s - at_s - length_s) <= MAX_OVERLAP_S:
                silence_s = self._silence_s(at_s, length_s)
                self.gaps_s += 0.0 if self._next_s is None else silence_s
                self._next_s = at_s
        if self._next_s is not None:
            self._next_s += length_s
        self.length_s += silence_s + length_s
        return silence_s

    def _silence_s(self, at_s: float, length_s: float) -> float:
        late_s = at_s - self._origin_s - self.length_s
        is_first = self._next_s is None
        step_s = late_s if self._next_s is None else at_s - self._next_s
        is_break = step_s > MIN_BREAK_S
        is_other_clock = step_s < (0 if is_first else -MAX_OVERLAP_S)
        if is_other_clock or (is_break and self._is_absurd(step_s, at_s + length_s)):
            self._origin_s = at_s - self.length_s
            return 0.0
        return late_s if is_break and late_s > (MIN_START_S if is_first else TOLERANCE_S) else 0.0

    def _is_absurd(self, step_s: float, end_s: float) -> bool:
        if self._timeline.end_s is None:
            return step_s > MAX_GAP_S
        return end_s > self._timeline.end_s + SLACK_S


def with_next_pts(source: Iterator[T]) -> Iterator[tuple[T, int | None]]:
    """Each frame or packet with the pts of the next one, by which `Clock.place` recognises a damaged pts."""
    current = next(source, None)
    while current is not None:
        following = next(source, None)
        yield current, None if following is None else following.pts
        current = following
