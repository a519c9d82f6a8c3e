"""The outcome of each request: right, refused, failed honestly, left by its client – or wrong, hung or lost.

An error is honest when it is documented, has the status of its code, and a fault that was made explains it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from asr_api import errors
from benchmarks.chaos.client import CLOSED, LEFT, Answer
from benchmarks.chaos.fault_plan import Fault, FaultKind
from benchmarks.chaos.planned_requests import Manner, PlannedRequest

AFTERMATH_S = 30.0  # in which a fault still explains an error
WATCH_S = 5.0  # before a fault is noted by this program, at most, it may have an effect


class Outcome(StrEnum):
    RIGHT = "right"
    REFUSED = "refused"
    FAILED = "failed honestly"
    LEFT = "left by the client"
    WRONG = "wrong"
    HUNG = "hung"
    LOST = "lost"


ACCOUNTED = (Outcome.RIGHT, Outcome.REFUSED, Outcome.FAILED, Outcome.LEFT, Outcome.WRONG, Outcome.HUNG)

_DECODING = (
    FaultKind.DECODER_KILL,
    FaultKind.DECODER_STOP,
    FaultKind.FORK_SERVER_KILL,
    FaultKind.FORK_SERVER_STOP,
    FaultKind.DESCRIPTORS,
)
EXPLANATIONS: dict[str, tuple[FaultKind, ...]] = {
    "engine_restarting": (FaultKind.ENGINE_KILL, FaultKind.ENGINE_STOP),
    "spool_full": (FaultKind.DISK_FULL,),
    "decoder_unavailable": _DECODING,
    "decode_timeout": (FaultKind.DECODER_STOP, FaultKind.FORK_SERVER_STOP),
    "request_crashed_worker": (FaultKind.ENGINE_KILL,),
}
"""code of an error → the faults that explain it; server_overloaded needs none"""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a calm run answered: the text, or for a bad request the status and the code."""

    status: int
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Record:
    """One request that was sent; answer: None when the load ended without it"""

    planned: PlannedRequest
    expected: Expected
    begin_s: float
    end_s: float
    answer: Answer | None


def outcome_of(record: Record, faults: Sequence[Fault]) -> Outcome:
    answer = record.answer
    if answer is None or answer.problem.startswith(CLOSED):
        return Outcome.FAILED if answer and _is_honest_closing(record, answer, faults) else Outcome.LOST
    if answer.problem:
        return Outcome.LEFT if answer.problem == LEFT else Outcome.HUNG
    expected = record.expected
    if (answer.status, answer.code, answer.text) == (expected.status, expected.code, expected.text):
        return Outcome.RIGHT
    if not answer.code:
        return Outcome.WRONG  # a text that should be another one, or none
    return _outcome_of_error(record, answer, faults)


def _outcome_of_error(record: Record, answer: Answer, faults: Sequence[Fault]) -> Outcome:
    status = STATUSES.get(answer.code)
    if status is None or answer.status != (200 if answer.is_stream else status):
        return Outcome.WRONG
    if answer.code == "request_timeout" and record.planned.manner is Manner.TOO_SLOW:
        return Outcome.FAILED
    is_explained = answer.code == "server_overloaded" or explained(record, faults, EXPLANATIONS.get(answer.code, ()))
    if not is_explained:
        return Outcome.WRONG
    if status not in {429, 503}:
        return Outcome.FAILED
    is_refusal = answer.is_stream or (answer.retry_after_s or 0) >= 1
    return Outcome.REFUSED if is_refusal else Outcome.WRONG


def _is_honest_closing(record: Record, answer: Answer, faults: Sequence[Fault]) -> bool:
    """A reply that has begun with blanks can only be closed when its work fails; the next try gets the error."""
    has_blanks = answer.has_begun and not answer.is_stream
    return has_blanks and explained(record, faults, tuple(FaultKind))


def explained(
    record: Record, faults: Sequence[Fault], kinds: Sequence[FaultKind], aftermath_s: float = AFTERMATH_S
) -> bool:
    return any(
        fault.is_made
        and fault.kind in kinds
        and fault.begin_s - WATCH_S <= record.end_s
        and fault.end_s + aftermath_s >= record.begin_s
        for fault in faults
    )


def assess(records: Sequence[Record], faults: Sequence[Fault]) -> list[Outcome]:
    """The outcome of each; more requests that crashed the engine than it was killed are wrong."""
    num_kills = sum(fault.kind is FaultKind.ENGINE_KILL and fault.is_made for fault in faults)
    outcomes: list[Outcome] = []
    for record in records:
        outcome = outcome_of(record, faults)
        if record.answer and record.answer.code == "request_crashed_worker" and outcome is Outcome.FAILED:
            num_kills -= 1
            outcome = outcome if num_kills >= 0 else Outcome.WRONG
        outcomes.append(outcome)
    return outcomes


def _error_classes(kind: type[errors.AsrError]) -> Iterator[type[errors.AsrError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _error_classes(child)


STATUSES = {kind.code: kind.status for kind in _error_classes(errors.AsrError)}
"""of the documented codes"""
