"""Crash record: contents are remembered for an hour, and not without bound."""

from __future__ import annotations

from asr_api.scheduler.crash_record import KEEP_S, MAX_CONTENTS, CrashRecord
from tests.service import FakeClock


def test_crashes_are_counted_by_content_and_forgotten_after_an_hour() -> None:
    record = CrashRecord(clock := FakeClock())
    for digest in (b"a", b"a", b"b"):
        record.add(digest)
    record.forget(b"b")
    record.forget(b"unknown")
    assert [record.num_crashes(digest) for digest in (b"a", b"b")] == [2, 0]
    clock.now_s += KEEP_S + 1
    assert record.num_crashes(b"a") == 0
    assert record.is_empty


def test_the_oldest_contents_make_place_for_new_ones() -> None:
    record = CrashRecord(FakeClock())
    for number in range(MAX_CONTENTS + 1):
        record.add(str(number).encode())
    assert record.num_crashes(b"0") == 0
    assert record.num_crashes(str(MAX_CONTENTS).encode()) == 1
