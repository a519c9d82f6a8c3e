"""benchmarks/chaos/outcomes.py: each answer has the outcome that it deserves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.chaos.client import CLOSED, HUNG, LEFT, Answer
from benchmarks.chaos.fault_plan import Fault, FaultKind
from benchmarks.chaos.outcomes import EXPLANATIONS, STATUSES, Expected, Outcome, assess, outcome_of
from benchmarks.chaos.planned_requests import Manner
from tests.benchmarks.chaos.records import TEXT, error, fault, record, right

ENGINE_KILL = fault(FaultKind.ENGINE_KILL)


@pytest.mark.parametrize(
    ("answer", "faults", "expected"),
    [
        (Answer(200, text=TEXT), [], Outcome.RIGHT),
        (Answer(200, text="another"), [], Outcome.WRONG),
        (Answer(200, text=""), [ENGINE_KILL], Outcome.WRONG),
        (error(429, "server_overloaded", 2), [], Outcome.REFUSED),
        (error(429, "server_overloaded"), [], Outcome.WRONG),
        (error(429, "server_overloaded", 0), [], Outcome.WRONG),
        (error(503, "server_overloaded", 2), [], Outcome.WRONG),
        (error(503, "engine_restarting", 2), [ENGINE_KILL], Outcome.REFUSED),
        (error(503, "engine_restarting"), [ENGINE_KILL], Outcome.WRONG),
        (error(503, "engine_restarting", 2), [], Outcome.WRONG),
        (error(503, "engine_restarting", 2), [fault(FaultKind.DISK_FULL)], Outcome.WRONG),
        (error(503, "spool_full", 30), [fault(FaultKind.DISK_FULL)], Outcome.REFUSED),
        (error(500, "request_crashed_worker"), [ENGINE_KILL], Outcome.FAILED),
        (error(500, "internal_error"), [ENGINE_KILL], Outcome.WRONG),
        (error(400, "invalid_audio"), [fault(FaultKind.DECODER_KILL)], Outcome.WRONG),
        (error(500, "no_such_code"), [ENGINE_KILL], Outcome.WRONG),
        (replace(error(200, "engine_restarting"), is_stream=True), [ENGINE_KILL], Outcome.REFUSED),
        (Answer(problem=HUNG), [ENGINE_KILL], Outcome.HUNG),
        (Answer(problem=LEFT), [], Outcome.LEFT),
        (Answer(problem=f"{CLOSED}: ConnectionResetError"), [ENGINE_KILL], Outcome.LOST),
        (Answer(200, problem=f"{CLOSED}: IncompleteRead", has_begun=True), [ENGINE_KILL], Outcome.FAILED),
        (Answer(200, problem=f"{CLOSED}: IncompleteRead", has_begun=True), [], Outcome.LOST),
        (None, [ENGINE_KILL], Outcome.LOST),
    ],
)
def test_an_answer_has_its_outcome(answer: Answer | None, faults: list[Fault], expected: Outcome) -> None:
    assert outcome_of(record(answer), faults) is expected


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (fault(FaultKind.ENGINE_KILL, 80, 80), Outcome.REFUSED),
        (fault(FaultKind.ENGINE_KILL, 60, 60), Outcome.WRONG),  # long ago
        (fault(FaultKind.ENGINE_KILL, 120, 120), Outcome.WRONG),  # later than the answer
        (fault(FaultKind.ENGINE_KILL, is_made=False), Outcome.WRONG),
    ],
)
def test_only_a_fault_near_the_request_explains_an_error(made: Fault, expected: Outcome) -> None:
    assert outcome_of(record(error(503, "engine_restarting", 2)), [made]) is expected


def test_a_timeout_is_honest_to_a_client_that_is_too_slow_alone() -> None:
    answer = error(408, "request_timeout")
    assert outcome_of(record(answer, manner=Manner.TOO_SLOW), []) is Outcome.FAILED
    assert outcome_of(record(answer, manner=Manner.SLOW), []) is Outcome.WRONG


def test_a_bad_request_is_right_with_its_own_error_alone() -> None:
    bad = replace(record(error(415, "unsupported_format")), expected=Expected(415, "unsupported_format", ""))
    assert outcome_of(bad, []) is Outcome.RIGHT
    assert outcome_of(replace(bad, answer=error(400, "invalid_audio")), []) is Outcome.WRONG
    assert outcome_of(replace(bad, answer=Answer(200, text="made up")), []) is Outcome.WRONG


def test_more_crashed_requests_than_kills_are_wrong() -> None:
    crashed = record(error(500, "request_crashed_worker"))
    assert assess([crashed, right(), crashed], [ENGINE_KILL]) == [Outcome.FAILED, Outcome.RIGHT, Outcome.WRONG]


def test_every_explained_code_is_documented() -> None:
    assert set(EXPLANATIONS) <= set(STATUSES)
