"""The whole journey with the scripted engine: every word once, in order, whatever happens on the way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from random import Random

import numpy as np
import pytest

from asr_api.engine_process.supervisor import EngineProcess
from asr_api.errors import InvalidAudio, InvalidParameter, RequestCrashedWorker, ServerDraining, ServerOverloaded
from asr_api.metrics import OUTCOMES, Metrics
from asr_api.options import TranscribeOptions
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from asr_api.scheduler import Scheduler
from asr_api.transcriber import collect
from asr_api.transcript import Transcript, TranscriptPart
from tests.engine_factories import scripted
from tests.engines.scripted import HANG, MARKS, Script, number_pcm
from tests.service import FakeDecoder, FakeSpool, InProcessEngine, num_open_things, reading, transcribed, transcriber_of

pytestmark = pytest.mark.anyio


class Service:
    """A transcriber and everything around it."""

    def __init__(self, script: Script, heartbeat_timeout_s: float = 60.0, max_requests: int = 64) -> None:
        self.metrics = Metrics()
        self.engine = EngineProcess(scripted(script), metrics=self.metrics, heartbeat_timeout_s=heartbeat_timeout_s)
        self.scheduler = Scheduler(self.engine, metrics=self.metrics, max_requests=max_requests)
        self.decoder = FakeDecoder()
        self.transcriber = transcriber_of(self.engine, self.scheduler, self.decoder, self.metrics)

    def parts(self, source: FakeSpool | Pcm, language: str | None = None) -> AsyncGenerator[TranscriptPart, None]:
        return transcribed(self.transcriber, source, TranscribeOptions(language=language))

    def start(self, source: FakeSpool | Pcm) -> asyncio.Task[Transcript]:
        return asyncio.create_task(collect(self.parts(source)))

    async def text(self, source: FakeSpool | Pcm) -> str:
        return (await asyncio.wait_for(collect(self.parts(source)), 20)).text

    def count(self, name: str, **labels: str) -> float:
        return reading(self.metrics, name, **labels)

    def outcomes(self) -> dict[str, float]:
        counts = {outcome: self.count("asr_requests_total", outcome=outcome) for outcome in OUTCOMES}
        return {outcome: count for outcome, count in counts.items() if count}

    async def until(self, name: str, at_least: float) -> None:
        async def wait() -> None:
            while self.count(name) < at_least:  # noqa: ASYNC110 - a number on the page has no event
                await asyncio.sleep(0.005)

        await asyncio.wait_for(wait(), 10)

    async def settle(self) -> None:
        """Waits for the engine to let go of cancelled windows; at most one step."""
        for _ in range(200):
            if self.engine.free_slots == self.engine.info.n_slots:
                break
            await asyncio.sleep(0.005)
        assert self.engine.free_slots == self.engine.info.n_slots
        assert self.transcriber.num_open_requests == self.decoder.num_open == 0
        assert self.count("asr_busy_slots") == self.count("asr_queued_windows") == 0
        assert self.transcriber.backlog_s == 0


@contextlib.asynccontextmanager
async def running(
    script: Script | None = None, heartbeat_timeout_s: float = 60.0, max_requests: int = 64
) -> AsyncIterator[Service]:
    """At the end nothing may be left, neither inside nor of processes, descriptors and tasks."""
    before = num_open_things(), len(asyncio.all_tasks())
    service = Service(script or Script(), heartbeat_timeout_s, max_requests)
    try:
        await service.transcriber.start()
        yield service
        await service.settle()
    finally:
        await service.transcriber.aclose()
    await asyncio.sleep(0)
    assert (num_open_things(), len(asyncio.all_tasks())) == before


def text_of(numbers: range) -> str:
    return "".join(f" {number}" for number in numbers)


async def test_a_long_source_is_told_completely_in_order_and_on_time() -> None:
    numbers = range(1, 201)
    async with running() as service:
        parts = [part async for part in service.parts(number_pcm(numbers))]
        segments = [segment for part in parts for segment in part.segments]
        assert [segment.text for segment in segments] == [f" {number}" for number in numbers]
        assert [segment.start_ms for segment in segments] == [1000 * n for n in range(200)]
        ends_ms = [part.audio_ms for part in parts]
        assert ends_ms == sorted(ends_ms)
        assert ends_ms[-1] == 200_000
        assert len(parts) >= 8
        num_decoded = service.count("asr_stage_seconds_count", stage="decode")
        assert num_decoded == service.count("asr_stage_seconds_count", stage="engine") == len(parts) - 1
        assert all(segment.end_ms <= part.audio_ms for part in parts for segment in part.segments)
        assert service.outcomes() == {"completed": 1}


async def test_the_words_survive_where_no_pause_allows_a_cut() -> None:
    numbers = range(1, 241)
    async with running() as service:
        pcm = number_pcm(numbers, word_s=0.44, pause_s=0.06)  # shorter than anything that counts as a pause
        transcript = await collect(service.parts(pcm))
        assert transcript.text == text_of(numbers)


async def test_requests_side_by_side_share_batches_and_keep_their_words() -> None:
    async with running(Script(n_slots=4, step_s=0.005)) as service:
        sources = {first: number_pcm(range(first, first + 45)) for first in (1, 51, 101, 151, 201)}
        texts = await asyncio.gather(*(service.text(pcm) for pcm in sources.values()))
        assert texts == [text_of(range(first, first + 45)) for first in sources]
        assert service.count("asr_shared_batches_total") > 0


async def test_a_window_that_needs_more_tokens_is_resumed_until_nothing_is_missing() -> None:
    numbers = range(1, 71)
    async with running(Script(max_words=4)) as service:
        transcript = await collect(service.parts(number_pcm(numbers)))
        assert transcript.text == text_of(numbers)
        assert [segment.start_ms for segment in transcript.segments] == [1000 * n for n in range(70)]
        assert service.count("asr_windows_total") >= 70 / 4


async def test_speech_after_the_last_word_is_heard_again() -> None:
    numbers = range(100, 170)
    async with running(Script(max_words=4, stops_silently=True)) as service:
        transcript = await collect(service.parts(number_pcm(numbers)))
        assert transcript.text == text_of(numbers)
        resumed = service.count("asr_resumed_windows_total")
        assert resumed > 0
        await service.text(number_pcm([100], pause_s=20))
        assert service.count("asr_resumed_windows_total") == resumed, "a pause is not speech"


async def test_silence_needs_no_engine() -> None:
    async with running() as service:
        transcript = await collect(service.parts(np.zeros(100 * SAMPLE_RATE_HZ, np.int16)))
        assert transcript == Transcript((), 100_000)
        assert service.count("asr_windows_total") == 0
        assert service.count("asr_silent_windows_total") >= 4


async def test_the_language_is_passed_on_and_reported() -> None:
    async with running() as service:
        assert (await collect(service.parts(number_pcm([1]), language="de"))).language == "de"
        assert (await collect(service.parts(number_pcm([1])))).language == "en"
        with pytest.raises(InvalidParameter):
            await collect(service.parts(number_pcm([1]), language="tlh"))


@pytest.mark.parametrize("flaw", ["is_truncated", "is_damaged"])
async def test_a_source_that_breaks_off_or_is_damaged_is_told_as_far_as_it_goes(flaw: str) -> None:
    async with running() as service:
        spool = FakeSpool(number_pcm(range(1, 41)))
        setattr(spool, flaw, True)
        parts = [part async for part in service.parts(spool)]
        assert [getattr(part, flaw) for part in parts] == [False] * (len(parts) - 1) + [True]
        assert [part.is_truncated for part in parts] != [part.is_damaged for part in parts]
        assert "".join(segment.text for part in parts for segment in part.segments) == text_of(range(1, 41))


async def test_a_decoding_error_comes_after_what_was_heard_before_it() -> None:
    async with running() as service:
        spool = FakeSpool(number_pcm(range(1, 101)), error=InvalidAudio("broken"))
        heard: list[str] = []

        async def listen() -> None:
            async for part in service.parts(spool):
                heard.extend(segment.text for segment in part.segments)

        with pytest.raises(InvalidAudio):
            await listen()
        assert len(heard) >= 50
        assert service.outcomes() == {"invalid": 1}


async def test_decoding_waits_for_the_engine_and_the_engine_not_for_the_decoding() -> None:
    engine, metrics = InProcessEngine(Script(n_slots=2)), Metrics()
    decoder = FakeDecoder()
    transcriber = transcriber_of(engine, Scheduler(engine, metrics=metrics), decoder, metrics)
    spool = FakeSpool(np.tile(number_pcm(range(1, 31)), 30))  # a quarter of an hour
    request = asyncio.create_task(collect(transcribed(transcriber, spool)))
    for num_windows in range(0, 20, 2):
        for _ in range(300):
            await asyncio.sleep(0)
        assert len(engine.inside) == 2
        ahead_s = spool.num_read_samples / SAMPLE_RATE_HZ - 30 * num_windows
        assert ahead_s < (2 * 2 + 1 + 2) * 30  # held, waiting for room, in the cutter
        engine.step()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    assert not engine.inside
    assert decoder.num_open == 0


async def test_killing_the_engine_during_four_requests_costs_nobody_a_word() -> None:
    async with running(Script(n_slots=4, step_s=0.01)) as service:
        requests = [service.start(number_pcm(range(first, first + 90))) for first in (1, 101, 151, 201)]
        for num_windows in (2, 6):
            await service.until("asr_windows_total", num_windows)
            assert service.engine.pid is not None
            os.kill(service.engine.pid, signal.SIGKILL)
            await service.until("asr_engine_restarts_total", 1)
        transcripts = await asyncio.wait_for(asyncio.gather(*requests), 20)
        assert [transcript.text for transcript in transcripts] == [
            text_of(range(first, first + 90)) for first in (1, 101, 151, 201)
        ]
        assert service.count("asr_engine_restarts_total") == 2
        assert service.outcomes() == {"completed": 4}


@pytest.mark.parametrize("mark", MARKS, ids=["crash", "hang", "exception", "early exception"])
async def test_a_poisoned_window_costs_only_its_own_request(mark: int) -> None:
    async with running(Script(n_slots=4), heartbeat_timeout_s=0.5 if mark == HANG else 60) as service:
        healthy = [service.start(number_pcm(range(first, first + 70))) for first in (1, 101, 201)]
        poisoned = service.start(np.concatenate((number_pcm(range(1, 26)), number_pcm([66], mark=mark))))
        with pytest.raises(RequestCrashedWorker):
            await asyncio.wait_for(poisoned, 20)
        texts = [transcript.text for transcript in await asyncio.wait_for(asyncio.gather(*healthy), 20)]
        assert texts == [text_of(range(first, first + 70)) for first in (1, 101, 201)]
        assert service.count("asr_engine_restarts_total") <= 3
        assert service.outcomes() == {"completed": 3, "failed": 1}


@pytest.mark.parametrize("num_parts", [0, 1, 3])
async def test_a_client_that_goes_frees_everything_within_a_step(num_parts: int) -> None:
    async with running(Script(n_slots=2, step_s=0.005)) as service:
        spool = FakeSpool(np.tile(number_pcm(range(1, 31)), 40))  # twenty minutes

        async def listen() -> None:
            async with aclosing(service.parts(spool)) as parts:
                async for _ in parts:
                    heard.append(1)
                    if len(heard) == num_parts:
                        return

        heard: list[int] = []
        client = asyncio.create_task(listen())
        if num_parts == 0:
            await service.until("asr_busy_slots", 2)
            client.cancel()
        await asyncio.wait([client], timeout=10)
        await service.settle()
        assert service.outcomes() == {"cancelled": 1}
        assert spool.num_read_samples < 20 * 30 * SAMPLE_RATE_HZ


async def test_a_full_house_refuses_at_once_and_lets_in_when_one_has_left() -> None:
    async with running(Script(n_slots=1, step_s=0.01, steps_per_window=20), max_requests=1) as service:
        first = service.start(number_pcm([1]))
        await service.until("asr_busy_slots", 1)
        with pytest.raises(ServerOverloaded) as refused:
            await service.text(number_pcm([2]))
        assert refused.value.retry_after_s == 1
        with pytest.raises(ServerOverloaded):
            service.transcriber.check_capacity()
        assert (await first).text == " 1"
        assert await service.text(number_pcm([3])) == " 3"
        assert service.outcomes() == {"completed": 2, "refused": 2}  # at the door, and behind it


async def test_draining_finishes_the_open_requests_and_takes_no_new_ones() -> None:
    async with running(Script(step_s=0.01)) as service:
        requests = [service.start(number_pcm(range(first, first + 50))) for first in (1, 101)]
        await service.until("asr_busy_slots", 2)
        draining = asyncio.create_task(service.transcriber.drain())
        await asyncio.sleep(0)
        with pytest.raises(ServerDraining):
            service.transcriber.check_capacity()
        await asyncio.wait_for(draining, 10)
        texts = [transcript.text for transcript in await asyncio.gather(*requests)]
        assert texts == [text_of(range(1, 51)), text_of(range(101, 151))]


async def test_closing_ends_open_requests_with_an_explicit_error() -> None:
    async with running(Script(step_s=0.01, steps_per_window=1000)) as service:
        request = service.start(number_pcm([1]))
        await service.until("asr_busy_slots", 1)
        service.scheduler.stop()
        with pytest.raises(ServerDraining):
            await asyncio.wait_for(request, 5)


@pytest.mark.soak
async def test_in_chaos_every_request_is_accounted_for() -> None:
    """Kills, poison, broken sources and clients that leave, all at once: right words, or an explicit error."""
    random = Random(1)
    loop = asyncio.get_running_loop()
    counts: Counter[str] = Counter()
    async with running(Script(n_slots=4, step_s=0.005, steps_per_window=4), heartbeat_timeout_s=1) as service:

        async def client(kind: str) -> None:
            first = random.randint(1, 150)
            numbers = range(first, first + random.randint(3, 80))
            error = InvalidAudio("broken") if kind == "broken" else None
            spool = FakeSpool(number_pcm(numbers, mark=random.choice(MARKS) if kind == "poison" else None), error=error)
            request = service.start(spool)
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
        "Transcript", "RequestCrashedWorker", "EngineRestarting", "InvalidAudio", "CancelledError"
    }  # fmt: skip
    assert {name.split()[1] for name in requests} <= allowed
    assert counts["healthy RequestCrashedWorker"] <= counts["kills"]
    assert counts["healthy Transcript"] > 50
    assert sum(service.outcomes().values()) == sum(requests.values())
