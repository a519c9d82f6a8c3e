"""Where sound lies on the clock of its file, so that a pause that was not recorded does not move what follows it.

In: what is stamped on frames or packets, one after the other, and how long they last. Out: how much silence belongs
before each. Knows nothing about formats, samples or decoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

# Longer than the delays of encoders, and than the first packets of WMA, which decode to nothing (128 ms).
MIN_START_S = 0.15
# How much sound may be early: muxers round stamps to milliseconds, recorders stamp packets when they arrive, and one
# piece of silence is better than many slivers. Late packets of a recorder add up to no more than the latest of them.
TOLERANCE_S = 0.2
# Less than a packet that was lost, more than rounding: a clock that merely runs faster than the sound tears no word.
MIN_BREAK_S = 0.01
MAX_GAP_S = 600.0  # what jumps further has another clock: a wrap, a splice, a damaged stamp
MAX_OVERLAP_S = 1.0  # likewise backwards, and from a stamp to the one that goes on from it
SLACK_S = 1.0  # headers may forget the last packet


class Stamped(Protocol):
    """A frame or a packet."""

    @property
    def pts(self) -> int | None: ...


S = TypeVar("S", bound=Stamped)


@dataclass(frozen=True, slots=True)
class Timeline:
    """What a file says about its clock.

    tick_s:  the unit of its stamps; None where they only count packets, and say nothing when some are damaged
    start_s: the stamp at which the file begins, with whatever it holds
    end_s:   the stamp that no sound goes beyond; None where the headers do not tell
    """

    tick_s: float | None
    start_s: float = 0.0
    end_s: float | None = None


class Clock:
    """Places one frame, or packet, after the other.

    Silence only ever makes up for what is missing between the beginning and a stamp, overlaps before it included: sound
    is never dropped, and whatever the stamps in between said, it does not add up.
    """

    def __init__(self, timeline: Timeline) -> None:
        self.length_s = 0.0  # of all that was placed, silence included
        self.gaps_s = 0.0  # thereof silence, but for that at the beginning
        self._timeline = timeline
        self._origin_s = timeline.start_s  # the stamp of the beginning
        self._next_s: float | None = None  # the stamp that goes on without a break; None before the first

    def place(self, stamp: int | None, length_s: float, following: int | None = None) -> float:
        """Counts a frame; returns the silence before it, in seconds.

        A frame without a stamp follows the one before. So does one whose stamp is damaged: the `following` one, where
        it is known, does not go on from it.
        """
        silence_s, tick_s = 0.0, self._timeline.tick_s
        if stamp is not None and tick_s is not None:
            at_s = stamp * tick_s
            if following is None or abs(following * tick_s - at_s - length_s) <= MAX_OVERLAP_S:
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


def with_following_stamps(source: Iterator[S]) -> Iterator[tuple[S, int | None]]:
    """Each with the stamp of the one after it, which tells whether its own can be believed."""
    one = next(source, None)
    while one is not None:
        following = next(source, None)
        yield one, None if following is None else following.pts
        one = following
