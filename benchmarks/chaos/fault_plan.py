"""The plan of the chaos: which fault is made when, and for how long; it depends on the seed and the duration alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random

ENGINE_KILL_EVERY_S = 60.0
GAP_S = 10.0  # between the beginnings of two faults; less in a short run, so that each kind is made
QUIET_S = 5.0  # at the beginning and at the end
STOP_S = (2.0, 6.0)
FEW_DESCRIPTORS = 4  # more than are open


class FaultKind(StrEnum):
    ENGINE_KILL = "kill -9 of the engine"
    DECODER_KILL = "kill -9 of a decoder"
    FORK_SERVER_KILL = "kill -9 of the fork server"
    ENGINE_STOP = "SIGSTOP of the engine"
    DECODER_STOP = "SIGSTOP of a decoder"
    FORK_SERVER_STOP = "SIGSTOP of the fork server"
    DISK_FULL = "spool disk full"
    DESCRIPTORS = "descriptors exhausted"


KILLS = (FaultKind.ENGINE_KILL, FaultKind.DECODER_KILL, FaultKind.FORK_SERVER_KILL)
OTHER_FAULTS = tuple(kind for kind in FaultKind if kind is not FaultKind.ENGINE_KILL)


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """at_s: since the beginning of the load; duration_s: 0 for a kill"""

    at_s: float
    kind: FaultKind
    duration_s: float


@dataclass(frozen=True, slots=True)
class Fault:
    """One that was made, by the monotonic clock. is_made: False where there was no such process at that moment"""

    kind: FaultKind
    begin_s: float
    end_s: float
    is_made: bool = True


def plan_faults(seed: int, duration_s: float) -> list[PlannedFault]:
    """A kill of the engine in the middle of each minute; the other kinds in turn, each round in another order."""
    rng = Random(seed)  # noqa: S311 – it has to be repeatable
    plan: list[PlannedFault] = []
    kinds: list[FaultKind] = []
    gap_s = min(GAP_S, (duration_s - 2 * QUIET_S) / (len(FaultKind) + 1))
    at_s, next_engine_kill_s = QUIET_S, min(ENGINE_KILL_EVERY_S, duration_s) / 2
    while at_s < duration_s - QUIET_S:
        if at_s >= next_engine_kill_s:
            next_engine_kill_s += ENGINE_KILL_EVERY_S
            kind = FaultKind.ENGINE_KILL
        else:
            kinds = kinds or rng.sample(OTHER_FAULTS, len(OTHER_FAULTS))
            kind = kinds.pop()
        longest_s = duration_s - at_s
        duration = 0.0 if kind in KILLS else min(longest_s, rng.uniform(*STOP_S))
        plan.append(PlannedFault(at_s, kind, duration))
        at_s += max(gap_s, duration + 1)
    return plan
