"""Speed meter: what Retry-After is computed from."""

from __future__ import annotations

import pytest

from asr_api.scheduler.speed import SpeedMeter
from tests.service import FakeClock


def test_speed_is_measured_only_while_there_is_work() -> None:
    clock = FakeClock()
    speed = SpeedMeter(clock)
    for _ in range(100):
        speed.note(is_busy=True)
        clock.now_s += 2
        speed.note(is_busy=False, audio_s=30)
        clock.now_s += 1000
    assert speed.rtfx == pytest.approx(15, rel=0.05)


def test_speed_forgets() -> None:
    clock = FakeClock()
    speed = SpeedMeter(clock)
    for step_s in [10] * 50 + [1] * 200:
        speed.note(is_busy=True)
        clock.now_s += step_s
        speed.note(is_busy=True, audio_s=30)
    assert speed.rtfx == pytest.approx(30, rel=0.2)
