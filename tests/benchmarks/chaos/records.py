"""Records of requests for tests of their outcomes, and faults."""

from __future__ import annotations

from benchmarks.chaos.client import Answer
from benchmarks.chaos.fault_plan import Fault, FaultKind
from benchmarks.chaos.outcomes import Expected, Record
from benchmarks.chaos.planned_requests import Manner, PlannedRequest, Route

TEXT = "the right text"
EXPECTED = Expected(200, "", TEXT)


def record(
    answer: Answer | None, begin_s: float = 100.0, end_s: float = 101.0, *, manner: Manner = Manner.PLAIN
) -> Record:
    return Record(PlannedRequest(0, "clip-00.wav", Route.ASR, manner), EXPECTED, begin_s, end_s, answer)


def right(begin_s: float = 100.0, end_s: float = 101.0) -> Record:
    return record(Answer(200, text=TEXT), begin_s, end_s)


def error(status: int, code: str, retry_after_s: float | None = None) -> Answer:
    return Answer(status, code, retry_after_s=retry_after_s, has_begun=True)


def fault(kind: FaultKind, begin_s: float = 100.0, end_s: float = 100.0, *, is_made: bool = True) -> Fault:
    return Fault(kind, begin_s, end_s, is_made)
