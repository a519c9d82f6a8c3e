"""Model pool: models by id, their window lengths, and errors for those that are not there."""

from __future__ import annotations

import pytest

from asr_api.engine_process.ports import EngineState
from asr_api.errors import ModelNotFound, ServerOverloaded
from asr_api.longform.pieces import WindowLength
from asr_api.metrics import Metrics
from asr_api.model_pool import ModelPool, ServedModel
from asr_api.request import RequestScope
from asr_api.scheduler.scheduler import Scheduler
from tests.engines.scripted import Script
from tests.service import InProcessEngine, ServiceHarness, metric_value

pytestmark = pytest.mark.anyio


def model(name: str, script: Script | None = None, length: WindowLength | None = None) -> ServedModel:
    engine, metrics = InProcessEngine(script), Metrics().for_model(name)
    return ServedModel(name, engine, Scheduler(engine, metrics=metrics), metrics, length)


async def test_models_are_found_by_id_and_the_first_is_the_default() -> None:
    first, second = model("a/first"), model("b/second")
    pool = ModelPool([first, second])
    assert pool.get() is first
    assert pool.get("b/second") is second
    assert second.state is EngineState.READY
    with pytest.raises(ModelNotFound, match=r"There is no model 'c' here; this server has a/first, b/second\."):
        pool.get("c")


async def test_a_window_is_no_longer_than_the_model_takes() -> None:
    short = model("m", Script(window_s=20), WindowLength(window_s=30, stride_s=12))
    assert short.window_length == WindowLength(20, 10)
    assert model("m", length=WindowLength(10, 2)).window_length == WindowLength(10, 2)


async def test_a_refused_request_is_counted_for_its_model() -> None:
    service = ServiceHarness(max_requests=1)
    with service.open:
        service.queue()
        with pytest.raises(ServerOverloaded):
            service.model.check_capacity()
        assert metric_value(service.metrics, "asr_requests_total", outcome="refused") == 1


async def test_requests_of_two_models_do_not_share_an_engine() -> None:
    pool = ModelPool([model("a"), model("b")])
    with pool.get("a").scheduler.open_queue(RequestScope()):
        assert (pool.num_open_requests, pool.get("b").scheduler.num_open_requests) == (1, 0)
        pool.get("b").scheduler.refuse_new()
        await pool.get("b").scheduler.wait_until_idle()
        pool.get("a").check_ready()
