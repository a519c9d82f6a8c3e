"""Lost windows: what crashes the engine is found and remembered, and everything else gets its text."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from asr_api.errors import CrashingAudio, EngineRestarting, RequestCrashedWorker
from asr_api.pcm import SAMPLE_RATE_HZ
from asr_api.request import RequestScope
from asr_api.scheduler.crash_record import KEEP_S, KILLS_PER_CRASH
from asr_api.transcript import WindowTranscript
from tests.engines.scripted import Script, number_pcm
from tests.scheduler.test_scheduler import silence, words
from tests.service import ServiceHarness

pytestmark = pytest.mark.anyio

POISON = 66


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Iterator[ServiceHarness]:
    """With so many slots as the parameter says."""
    service = ServiceHarness(Script(n_slots=getattr(request, "param", 4)))
    with service.open:
        yield service


def run(service: ServiceHarness, num_steps: int = 200) -> int:
    """Steps the engine, which crashes with each poisonous window; returns how often it has."""
    num_crashes = 0
    for _ in range(num_steps):
        if any(np.max(job.pcm) == POISON * 100 for job in service.in_process.inside.values()):
            service.in_process.crash()
            num_crashes += 1
            service.in_process.restart()
        else:
            service.step()
    assert service.scheduler.run_once() == 0
    return num_crashes


def submit(service: ServiceHarness, *numbers: int) -> list[asyncio.Future[WindowTranscript]]:
    """Each in a request of its own."""
    results = [service.submit(service.queue(), number_pcm([number]))[0] for number in numbers]
    for result in results:  # asyncio reports errors that nobody has looked at
        result.add_done_callback(lambda done: done.cancelled() or done.exception())
    return results


@pytest.mark.parametrize("position", [0, 7, 16])
@pytest.mark.parametrize("service", [1, 4, 20], indirect=True)
async def test_a_poisonous_window_among_16_innocents_costs_three_crashes_and_nothing_else(
    service: ServiceHarness, position: int
) -> None:
    innocent = list(range(1, 17))
    results = submit(service, *innocent[:position], POISON, *innocent[position:])
    assert run(service) == 3
    with pytest.raises(RequestCrashedWorker):
        results.pop(position).result()
    assert [words(future) for future in results] == [f" {number}" for number in innocent]


async def test_poison_is_refused_for_an_hour_whoever_sends_it(service: ServiceHarness) -> None:
    poisoned = submit(service, POISON)
    assert run(service) == 3
    poisoned += submit(service, POISON, POISON)
    innocent = submit(service, 1)
    assert run(service) == 0
    assert words(innocent[0]) == " 1"
    assert [type(future.exception()) for future in poisoned] == [RequestCrashedWorker, CrashingAudio, CrashingAudio]
    service.clock.now_s += KEEP_S + 1
    submit(service, POISON)
    assert run(service) == 3


async def test_the_same_poison_from_many_clients_at_once_costs_three_crashes(service: ServiceHarness) -> None:
    poisoned = submit(service, *[POISON] * 8)
    assert run(service) == 3
    assert all(future.exception() for future in poisoned)


@pytest.mark.parametrize("leaves_first", [True, False])
async def test_a_client_that_leaves_before_it_is_blamed_costs_no_further_crashes(
    service: ServiceHarness, leaves_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if leaves_first:  # the engine crashes before it has dropped the window
        monkeypatch.setattr(service.in_process, "cancel", lambda _: None)
    num_crashes = 0
    for _ in range(5):
        with service.scheduler.open_queue(RequestScope()) as queue:
            (result,) = service.submit(queue, number_pcm([POISON]))
            has_begun = not result.done()
            if has_begun and not leaves_first:
                service.in_process.crash()
        assert result.cancelled() or result.exception()
        if has_begun and leaves_first:
            service.in_process.crash()
        num_crashes += has_begun
        service.in_process.restart()
    assert num_crashes == 3


async def test_windows_that_were_beside_poison_are_cleared_when_they_are_transcribed(service: ServiceHarness) -> None:
    submit(service, 1, POISON, 2)
    run(service)
    submit(service, 1, 2)
    service.in_process.crash()
    service.in_process.restart()
    assert len(service.in_process.inside) == 2  # and not alone
    run(service)


async def test_kills_from_outside_are_not_held_against_the_windows(service: ServiceHarness) -> None:
    results = submit(service, 1, 2, 3, 4, 5)
    for _ in range(2 * KILLS_PER_CRASH - 1):
        service.in_process.crash(is_killed=True)
        service.in_process.restart()
        assert len(service.in_process.inside) == 4  # they still run together
    run(service)
    assert [words(future) for future in results] == [f" {number}" for number in range(1, 6)]


async def test_a_window_with_which_the_engine_is_killed_each_time_ends_after_all(service: ServiceHarness) -> None:
    (result,) = submit(service, 1)
    num_kills = 0
    while not result.done():
        service.in_process.crash(is_killed=True)
        service.in_process.restart()
        num_kills += 1
    assert num_kills == 3 * KILLS_PER_CRASH
    assert isinstance(result.exception(), RequestCrashedWorker)


async def test_a_crash_costs_other_windows_only_time(service: ServiceHarness) -> None:
    results = [service.submit(service.queue(), number_pcm([number]))[0] for number in range(1, 7)]
    service.in_process.crash()
    assert service.in_process.free_slots == 0
    with pytest.raises(EngineRestarting):
        service.scheduler.check_capacity()
    results += service.submit(service.queue(), number_pcm([7]))  # was let in before the engine crashed
    service.in_process.restart()
    assert len(service.in_process.inside) == 4  # those it lost go first
    service.step(times=2)
    assert [words(future) for future in results] == [f" {number}" for number in range(1, 8)]


async def test_a_suspect_window_runs_alone(service: ServiceHarness) -> None:
    service.submit(service.queue(), silence(1), num_windows=2)
    for _ in range(2):
        service.in_process.crash()
        service.in_process.restart()
    service.submit(service.queue(), silence(1), num_windows=5)
    for num_inside in (1, 1, 4):
        assert len(service.in_process.inside) == num_inside
        service.step()


async def test_a_suspect_window_waits_until_the_engine_is_empty(service: ServiceHarness) -> None:
    suspect, other = service.queue(), service.queue()
    service.submit(suspect, silence(1))
    for _ in range(2):
        job_id = min(service.in_process.inside)
        service.in_process.drop([job_id])
        if len(service.in_process.inside) == 0:
            service.submit(other, silence(1))
        service.scheduler.on_lost([job_id])  # the engine gave up on this one and works on
    assert len(service.in_process.inside) == 1
    service.step()
    assert [len(job.pcm) for job in service.in_process.inside.values()] == [SAMPLE_RATE_HZ]
    assert service.scheduler.backlog_s == 1
