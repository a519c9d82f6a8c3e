"""Transcriber: every word once and in order, with a scripted engine that may crash, hang or fail."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from random import Random

import numpy as np
import pytest

from asr_api.engine_process.supervisor import EngineProcess
from asr_api.errors import InvalidAudio, InvalidParameter, RequestCrashedWorker, ServerDraining, ServerOverloaded
from asr_api.events import FinalSegments, TranscriptEnd
from asr_api.metrics import Metrics
from asr_api.options import DecodeOptions, TranscribeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, AudioEnd
from asr_api.transcript import Transcript, Usage
from tests.engine_factories import scripted
from tests.engines.scripted import HANG, MARKS, Script, number_pcm
from tests.service import MODEL, FakeSource, ServiceHarness, num_open_things

pytestmark = pytest.mark.anyio


class EngineService(ServiceHarness):
    """The harness with a real engine process."""

    def __init__(self, script: Script, heartbeat_timeout_s: float, max_requests: int) -> None:
        metrics = Metrics()
        self.engine = EngineProcess(
            scripted(script), metrics=metrics.for_model(MODEL), heartbeat_timeout_s=heartbeat_timeout_s
        )
        super().__init__(engine=self.engine, metrics=metrics, max_requests=max_requests)

    async def until(self, name: str, at_least: float) -> None:
        async with asyncio.timeout(10):
            while self.count(name) < at_least:  # noqa: ASYNC110 - a number on the page has no event
                await asyncio.sleep(0.005)

    async def wait_until_idle(self) -> None:
        """Waits until the engine has dropped cancelled windows; at most one step."""
        for _ in range(200):
            if self.engine.free_slots == self.engine.info.n_slots:
                break
            await asyncio.sleep(0.005)
        assert self.engine.free_slots == self.engine.info.n_slots
        assert self.pool.num_open_requests == 0
        assert self.count("asr_busy_slots") == self.count("asr_queued_windows") == 0
        assert self.scheduler.backlog_s == 0


@contextlib.asynccontextmanager
async def running(
    script: Script | None = None, heartbeat_timeout_s: float = 60.0, max_requests: int = 64
) -> AsyncIterator[EngineService]:
    """At the end no process, descriptor, thread or task may be left."""
    before = num_open_things(), len(asyncio.all_tasks())
    service = EngineService(script or Script(), heartbeat_timeout_s, max_requests)
    try:
        await service.pool.start()
        yield service
        await service.wait_until_idle()
    finally:
        await service.pool.aclose()
    await asyncio.sleep(0)
    assert (num_open_things(), len(asyncio.all_tasks())) == before


def text_of(numbers: range) -> str:
    return "".join(f" {number}" for number in numbers)


def finals(events: Sequence[object]) -> list[FinalSegments]:
    return [event for event in events if isinstance(event, FinalSegments)]


async def test_a_long_recording_is_transcribed_completely_and_in_order() -> None:
    numbers = range(1, 201)
    async with running() as service:
        events = [event async for event in service.events(number_pcm(numbers))]
        segments = [segment for event in finals(events) for segment in event.segments]
        assert [segment.text for segment in segments] == [f" {number}" for number in numbers]
        assert [segment.start_ms for segment in segments] == [1000 * n for n in range(200)]
        assert all(segment.tokens and len(segment.tokens) == len(segment.logprobs) for segment in segments)
        assert all(segment.speaker is None for segment in segments)
        ends_ms = [event.audio_ms for event in finals(events)]
        assert ends_ms == sorted(ends_ms)
        assert ends_ms[-1] == 200_000
        assert len(ends_ms) >= 8
        num_decoded = service.count("asr_stage_seconds_count", stage="decode")
        assert num_decoded == service.count("asr_stage_seconds_count", stage="engine") == len(ends_ms)
        assert all(segment.end_ms <= event.audio_ms for event in finals(events) for segment in event.segments)
        assert service.outcomes() == {"completed": 1}


@pytest.mark.parametrize("flaw", ["is_truncated", "is_damaged"])
async def test_the_last_event_tells_language_usage_and_how_the_audio_ended(flaw: str) -> None:
    """A truncated or damaged recording is transcribed as far as possible."""
    async with running() as service:
        source = FakeSource(number_pcm(range(1, 61)), last_end=AudioEnd(**{flaw: True}))
        *events, end = [event async for event in service.events(source)]
        assert isinstance(end, TranscriptEnd)
        assert (end.audio_ms, end.language, end.end) == (60_000, "en", AudioEnd(**{flaw: True}))
        assert (end.usage.audio_ms, end.usage.num_pieces) == (60_000, len(finals(events)))
        assert end.usage.times.engine_s > 0
        segments = [segment for event in finals(events) for segment in event.segments]
        assert "".join(segment.text for segment in segments) == text_of(range(1, 61))
        assert end.usage.num_tokens == sum(len(segment.tokens) for segment in segments) == 60
        assert not any(isinstance(event, TranscriptEnd) for event in events)


async def test_hardly_any_pause_is_enough_for_a_cut_between_words() -> None:
    numbers = range(1, 241)
    async with running() as service:
        assert await service.text(number_pcm(numbers, word_s=0.44, pause_s=0.06)) == text_of(numbers)
        assert service.count("asr_windows_total") >= 4


@pytest.mark.parametrize("stops_silently", [False, True])
async def test_a_window_that_needs_more_tokens_is_continued_to_its_end(stops_silently: bool) -> None:
    numbers = range(100, 170)
    async with running(Script(max_words=4, stops_silently=stops_silently)) as service:
        transcript = await service.transcript(number_pcm(numbers))
        assert transcript.text == text_of(numbers)
        assert stops_silently or [segment.start_ms for segment in transcript.segments] == [1000 * n for n in range(70)]
        assert service.count("asr_windows_total") >= 70 / 4
        resumed = service.count("asr_resumed_windows_total")
        assert resumed > 0
        await service.text(number_pcm([100], pause_s=20))
        assert service.count("asr_resumed_windows_total") == resumed, "a pause is not speech"


async def test_silence_skips_the_engine() -> None:
    async with running() as service:
        transcript = await service.transcript(np.zeros(100 * SAMPLE_RATE_HZ, np.int16))
        assert transcript == Transcript((), 100_000, usage=Usage())
        assert service.count("asr_windows_total") == 0
        assert service.count("asr_silent_pieces_total") == 1


async def test_the_language_reaches_the_engine_and_is_reported() -> None:
    def options(language: str) -> TranscribeOptions:
        return TranscribeOptions(DecodeOptions(language=language))

    async with running() as service:
        assert (await service.transcript(number_pcm([1]), options("de"))).language == "de"
        assert (await service.transcript(number_pcm([1]))).language == "en"
        with pytest.raises(InvalidParameter):
            await service.transcript(number_pcm([1]), options("tlh"))


async def test_a_decoding_error_comes_after_the_segments_before_it() -> None:
    async with running() as service:
        source = FakeSource(number_pcm(range(1, 101)), error=InvalidAudio("broken"))
        events: list[object] = []

        async def listen() -> None:
            async for event in service.events(source):
                events.append(event)  # noqa: PERF401 - a comprehension would lose them at the error

        with pytest.raises(InvalidAudio):
            await listen()
        assert sum(len(event.segments) for event in finals(events)) >= 50
        assert service.outcomes() == {"invalid": 1}


async def test_the_source_is_read_only_as_far_as_the_engine_needs() -> None:
    service = ServiceHarness(Script(n_slots=2))
    source = FakeSource(np.tile(number_pcm(range(1, 31)), 30))  # a quarter of an hour
    request = service.start(source)
    for num_windows in range(0, 20, 2):
        await service.settle()
        assert len(service.in_process.inside) == 2
        ahead_s = source.num_read_samples / SAMPLE_RATE_HZ - 30 * num_windows
        assert ahead_s < (2 * 2 + 1 + 2) * 30  # held, waiting for a permit, in the cutter
        service.step()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    assert not service.in_process.inside
    assert not source.is_open


async def test_killing_the_engine_during_four_requests_loses_no_word() -> None:
    all_numbers = [range(first, first + 90) for first in (1, 101, 151, 201)]
    async with running(Script(n_slots=4, step_s=0.01)) as service:
        requests = [service.start(number_pcm(numbers)) for numbers in all_numbers]
        for num_windows in (2, 6):
            await service.until("asr_windows_total", num_windows)
            assert service.engine.pid is not None
            os.kill(service.engine.pid, signal.SIGKILL)
            await service.until("asr_engine_restarts_total", 1)
        transcripts = await asyncio.wait_for(asyncio.gather(*requests), 20)
        assert [transcript.text for transcript in transcripts] == list(map(text_of, all_numbers))
        assert service.count("asr_engine_restarts_total") == 2
        assert service.outcomes() == {"completed": 4}


@pytest.mark.parametrize("mark", MARKS, ids=["crash", "hang", "exception", "early exception"])
async def test_a_window_that_breaks_the_engine_fails_only_its_request(mark: int) -> None:
    all_numbers = [range(first, first + 70) for first in (1, 101, 201)]
    async with running(Script(n_slots=4), heartbeat_timeout_s=0.5 if mark == HANG else 60) as service:
        healthy = [service.start(number_pcm(numbers)) for numbers in all_numbers]
        poisoned = service.start(np.concatenate((number_pcm(range(1, 26)), number_pcm([66], mark=mark))))
        with pytest.raises(RequestCrashedWorker):
            await asyncio.wait_for(poisoned, 20)
        transcripts = await asyncio.wait_for(asyncio.gather(*healthy), 20)
        assert [transcript.text for transcript in transcripts] == list(map(text_of, all_numbers))
        assert service.count("asr_engine_restarts_total") <= 3
        assert service.outcomes() == {"completed": 3, "failed": 1}


@pytest.mark.parametrize("num_wanted", [0, 1, 3])
async def test_a_closed_request_frees_everything_within_a_step(num_wanted: int) -> None:
    async with running(Script(n_slots=2, step_s=0.005)) as service:
        source = FakeSource(np.tile(number_pcm(range(1, 31)), 40))  # twenty minutes
        async with aclosing(service.events(source)) as events:
            if num_wanted == 0:
                client = asyncio.ensure_future(anext(events))
                await service.until("asr_busy_slots", 2)
                client.cancel()
                await asyncio.wait([client], timeout=10)
            for _ in range(num_wanted):
                await asyncio.wait_for(anext(events), 10)
        await service.wait_until_idle()
        assert service.outcomes() == {"cancelled": 1}
        assert source.num_read_samples < 20 * 30 * SAMPLE_RATE_HZ
        assert not source.is_open


async def test_a_full_server_refuses_at_once_and_admits_again_later() -> None:
    async with running(Script(n_slots=1, step_s=0.01, steps_per_window=20), max_requests=1) as service:
        first = service.start(number_pcm([1]))
        await service.until("asr_busy_slots", 1)
        with pytest.raises(ServerOverloaded) as refused:
            await service.text(number_pcm([2]))
        assert refused.value.retry_after_s == 1
        with pytest.raises(ServerOverloaded):
            service.model.check_capacity()
        assert (await first).text == " 1"
        assert await service.text(number_pcm([3])) == " 3"
        assert service.outcomes() == {"completed": 2, "refused": 2}  # before and after admission


async def test_draining_finishes_open_requests_and_refuses_new_ones() -> None:
    async with running(Script(step_s=0.01)) as service:
        requests = [service.start(number_pcm(range(first, first + 50))) for first in (1, 101)]
        await service.until("asr_busy_slots", 2)
        draining = asyncio.create_task(service.pool.drain())
        await asyncio.sleep(0)
        with pytest.raises(ServerDraining):
            service.model.check_capacity()
        await asyncio.wait_for(draining, 10)
        texts = [transcript.text for transcript in await asyncio.gather(*requests)]
        assert texts == [text_of(range(1, 51)), text_of(range(101, 151))]


async def test_stopping_fails_open_requests_with_a_clear_error() -> None:
    async with running(Script(step_s=0.01, steps_per_window=1000)) as service:
        request = service.start(number_pcm([1]))
        await service.until("asr_busy_slots", 1)
        service.scheduler.stop()
        with pytest.raises(ServerDraining):
            await asyncio.wait_for(request, 5)


@pytest.mark.soak
async def test_crashes_and_cancellations_together_lose_no_request() -> None:
    """Kills, poison, broken sources and clients that leave, all at once: right words, or an explicit error."""
    random = Random(1)
    loop = asyncio.get_running_loop()
    counts: Counter[str] = Counter()
    async with running(Script(n_slots=4, step_s=0.005, steps_per_window=4), heartbeat_timeout_s=1) as service:

        async def client(kind: str) -> None:
            first = random.randint(1, 150)
            numbers = range(first, first + random.randint(3, 80))
            error = InvalidAudio("broken") if kind == "broken" else None
            mark = random.choice(MARKS) if kind == "poison" else None
            request = service.start(FakeSource(number_pcm(numbers, mark=mark), error=error))
            if kind == "leaver":
                await asyncio.sleep(random.random() / 4)
                request.cancel()
            (outcome,) = await asyncio.wait_for(asyncio.gather(request, return_exceptions=True), 60)
            if isinstance(outcome, Transcript):
                assert outcome.text == text_of(numbers)
            counts[f"{kind} {type(outcome).__name__}"] += 1

        async def clients() -> None:
            while loop.time() < until_s:
                await client(random.choices(["healthy", "leaver", "broken", "poison"], [85, 8, 5, 2])[0])

        async def killer() -> None:
            while loop.time() < until_s:
                await asyncio.sleep(1.5)
                if service.engine.pid is not None:
                    os.kill(service.engine.pid, signal.SIGKILL)
                    counts["kills"] += 1

        until_s = loop.time() + 40
        await asyncio.gather(killer(), *(clients() for _ in range(12)))
    print(dict(counts), service.outcomes())
    requests = {name: count for name, count in counts.items() if name != "kills"}
    allowed = {
        "Transcript",
        "RequestCrashedWorker",
        "CrashingAudio",
        "EngineRestarting",
        "InvalidAudio",
        "CancelledError",
    }
    assert {name.split()[1] for name in requests} <= allowed
    assert not counts["healthy RequestCrashedWorker"]
    assert counts["healthy Transcript"] > 50
    assert sum(service.outcomes().values()) == sum(requests.values())
