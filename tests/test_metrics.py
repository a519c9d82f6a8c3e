"""The page for Prometheus, and the speed that Retry-After is computed from."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asr_api.metrics import OUTCOMES, STAGES, Metrics, SpeedMeter
from tests.service import FakeClock, reading


def test_every_series_is_on_the_page_before_anything_happened() -> None:
    page = Metrics().render().decode()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    for outcome in OUTCOMES:
        assert samples["asr_requests_total", outcome] == 0
    for stage in STAGES:
        assert samples["asr_stage_seconds_count", stage] == 0
    assert samples["asr_shared_batches_total",] == 0
    assert samples["asr_engine_ready",] == 0
    assert samples["process_open_fds",] > 0


def test_two_of_them_do_not_meet() -> None:
    one, other = Metrics(), Metrics()
    one.windows.inc()
    assert reading(one, "asr_windows_total") == 1
    assert reading(other, "asr_windows_total") == 0


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
