"""Scheduler: admission, fairness, retries after a crash; without processes, and on a fake clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import numpy as np
import pytest

from asr_api.engine_process.ports import EngineState
from asr_api.errors import (
    InvalidParameter,
    ModelLoading,
    ServerDraining,
    ServerOverloaded,
    StartupError,
)
from asr_api.options import DecodeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from asr_api.request import RequestScope
from asr_api.scheduler.fair_queue import RECENT_ARRIVAL_WINDOWS, RequestQueue
from asr_api.transcript import StageTimes, WindowTranscript
from tests.engines.scripted import Script, number_pcm
from tests.service import ServiceHarness

pytestmark = pytest.mark.anyio


def silence(duration_s: float) -> Pcm:
    return np.zeros(round(duration_s * SAMPLE_RATE_HZ), np.int16)


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Iterator[ServiceHarness]:
    """With the options of `with_service`, if there are any."""
    service = ServiceHarness(**getattr(request, "param", {}))
    with service.open:
        yield service


def with_service(*, max_requests: int = 64, **script: int) -> pytest.MarkDecorator:
    options = {"script": Script(**script), "max_requests": max_requests}  # type: ignore[arg-type]
    return pytest.mark.parametrize("service", [options], indirect=True)


def num_done(results: list[asyncio.Future[WindowTranscript]]) -> int:
    return sum(result.done() for result in results)


def words(result: asyncio.Future[WindowTranscript]) -> str:
    return "".join(segment.text for segment in result.result().segments)


async def test_windows_of_different_requests_share_a_batch_and_get_their_own_words(service: ServiceHarness) -> None:
    results = [service.submit(service.queue(), number_pcm([number]))[0] for number in (11, 22, 33)]
    service.step()
    assert [words(future) for future in results] == [" 11", " 22", " 33"]
    assert service.count("asr_shared_batches_total") == 2  # the first window entered alone
    assert service.count("asr_windows_total") == 3
    assert service.count("asr_tokens_total") == 3


async def test_a_clip_goes_before_everything_that_a_long_file_has_queued(service: ServiceHarness) -> None:
    file, late = service.queue(), service.queue()
    of_file = service.submit(file, silence(30), num_windows=40)
    service.step()
    clip = service.submit(late, silence(5))
    service.step(times=2)  # the slots that the file held
    assert num_done(clip) == 1
    assert num_done(of_file) <= 12


@with_service(n_slots=16, steps_per_window=10)
async def test_one_file_fills_all_slots_except_those_reserved_for_new_requests(service: ServiceHarness) -> None:
    # A newcomer is a request that has no window in the engine.
    for duration_s, num_windows, num_free in ((30, 40, 3), (30, 2, 2), (5, 1, 1), (5, 1, 0)):
        service.submit(service.queue(), silence(duration_s), num_windows)
        assert service.in_process.free_slots == num_free


@with_service(n_slots=16)
async def test_after_an_arrival_a_file_leaves_most_slots_free_for_a_while(service: ServiceHarness) -> None:
    service.submit(service.queue(), silence(30), num_windows=300)
    for _ in range(2):
        with service.scheduler.open_queue(RequestScope()) as clip:
            service.submit(clip, silence(5))
            service.step()
        for _ in range(RECENT_ARRIVAL_WINDOWS // 4 - 1):
            assert len(service.in_process.inside) == 4
            service.step()
        service.step()
        assert len(service.in_process.inside) == 13


@with_service(n_slots=16)
async def test_files_share_the_slots(service: ServiceHarness) -> None:
    service.submit(service.queue(), silence(30), num_windows=40)
    others = service.submit(service.queue(), silence(30), num_windows=40)
    service.step(10, times=3)
    assert len(service.in_process.inside) == 4 + 4
    assert num_done(others) == 1 + 4 + 4


async def test_an_endless_stream_of_clips_leaves_a_file_its_share(service: ServiceHarness) -> None:
    of_file = service.submit(service.queue(), silence(30), num_windows=100)
    clips: list[tuple[RequestQueue, contextlib.ExitStack]] = []
    num_clips = 0
    for _ in range(200):
        while len(clips) < 8:
            opened = contextlib.ExitStack()
            queue = opened.enter_context(service.scheduler.open_queue(RequestScope()))
            service.submit(queue, silence(10))
            clips.append((queue, opened))
        service.step()
        for queue, opened in [clip for clip in clips if not clip[0].held]:
            opened.close()
            clips.remove((queue, opened))
            num_clips += 1
    # Each of eight clips at a time gets as much as the file; windows in the engine count as served.
    assert 1 <= 30 * num_done(of_file) / (num_clips * 10 / 8) <= 3


@with_service(n_slots=16)
async def test_beside_others_a_request_is_urgent_until_30_s_were_submitted(service: ServiceHarness) -> None:
    alone = service.queue()
    service.submit(alone, silence(12), num_windows=1)
    service.submit(service.queue(), silence(30), num_windows=2)
    service.submit(alone, silence(12), num_windows=3)
    assert [job.is_urgent for job in service.in_process.jobs] == [False, True, False, True, True, False]


async def test_shares_are_equal_in_audio_seconds_whatever_the_windows_lengths(service: ServiceHarness) -> None:
    short, long = service.queue(), service.queue()
    of_short = service.submit(short, silence(10), num_windows=300)
    of_long = service.submit(long, silence(30), num_windows=100)
    service.step(times=60)
    assert abs(10 * num_done(of_short) - 30 * num_done(of_long)) <= 4 * 30


async def test_accounts_have_equal_shares_however_many_requests_they_open(service: ServiceHarness) -> None:
    of_many = [service.submit(service.queue(account="many"), silence(30), num_windows=40) for _ in range(8)]
    of_one = service.submit(service.queue(account="one"), silence(30), num_windows=100)
    service.step(times=40)
    assert abs(num_done(of_one) - sum(map(num_done, of_many))) <= 8


@with_service(n_slots=16, max_requests=200)
async def test_clips_of_an_account_do_not_wait_for_all_requests_of_another_one(service: ServiceHarness) -> None:
    for _ in range(100):
        service.submit(service.queue(account="many"), silence(30), num_windows=40)
    service.step(times=20)
    for _ in range(10):
        clip = service.submit(service.queue(account="one"), silence(10))
        service.step(times=2)  # the slots that the files hold
        assert num_done(clip) == 1


@with_service(max_requests=8)
async def test_a_full_server_admits_accounts_that_have_no_open_request(service: ServiceHarness) -> None:
    for _ in range(8):
        service.queue(account="many")
    with pytest.raises(ServerOverloaded):
        service.scheduler.check_capacity("many")
    service.queue(account="first")
    with pytest.raises(ServerOverloaded):
        service.scheduler.check_capacity("first")
    service.queue(account="second")
    with pytest.raises(ServerOverloaded):  # a quarter more, but no further
        service.scheduler.check_capacity("third")


async def test_an_idle_request_gets_no_credit(service: ServiceHarness) -> None:
    idle, busy = service.queue(), service.queue()
    service.submit(busy, silence(30), num_windows=40)
    service.step(times=5)
    late = service.submit(idle, silence(30), num_windows=40)
    before = service.count("asr_windows_total")
    service.step(times=5)
    assert 0.3 < num_done(late) / (service.count("asr_windows_total") - before) < 0.7


async def test_tiny_windows_have_a_minimum_cost(service: ServiceHarness) -> None:
    tiny, normal = service.queue(), service.queue()
    of_tiny = service.submit(tiny, silence(0.01), num_windows=200)
    of_normal = service.submit(normal, silence(10), num_windows=50)
    service.step(times=11)
    assert num_done(of_normal) >= 3
    assert num_done(of_tiny) <= 41


async def test_closing_a_request_frees_its_queue_and_slots_at_once(service: ServiceHarness) -> None:
    stays = service.queue()
    with service.scheduler.open_queue(RequestScope()) as leaves:
        gone = service.submit(leaves, number_pcm([1]), num_windows=20)
        waiting = service.submit(stays, number_pcm([2]))[0]
        assert service.in_process.free_slots == 0
    assert all(future.cancelled() for future in gone)
    assert len(service.in_process.inside) == 1  # the other request's window took a freed slot
    assert service.count("asr_queued_windows") == 0
    assert service.count("asr_busy_slots") == 1
    assert service.scheduler.backlog_s == pytest.approx(1.0)
    service.step()
    assert words(waiting) == " 2"


async def test_the_result_of_a_cancelled_window_is_ignored(service: ServiceHarness) -> None:
    with service.scheduler.open_queue(RequestScope()) as queue:
        service.submit(queue, number_pcm([1]))
        inside = dict(service.in_process.inside)
    service.in_process.engine.admit(list(inside.values()))  # as if the cancellation came too late
    service.in_process.inside |= inside
    service.step()
    assert service.count("asr_windows_total") == 0


@pytest.mark.parametrize(("backlog_windows", "wait_s"), [(1, 6), (10, 60)])  # at the guessed speed of 10
@with_service(max_requests=2)
async def test_retry_after_grows_with_the_backlog(service: ServiceHarness, backlog_windows: int, wait_s: int) -> None:
    for _ in range(2):
        service.submit(service.queue(), silence(30), backlog_windows)
    assert service.refused_retry_after_s() == wait_s
    with pytest.raises(ServerOverloaded):
        service.queue()


@with_service(n_slots=1, max_requests=1)
async def test_retry_after_follows_the_measured_speed(service: ServiceHarness) -> None:
    service.submit(service.queue(), silence(30), num_windows=100)
    service.step(seconds=15, times=40)  # twice real time
    assert service.refused_retry_after_s() == 120  # never more than clients believe
    service.step(seconds=1, times=55)  # thirty times real time
    assert 5 <= (service.refused_retry_after_s() or 0) <= 50  # 150 s of audio are left


@pytest.mark.parametrize("is_refused", [False, True])
@with_service(n_slots=1, max_requests=1)
async def test_idle_time_does_not_count_as_work(service: ServiceHarness, is_refused: bool) -> None:
    with service.scheduler.open_queue(RequestScope()) as queue:
        (result,) = service.submit(queue, silence(30))
        (job_id,) = service.in_process.inside
        if is_refused:
            service.scheduler.on_refused(job_id, InvalidParameter("no"))
            assert result.exception()
        else:
            result.cancel()
            service.in_process.cancel([job_id])
    service.clock.now_s += 3600
    service.submit(service.queue(), silence(30), num_windows=10)
    assert service.refused_retry_after_s() == 30  # at the guessed speed of 10


@with_service(max_requests=2)
async def test_a_request_of_unknown_length_does_not_shorten_retry_after(service: ServiceHarness) -> None:
    service.submit(service.queue(), silence(30), num_windows=10)
    service.queue().unsubmitted_s = 0.0  # nothing is known of it yet
    assert service.refused_retry_after_s() == 60


async def test_expected_audio_counts_as_backlog(service: ServiceHarness) -> None:
    queue = service.queue()
    queue.unsubmitted_s = 3600
    service.submit(queue, silence(30))
    assert service.scheduler.backlog_s == pytest.approx(3630)


async def test_a_continuation_goes_before_the_windows_after_it(service: ServiceHarness) -> None:
    queue = service.queue()
    followers = service.submit(queue, silence(30), num_windows=40)
    service.step()
    rest = service.scheduler.submit(queue, silence(10), DecodeOptions(), is_continuation=True)
    service.step(times=2)
    assert rest.done()
    assert num_done(followers) == 11


async def test_a_refused_window_fails_alone(service: ServiceHarness) -> None:
    queue = service.queue()
    refused, fine = service.submit(queue, silence(1), num_windows=2)
    service.scheduler.on_refused(next(iter(service.in_process.inside)), InvalidParameter("no such language"))
    service.step()
    with pytest.raises(InvalidParameter):
        refused.result()
    assert fine.done()


@pytest.mark.parametrize(("num_others", "num_held"), [(0, 8), (7, 2)])
async def test_a_request_holds_fewer_pieces_beside_others(
    service: ServiceHarness, num_others: int, num_held: int
) -> None:
    queue = service.queue()
    with contextlib.ExitStack() as others:
        for _ in range(num_others):
            others.enter_context(service.scheduler.open_queue(RequestScope()))
        for _ in range(num_held):
            await asyncio.wait_for(service.scheduler.acquire_piece(queue), 1)
        waiting = asyncio.create_task(service.scheduler.acquire_piece(queue))
        await asyncio.sleep(0)
        assert not waiting.done()
        if num_others == 0:
            service.scheduler.release_piece(queue)
    await asyncio.wait_for(waiting, 1)
    assert queue.num_pieces == (8 if num_others == 0 else 3)


async def test_a_request_closed_during_a_restart_leaves_nothing(service: ServiceHarness) -> None:
    with service.scheduler.open_queue(RequestScope()) as queue:
        service.submit(queue, silence(1), num_windows=3)
        service.in_process.crash()
    service.in_process.restart()
    assert not service.in_process.inside
    assert service.count("asr_queued_windows") == 0


async def test_draining_refuses_new_requests_and_waits_for_open_ones(service: ServiceHarness) -> None:
    with service.scheduler.open_queue(RequestScope()) as queue:
        results = service.submit(queue, number_pcm([7]))[0]
        service.scheduler.refuse_new()
        draining = asyncio.create_task(service.scheduler.wait_until_idle())
        with pytest.raises(ServerDraining):
            service.scheduler.check_ready()
        service.step()
        assert words(results) == " 7"
        assert not draining.done()
    await asyncio.wait_for(draining, 1)


async def test_a_loading_model_is_reported(service: ServiceHarness) -> None:
    service.in_process.state = EngineState.LOADING
    with pytest.raises(ModelLoading):
        service.scheduler.check_ready()


async def test_a_failed_engine_fails_open_and_later_windows(service: ServiceHarness) -> None:
    queue = service.queue()
    results = service.submit(queue, silence(1))
    service.in_process.state = EngineState.FAILED
    service.scheduler.on_failed(StartupError("gone"))
    for future in (*results, *service.submit(queue, silence(1))):
        with pytest.raises(ServerDraining):
            future.result()
    with pytest.raises(ServerDraining):
        service.scheduler.check_ready()


async def test_a_higher_priority_goes_first(service: ServiceHarness) -> None:
    service.submit(service.queue(), silence(30), num_windows=4)
    of_low = service.submit(service.queue(), silence(5))
    of_high = service.submit(service.queue(priority=1), silence(30), num_windows=4)
    service.step(times=2)
    assert (num_done(of_high), num_done(of_low)) == (4, 0)


async def test_jobs_carry_the_id_of_their_request_and_results_their_times(service: ServiceHarness) -> None:
    with service.scheduler.open_queue(RequestScope(request_id="abc")) as queue:
        first, *_, last = service.submit(queue, silence(30), num_windows=5)
        service.step(2)
        service.step(3)
        assert {job.request_id for job in service.in_process.jobs} == {"abc"}
        assert first.result().times == StageTimes(queue_s=0, engine_s=2)
        assert (last.result().times.queue_s, last.result().times.engine_s) == (2, 3)
