"""Metrics: the page for Prometheus, per model."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from asr_api.metrics import OUTCOMES, STAGES, Metrics
from tests.service import metric_value


def test_every_series_of_a_model_is_on_the_page_from_the_start() -> None:
    metrics = Metrics()
    metrics.for_model("a/b")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }
    for outcome in OUTCOMES:
        assert samples["asr_requests_total", "a/b", outcome] == 0
    for stage in STAGES:
        assert samples["asr_stage_seconds_count", "a/b", stage] == 0
    for name in ("shared_batches", "joined_requests", "repeated_requests", "early_transcriptions"):
        assert samples[f"asr_{name}_total", "a/b"] == 0
    assert samples["asr_engine_ready", "a/b"] == 0
    assert samples["process_open_fds",] > 0


def test_models_and_registries_are_apart() -> None:
    metrics, other = Metrics(), Metrics()
    metrics.for_model("a").windows.inc()
    metrics.for_model("b")
    other.for_model("a")
    assert metric_value(metrics, "asr_windows_total", model="a") == 1
    assert metric_value(metrics, "asr_windows_total", model="b") == 0
    assert metric_value(other, "asr_windows_total", model="a") == 0
