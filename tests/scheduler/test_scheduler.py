"""The policy, step by step: no process, no time, no audio longer than it must be."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import numpy as np
import pytest

from asr_api.engine_process.supervisor import EngineState
from asr_api.errors import (
    EngineRestarting,
    InvalidParameter,
    ModelLoading,
    RequestCrashedWorker,
    ServerDraining,
    ServerOverloaded,
    StartupError,
)
from asr_api.metrics import Metrics
from asr_api.options import TranscribeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from asr_api.scheduler import RequestQueue, Scheduler
from asr_api.scheduler.fair_queue import RECENT_ARRIVAL_WINDOWS
from asr_api.transcript import WindowTranscript
from tests.engines.scripted import Script, number_pcm
from tests.service import FakeClock, InProcessEngine, reading

pytestmark = pytest.mark.anyio


def silence(duration_s: float) -> Pcm:
    return np.zeros(round(duration_s * SAMPLE_RATE_HZ), np.int16)


class House:
    """A scheduler with everything that a test wants to look at."""

    def __init__(self, n_slots: int = 4, max_requests: int = 64, steps_per_window: int = 1) -> None:
        self.engine = InProcessEngine(Script(n_slots=n_slots, steps_per_window=steps_per_window))
        self.clock = FakeClock()
        self.metrics = Metrics()
        self.scheduler = Scheduler(self.engine, metrics=self.metrics, max_requests=max_requests, clock=self.clock)
        self.open = contextlib.ExitStack()

    def queue(self) -> RequestQueue:
        return self.open.enter_context(self.scheduler.open_queue())

    def submit(self, queue: RequestQueue, pcm: Pcm, num_windows: int = 1) -> list[asyncio.Future[WindowTranscript]]:
        return [self.scheduler.submit(queue, pcm, TranscribeOptions()) for _ in range(num_windows)]

    def count(self, name: str) -> float:
        return reading(self.metrics, name)

    def step(self, seconds: float = 1.0) -> None:
        self.clock.now_s += seconds
        self.engine.step()


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    with house.open:
        yield house


def words(heard: asyncio.Future[WindowTranscript]) -> str:
    return "".join(segment.text for segment in heard.result().segments)


async def test_windows_of_different_requests_share_a_batch_and_get_their_own_words(house: House) -> None:
    heard = [house.submit(house.queue(), number_pcm([number]))[0] for number in (11, 22, 33)]
    house.step()
    assert [words(future) for future in heard] == [" 11", " 22", " 33"]
    assert house.count("asr_shared_batches_total") == 2  # the first window entered alone
    assert house.count("asr_windows_total") == 3
    assert house.count("asr_tokens_total") == 3


async def test_a_clip_goes_before_everything_that_a_long_file_has_queued(house: House) -> None:
    file, late = house.queue(), house.queue()
    of_file = house.submit(file, silence(30), num_windows=40)
    house.step()
    clip = house.submit(late, silence(5))[0]
    house.step()  # the slots that the file held
    house.step()
    assert clip.done()
    assert sum(future.done() for future in of_file) <= 12


async def test_a_lone_file_fills_all_slots_but_those_kept_for_newcomers_who_enter_at_once() -> None:
    house = House(n_slots=16, steps_per_window=10)
    with house.open:
        house.submit(house.queue(), silence(30), num_windows=40)
        assert house.engine.free_slots == 3
        house.submit(house.queue(), silence(30), num_windows=2)
        assert house.engine.free_slots == 2  # a newcomer is one who has nothing in the engine
        house.submit(house.queue(), silence(5))
        house.submit(house.queue(), silence(5))
        assert house.engine.free_slots == 0


async def test_a_file_beside_which_somebody_came_leaves_most_slots_free_for_a_while() -> None:
    house = House(n_slots=16)
    with house.open:
        house.submit(house.queue(), silence(30), num_windows=300)
        for _ in range(2):
            with house.scheduler.open_queue() as clip:
                house.submit(clip, silence(5))
                house.step()
            for _ in range(RECENT_ARRIVAL_WINDOWS // 4 - 1):
                assert len(house.engine.inside) == 4
                house.step()
            house.step()
            assert len(house.engine.inside) == 13


async def test_files_come_to_share_the_slots() -> None:
    house = House(n_slots=16)
    with house.open:
        pcm = silence(30)
        house.submit(house.queue(), pcm, num_windows=40)
        others = house.submit(house.queue(), pcm, num_windows=40)
        for _ in range(3):
            house.step(10)
        assert len(house.engine.inside) == 4 + 4
        assert sum(future.done() for future in others) == 1 + 4 + 4


async def test_clips_without_end_do_not_keep_a_file_from_its_share(house: House) -> None:
    of_file = house.submit(house.queue(), silence(30), num_windows=100)
    clips: list[tuple[RequestQueue, contextlib.ExitStack]] = []
    num_clips = 0
    for _ in range(200):
        while len(clips) < 8:
            opened = contextlib.ExitStack()
            queue = opened.enter_context(house.scheduler.open_queue())
            house.submit(queue, silence(10))
            clips.append((queue, opened))
        house.step()
        for queue, opened in [clip for clip in clips if not clip[0].held]:
            opened.close()
            clips.remove((queue, opened))
            num_clips += 1
    served_s = 30 * sum(future.done() for future in of_file)
    assert (
        1 <= served_s / (num_clips * 10 / 8) <= 3
    )  # of eight at a time each gets as much; those inside count as served


async def test_beside_others_a_request_is_urgent_until_a_window_of_it_was_submitted() -> None:
    house = House(n_slots=16)
    with house.open:
        alone = house.queue()
        house.submit(alone, silence(12), num_windows=1)
        house.submit(house.queue(), silence(30), num_windows=2)
        house.submit(alone, silence(12), num_windows=3)
        jobs = [job for jobs in house.engine.admissions for job in jobs]
        assert [job.is_urgent for job in jobs] == [False, True, False, True, True, False]


async def test_shares_are_equal_in_audio_seconds_whatever_the_windows_lengths(house: House) -> None:
    short, long = house.queue(), house.queue()
    of_short = house.submit(short, silence(10), num_windows=300)
    of_long = house.submit(long, silence(30), num_windows=100)
    for _ in range(60):
        house.step()
    served_s = [10 * sum(future.done() for future in of_short), 30 * sum(future.done() for future in of_long)]
    assert abs(served_s[0] - served_s[1]) <= 4 * 30


async def test_a_lane_that_was_idle_gets_no_credit_for_it(house: House) -> None:
    idle, busy = house.queue(), house.queue()
    house.submit(busy, silence(30), num_windows=40)
    for _ in range(5):
        house.step()
    late = house.submit(idle, silence(30), num_windows=40)
    before = house.count("asr_windows_total")
    for _ in range(5):
        house.step()
    num_late = sum(future.done() for future in late)
    assert 0.3 < num_late / (house.count("asr_windows_total") - before) < 0.7


async def test_tiny_windows_are_not_free(house: House) -> None:
    tiny, normal = house.queue(), house.queue()
    of_tiny = house.submit(tiny, silence(0.01), num_windows=200)
    of_normal = house.submit(normal, silence(10), num_windows=50)
    for _ in range(11):
        house.step()
    assert sum(future.done() for future in of_normal) >= 3
    assert sum(future.done() for future in of_tiny) <= 41


async def test_leaving_a_lane_frees_its_queue_and_its_slots_at_once(house: House) -> None:
    stays = house.queue()
    with house.scheduler.open_queue() as leaves:
        gone = house.submit(leaves, number_pcm([1]), num_windows=20)
        waiting = house.submit(stays, number_pcm([2]))[0]
        assert house.engine.free_slots == 0
    assert all(future.cancelled() for future in gone)
    assert len(house.engine.inside) == 1  # the other request's window took a freed slot
    assert house.count("asr_queued_windows") == 0
    assert house.count("asr_busy_slots") == 1
    assert house.scheduler.backlog_s == pytest.approx(1.0)
    house.step()
    assert words(waiting) == " 2"


async def test_the_result_of_a_cancelled_window_is_ignored(house: House) -> None:
    with house.scheduler.open_queue() as queue:
        house.submit(queue, number_pcm([1]))
        inside = dict(house.engine.inside)
    house.engine.engine.admit(list(inside.values()))  # as if the cancellation came too late
    house.engine.inside |= inside
    house.step()
    assert house.count("asr_windows_total") == 0


async def test_full_means_refused_with_a_time_that_grows_with_the_backlog() -> None:
    waits_s = []
    for backlog_windows in (1, 10):
        house = House(max_requests=2)
        with house.open:
            for queue in (house.queue(), house.queue()):
                house.submit(queue, silence(30), num_windows=backlog_windows)
            with pytest.raises(ServerOverloaded) as refused:
                house.scheduler.check_capacity()
            with pytest.raises(ServerOverloaded), house.scheduler.open_queue():
                pass
            assert refused.value.retry_after_s is not None
            waits_s.append(refused.value.retry_after_s)
    assert waits_s == [6, 60]  # audio seconds at the guessed speed of 10


async def test_the_time_to_come_back_follows_the_measured_speed() -> None:
    house = House(n_slots=1, max_requests=1)
    with house.open:
        queue = house.queue()
        house.submit(queue, silence(30), num_windows=100)
        for _ in range(40):
            house.step(seconds=15)  # twice real time
        with pytest.raises(ServerOverloaded) as refused:
            house.scheduler.check_capacity()
        assert refused.value.retry_after_s == 120  # never more than clients believe
        for _ in range(55):
            house.step(seconds=1)  # thirty times real time
        with pytest.raises(ServerOverloaded) as refused:
            house.scheduler.check_capacity()
        assert refused.value.retry_after_s is not None
        assert 5 <= refused.value.retry_after_s <= 50  # 150 s of audio are left


async def test_an_idle_hour_after_a_client_has_left_is_no_work() -> None:
    house = House(n_slots=1, max_requests=1)
    for ending in (house.engine.cancel, lambda job_ids: house.scheduler.on_refused(job_ids[0], InvalidParameter("no"))):
        with house.scheduler.open_queue() as queue:
            (heard,) = house.submit(queue, silence(30))
            ending(list(house.engine.inside))
            heard.exception() if heard.done() else heard.cancel()
        house.clock.now_s += 3600
        with house.scheduler.open_queue() as queue:
            house.submit(queue, silence(30), num_windows=10)
            with pytest.raises(ServerOverloaded) as refused:
                house.scheduler.check_capacity()
        assert refused.value.retry_after_s == 30  # at the guessed speed of 10


async def test_who_has_just_come_does_not_make_the_time_to_come_back_short() -> None:
    house = House(max_requests=2)
    with house.open:
        house.submit(house.queue(), silence(30), num_windows=10)
        house.queue().unsubmitted_s = 0.0  # nothing is known of it yet
        with pytest.raises(ServerOverloaded) as refused:
            house.scheduler.check_capacity()
        assert refused.value.retry_after_s == 60


async def test_expected_audio_counts_as_backlog(house: House) -> None:
    queue = house.queue()
    queue.unsubmitted_s = 3600
    house.submit(queue, silence(30))
    assert house.scheduler.backlog_s == pytest.approx(3630)


async def test_the_rest_of_a_window_goes_before_the_windows_that_follow_it(house: House) -> None:
    queue = house.queue()
    followers = house.submit(queue, silence(30), num_windows=40)
    house.step()
    rest = house.scheduler.submit(queue, silence(10), TranscribeOptions(), is_continuation=True)
    house.step()
    house.step()
    assert rest.done()
    assert sum(future.done() for future in followers) == 11


async def test_what_the_engine_cannot_do_fails_one_window(house: House) -> None:
    queue = house.queue()
    refused, fine = house.submit(queue, silence(1), num_windows=2)
    house.scheduler.on_refused(next(iter(house.engine.inside)), InvalidParameter("no such language"))
    house.step()
    with pytest.raises(InvalidParameter):
        refused.result()
    assert fine.done()


async def test_a_request_holds_no_more_windows_than_its_share(house: House) -> None:
    queue = house.queue()
    for _ in range(2 * 4):
        await asyncio.wait_for(house.scheduler.acquire_window(queue), 1)
    waiting = asyncio.create_task(house.scheduler.acquire_window(queue))
    await asyncio.sleep(0)
    assert not waiting.done()
    house.scheduler.release_window(queue)
    await asyncio.wait_for(waiting, 1)
    assert queue.num_windows == 8


async def test_shares_shrink_and_grow_with_the_number_of_requests(house: House) -> None:
    queue = house.queue()
    with contextlib.ExitStack() as others:
        for _ in range(7):
            others.enter_context(house.scheduler.open_queue())
        for _ in range(2):
            await asyncio.wait_for(house.scheduler.acquire_window(queue), 1)
        waiting = asyncio.create_task(house.scheduler.acquire_window(queue))
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1)


async def test_a_death_costs_the_innocent_only_time(house: House) -> None:
    heard = [house.submit(house.queue(), number_pcm([number]))[0] for number in range(1, 7)]
    house.engine.die()
    assert house.engine.free_slots == 0
    with pytest.raises(EngineRestarting):
        house.scheduler.check_capacity()
    late = house.submit(house.queue(), number_pcm([7]))[0]  # was let in before the engine died
    house.engine.come_back()
    assert len(house.engine.inside) == 4  # those it lost go first
    house.step()
    house.step()
    assert [words(future) for future in [*heard, late]] == [f" {number}" for number in range(1, 8)]


async def test_the_window_that_kills_the_engine_is_found_and_only_its_request_fails(house: House) -> None:
    queues = [house.queue() for _ in range(6)]
    numbers = [1, 2, 66, 4, 5, 6]
    heard = [house.submit(queue, number_pcm([number]))[0] for queue, number in zip(queues, numbers, strict=True)]
    num_deaths = 0
    for _ in range(20):
        poisoned = [job for job in house.engine.inside.values() if np.max(job.pcm) == 6600]
        if poisoned:
            house.engine.die()
            num_deaths += 1
            house.engine.come_back()
        else:
            house.step()
    assert num_deaths == 3
    with pytest.raises(RequestCrashedWorker):
        heard.pop(2).result()
    assert [words(future) for future in heard] == [" 1", " 2", " 4", " 5", " 6"]
    assert len(house.engine.admissions[-1]) >= 1
    assert house.scheduler.run_once() == 0


async def test_a_suspect_runs_alone(house: House) -> None:
    house.submit(house.queue(), silence(1), num_windows=2)
    for _ in range(2):
        house.engine.die()
        house.engine.come_back()
    house.submit(house.queue(), silence(1), num_windows=5)
    for num_inside in (1, 1, 4):
        assert len(house.engine.inside) == num_inside
        house.step()


async def test_a_suspect_waits_until_the_engine_is_empty(house: House) -> None:
    suspect, other = house.queue(), house.queue()
    house.submit(suspect, silence(1))
    for _ in range(2):
        job_id = min(house.engine.inside)
        house.engine.cancel([job_id])
        if len(house.engine.inside) == 0:
            house.submit(other, silence(1))
        house.scheduler.on_lost([job_id])  # the engine gave up on this one and works on
    assert len(house.engine.inside) == 1
    house.step()
    assert [len(job.pcm) for job in house.engine.inside.values()] == [SAMPLE_RATE_HZ]
    assert house.scheduler.backlog_s == 1


async def test_a_lane_that_leaves_during_a_restart_is_forgotten(house: House) -> None:
    with house.scheduler.open_queue() as queue:
        house.submit(queue, silence(1), num_windows=3)
        house.engine.die()
    house.engine.come_back()
    assert not house.engine.inside
    assert house.count("asr_queued_windows") == 0


async def test_draining_refuses_newcomers_and_waits_for_the_rest(house: House) -> None:
    with house.scheduler.open_queue() as queue:
        heard = house.submit(queue, number_pcm([7]))[0]
        draining = asyncio.create_task(house.scheduler.drain())
        await asyncio.sleep(0)
        with pytest.raises(ServerDraining):
            house.scheduler.check_ready()
        house.step()
        assert words(heard) == " 7"
        assert not draining.done()
    await asyncio.wait_for(draining, 1)


async def test_loading_is_said_as_such(house: House) -> None:
    house.engine.state = EngineState.LOADING
    with pytest.raises(ModelLoading):
        house.scheduler.check_ready()


async def test_a_lost_engine_fails_what_is_open_and_what_comes(house: House) -> None:
    queue = house.queue()
    before = house.submit(queue, silence(1))[0]
    house.engine.state = EngineState.FAILED
    house.scheduler.on_failed(StartupError("gone"))
    after = house.submit(queue, silence(1))[0]
    for future in (before, after):
        with pytest.raises(ServerDraining):
            future.result()
    with pytest.raises(ServerDraining):
        house.scheduler.check_ready()
