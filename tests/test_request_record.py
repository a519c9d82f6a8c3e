"""The record of a request: the times of its stages."""

from __future__ import annotations

import pytest

from asr_api.request_record import RequestRecord


def test_windows_that_pass_a_stage_together_add_up() -> None:
    record = RequestRecord()
    for started_s, ended_s in ((2.0, 3.0), (1.0, 5.0), (4.0, 4.5)):
        record.add("engine", started_s, ended_s)
    engine = record.stages["engine"]
    assert (engine.started_s, engine.ended_s, engine.total_s, engine.num) == (1.0, 5.0, 5.5, 3)


def test_a_block_that_fails_was_a_stage_too() -> None:
    record = RequestRecord()
    with pytest.raises(ValueError, match="bug"), record.timed("receive"):
        raise ValueError("bug")
    assert record.stages["receive"].num == 1
    assert record.stages["receive"].total_s >= 0
