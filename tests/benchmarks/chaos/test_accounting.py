"""benchmarks/chaos/accounting.py and ledger.py: nothing that began is missed, and the last line says what counts."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.chaos.accounting import account, goodput, percentile, recovery_s, refusal_times_s, suspect_rows
from benchmarks.chaos.client import HUNG, Answer
from benchmarks.chaos.fault_plan import FaultKind
from benchmarks.chaos.ledger import Ledger, read_ledger, reference_key
from benchmarks.chaos.outcomes import Expected
from benchmarks.chaos.planned_requests import Manner, PlannedRequest, Route
from tests.benchmarks.chaos.records import EXPECTED, TEXT, error, fault, record, right

WRONG, LOST, HANGING = record(Answer(200, text="another")), record(None), record(Answer(problem=HUNG))


def test_a_clean_run_says_so() -> None:
    whole = account([right()] * 1200)
    assert whole.last_line == "1,200 requests, 1,200 accounted for, 0 wrong, 0 hung, 0 leaked"
    assert whole.is_clean


@pytest.mark.parametrize(
    ("records", "leaks", "expected"),
    [
        ([right(), WRONG], [], "2 requests, 2 accounted for, 1 wrong, 0 hung, 0 leaked"),
        ([right(), HANGING], [], "2 requests, 2 accounted for, 0 wrong, 1 hung, 0 leaked"),
        ([right(), LOST], [], "2 requests, 1 accounted for, 0 wrong, 0 hung, 0 leaked"),
        ([right()], ["a descriptor"], "1 requests, 1 accounted for, 0 wrong, 0 hung, 1 leaked"),
        ([], [], "0 requests, 0 accounted for, 0 wrong, 0 hung, 0 leaked"),
    ],
)
def test_anything_else_is_not_clean(records: list[object], leaks: list[str], expected: str) -> None:
    whole = account(records, leaks=leaks)  # type: ignore[arg-type]
    assert whole.last_line == expected
    assert not whole.is_clean


def test_a_suspect_request_is_shown_with_the_faults_near_it() -> None:
    (row,) = suspect_rows(account([WRONG, right()], [fault(FaultKind.DECODER_KILL, 99)]))
    assert "another" in row
    assert "kill -9 of a decoder +1.0…+2.0 s" in row


def test_recovery_is_the_time_to_the_first_right_text_that_was_asked_for_after_the_fault() -> None:
    records = [right(9, 11), record(error(503, "engine_restarting", 2), 10, 10.1), right(12, 15), right(13, 14)]
    whole = account(records, [fault(FaultKind.ENGINE_KILL, 10, 10)])
    assert recovery_s(whole, FaultKind.ENGINE_KILL) == [4]
    assert recovery_s(whole, FaultKind.DECODER_KILL) == []


def test_goodput_counts_right_texts_alone() -> None:
    assert goodput(account([right(0, 1), right(1, 4), WRONG, LOST])) == pytest.approx(2 / 101)


def test_the_latency_of_refusals_is_that_of_plain_clients_with_descriptors_left() -> None:
    refused = record(error(429, "server_overloaded", 2), 10, 10.5)
    slow = replace(refused, planned=replace(refused.planned, manner=Manner.SLOW))
    late = replace(refused, begin_s=50.0, end_s=58.0)
    whole = account([refused, slow, late, right()], [fault(FaultKind.DESCRIPTORS, 50, 57)])
    assert refusal_times_s(whole) == [0.5]


def test_percentiles_of_few_values() -> None:
    assert percentile([3.0], 99) == 3.0
    assert math.isnan(percentile([], 50))
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0


def test_a_request_without_an_end_has_no_answer(tmp_path: Path) -> None:
    done = PlannedRequest(0, "clip-00.wav", Route.OPENAI, Manner.SLOW, is_unique=False)
    lost = PlannedRequest(1, "noise", Route.ASR, is_bad=True)
    with (tmp_path / "ledger").open("w") as file:
        ledger = Ledger(file)
        ledger.begin(done)
        ledger.begin(lost)
        ledger.end(done, Answer(200, text=TEXT))
    bad = Expected(415, "unsupported_format", "")
    first, second = read_ledger(tmp_path / "ledger", {"clip-00.wav openai": EXPECTED, "noise": bad})
    assert (first.planned, first.answer, first.expected) == (done, Answer(200, text=TEXT), EXPECTED)
    assert (second.planned, second.answer, second.expected) == (lost, None, bad)
    assert first.begin_s <= first.end_s


def test_texts_of_openai_have_references_of_their_own() -> None:
    keys = {reference_key(PlannedRequest(0, "a.wav", route)) for route in (Route.ASR, Route.ASR_STREAM, Route.LINK)}
    assert keys == {"a.wav asr"}
    assert reference_key(PlannedRequest(0, "a.wav", Route.OPENAI_STREAM)) == "a.wav openai"
