"""Shared transcriptions: repeats join or are answered from memory, and whoever leaves changes nothing for others."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, fields, is_dataclass, replace

import pytest

from asr_api.errors import AsrError, InternalError, InvalidAudio, ServerOverloaded
from asr_api.events import FinalSegments, TranscriptEnd, TranscriptEvent
from asr_api.metrics import Metrics
from asr_api.options import DecodeOptions, TranscribeOptions, VadOptions
from asr_api.shared_transcriptions import MAX_KEPT_BYTES, SharedTranscriptions, TranscriptionKey, result_size_bytes
from asr_api.transcript import Quality, Segment, Word
from tests.service import MODEL, FakeClock, metric_value

pytestmark = pytest.mark.anyio

KEY = TranscriptionKey(b"a digest", TranscribeOptions(), MODEL)
EVENTS: list[TranscriptEvent] = [
    FinalSegments((Segment(0, 500, " one"),), 500),
    FinalSegments((), 900),
    TranscriptEnd(900),
]


@dataclass
class Transcription:
    """Yields an event each time the test releases it; then it ends, or raises `error`."""

    error: Exception | None = None
    events: list[TranscriptEvent] = field(default_factory=lambda: [*EVENTS])
    released: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    may_close: asyncio.Event = field(default_factory=asyncio.Event)
    is_started: bool = False
    is_closed: bool = False

    def __post_init__(self) -> None:
        self.may_close.set()

    async def __call__(self) -> AsyncGenerator[TranscriptEvent, None]:
        self.is_started = True
        try:
            for event in self.events:
                await self.released.acquire()
                yield event
            if self.error is not None:
                raise self.error
        finally:
            await self.may_close.wait()
            self.is_closed = True

    def release(self, num_events: int = len(EVENTS)) -> None:
        for _ in range(num_events):
            self.released.release()


class Sharing:
    """`SharedTranscriptions` with a clock without time, and every transcription that it has started."""

    def __init__(self, keep_s: float = 600, max_listeners: int = 64, max_kept_bytes: int = MAX_KEPT_BYTES) -> None:
        self.metrics = Metrics()
        self.metrics.for_model(MODEL)
        self.clock = FakeClock()
        self.started: list[Transcription] = []
        self.transcriptions = SharedTranscriptions(
            self.metrics, keep_s, max_listeners, max_kept_bytes=max_kept_bytes, clock=self.clock
        )

    def listen(self, key: TranscriptionKey = KEY, error: Exception | None = None, account: str = "") -> Listener:
        def start() -> AsyncGenerator[TranscriptEvent, None]:
            self.started.append(Transcription(error))
            return self.started[-1]()

        return Listener(self.transcriptions.events(key, start, account))

    async def answer(self, key: TranscriptionKey = KEY, error: Exception | None = None) -> int:
        """One request from start to end; returns how many transcriptions have started so far."""
        num_before = len(self.started)
        listener = self.listen(key, error)
        await settle()
        for transcription in self.started[num_before:]:
            transcription.release()
        await asyncio.wait([listener.task])
        return len(self.started)

    def counts(self) -> tuple[float, float]:
        """Joined and repeated requests."""
        names = ("asr_joined_requests_total", "asr_repeated_requests_total")
        joined, repeated = (metric_value(self.metrics, name) for name in names)
        return joined, repeated


class Listener:
    def __init__(self, events: AsyncGenerator[TranscriptEvent, None]) -> None:
        self.events: list[TranscriptEvent] = []
        self.task = asyncio.create_task(self._read(events))

    async def _read(self, events: AsyncGenerator[TranscriptEvent, None]) -> None:
        async with aclosing(events):
            async for event in events:
                self.events.append(event)

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_who_joins_gets_all_events_and_they_are_transcribed_once() -> None:
    sharing = Sharing()
    first, second = sharing.listen(), sharing.listen()
    await settle()
    sharing.started[0].release(2)
    await settle()
    late = sharing.listen()
    await settle()
    assert first.events == second.events == late.events == EVENTS[:2]
    assert not late.task.done()
    sharing.started[0].release(1)
    for listener in (first, second, late):
        await listener.task
        assert listener.events == EVENTS
    assert len(sharing.started) == 1
    assert sharing.started[0].is_closed
    assert sharing.counts() == (2, 0)


async def test_a_reply_waits_until_the_transcription_has_freed_everything() -> None:
    sharing = Sharing()
    listener = sharing.listen()
    await settle()
    sharing.started[0].may_close.clear()
    sharing.started[0].release()
    await settle()
    assert (listener.events, listener.task.done()) == (EVENTS, False)
    sharing.started[0].may_close.set()
    await listener.task


@pytest.mark.parametrize("num_released", [0, 1])
async def test_a_listener_that_leaves_changes_nothing_for_others(num_released: int) -> None:
    sharing = Sharing()
    first, second = sharing.listen(), sharing.listen()
    await settle()
    sharing.started[0].release(num_released)
    await settle()
    await first.leave()
    assert not sharing.started[0].is_closed
    sharing.started[0].release()
    await second.task
    assert second.events == EVENTS


async def test_the_first_may_leave_as_soon_as_the_second_has_come() -> None:
    """In the same turn of the event loop; the transcription has started nevertheless."""
    sharing = Sharing()
    first, second = sharing.listen(), sharing.listen()
    asyncio.get_running_loop().call_soon(first.task.cancel)
    await asyncio.wait([first.task])
    assert sharing.started[0].is_started
    sharing.started[0].release()
    await second.task
    assert second.events == EVENTS


@pytest.mark.parametrize("num_released", [0, 1])
async def test_when_the_last_leaves_the_transcription_is_cancelled_and_closed(num_released: int) -> None:
    sharing = Sharing()
    listeners = [sharing.listen(), sharing.listen()]
    await settle()
    sharing.started[0].release(num_released)
    await settle()
    sharing.started[0].may_close.clear()
    for listener in listeners:
        listener.task.cancel()
    await settle()
    assert [listener.task.done() for listener in listeners] == [True, False]
    sharing.started[0].may_close.set()
    await asyncio.wait([listeners[1].task])
    assert sharing.started[0].is_closed
    assert listeners[1].task.cancelled()


async def test_a_listener_that_stops_reading_leaves() -> None:
    sharing = Sharing()
    transcription = Transcription()
    transcription.release(1)
    async with aclosing(sharing.transcriptions.events(KEY, transcription)) as events:
        assert await anext(events) == EVENTS[0]
    assert transcription.is_closed


async def test_who_comes_while_a_transcription_is_cancelled_starts_a_new_one() -> None:
    sharing = Sharing()
    first = sharing.listen()
    await settle()
    sharing.started[0].may_close.clear()
    first.task.cancel()
    await settle()
    second = sharing.listen()
    await settle()
    assert len(sharing.started) == 2
    sharing.started[0].may_close.set()
    sharing.started[1].release()
    await second.task
    assert second.events == EVENTS
    assert await sharing.answer() == 2
    assert sharing.counts() == (0, 1)


async def test_a_closing_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def events() -> AsyncGenerator[TranscriptEvent, None]:
        try:
            await asyncio.Event().wait()
            yield EVENTS[0]
        finally:
            raise RuntimeError("it cannot be closed")

    listener = Listener(Sharing().transcriptions.events(KEY, events))
    await settle()
    await listener.leave()
    assert "it cannot be closed" in caplog.text


ERRORS = [
    (InvalidAudio("The audio is damaged."), True),
    (ServerOverloaded("The server is full.", retry_after_s=3), False),
    (InternalError("The server failed."), False),
    (RuntimeError("a bug"), False),
]


@pytest.mark.parametrize(("error", "is_kept"), ERRORS)
async def test_an_error_reaches_every_listener_and_only_the_file_s_own_is_kept(error: Exception, is_kept: bool) -> None:
    sharing = Sharing()
    listeners = [sharing.listen(error=error), sharing.listen()]
    await settle()
    sharing.started[0].release()
    await asyncio.wait([listener.task for listener in listeners])
    assert await sharing.answer() == (1 if is_kept else 2)
    listeners += [sharing.listen()] if is_kept else []
    await settle()
    for listener in listeners:
        raised = listener.task.exception()
        assert listener.events == EVENTS
        assert (type(raised), str(raised)) == (type(error), str(error))
        assert getattr(raised, "retry_after_s", None) == getattr(error, "retry_after_s", None)
    if isinstance(error, AsrError):
        assert len({id(listener.task.exception()) for listener in listeners}) == len(listeners)


async def test_a_kept_error_keeps_nothing_of_its_transcription() -> None:
    sharing = Sharing()
    await sharing.answer(error=InvalidAudio("The audio is damaged."))
    error = sharing.transcriptions._kept[KEY].error
    assert error is not None
    assert error.__traceback__ is error.__context__ is error.__cause__ is None


async def test_nobody_takes_a_part_for_all_when_the_transcription_is_cancelled_from_outside() -> None:
    sharing = Sharing()
    listener = sharing.listen()
    await settle()
    sharing.started[0].release(1)
    await settle()
    (running,) = sharing.transcriptions._tasks.values()
    running.cancel()
    await asyncio.wait([listener.task])
    assert listener.task.cancelled()
    assert await sharing.answer() == 2


async def test_a_result_answers_until_its_time_is_over() -> None:
    sharing = Sharing(keep_s=10)
    assert await sharing.answer() == 1
    sharing.clock.now_s += 9.9
    repeated = sharing.listen()
    await repeated.task
    assert repeated.events == EVENTS
    assert (len(sharing.started), sharing.counts()) == (1, (0, 1))
    sharing.clock.now_s += 0.2  # a repeat does not prolong it
    assert await sharing.answer() == 2


async def test_a_result_leaves_the_memory_when_its_time_is_over() -> None:
    class Event(TranscriptEnd):
        """With a dict, so that it can have weak references."""

    async def events() -> AsyncGenerator[TranscriptEvent, None]:
        yield Event(900)

    sharing = SharedTranscriptions(Metrics(), 0.05, 1)
    held = [weakref.ref(event) async for event in sharing.events(KEY, events)]
    gc.collect()
    assert held[0]() is not None
    async with asyncio.timeout(5):
        while held[0]() is not None:
            await asyncio.sleep(0.01)
            gc.collect()


def speech(num_segments: int, *, text: str = " word" * 8, has_token_texts: bool = False) -> FinalSegments:
    """Every object apart, as they come from the engine's process."""
    return FinalSegments(
        tuple(
            Segment(
                n * 2800,
                n * 2800 + 2700,
                f"{text}{n}",
                tuple(Word(n * 2800 + k, n * 2800 + 300 + k, f" word{k}", k / 7) for k in range(8)),
                Quality(n / 7, n / 3, n / 9, n / 11),
                tuple(range(1000 * n, 1000 * n + 12)),
                tuple(k / 7 for k in range(12)),
                token_bytes=tuple(f" {n}{k}".encode() for k in range(12)) if has_token_texts else (),
            )
            for n in range(1000, 1000 + num_segments)
        ),
        num_segments * 2800,
    )


async def test_results_take_no_more_than_the_memory_that_they_may() -> None:
    size_bytes = result_size_bytes(KEY, EVENTS)
    sharing = Sharing(max_kept_bytes=2 * size_bytes)
    keys = [replace(KEY, digest=bytes([n])) for n in range(3)]
    for key in keys:
        await sharing.answer(key)
    num_started = len(sharing.started)
    assert await sharing.answer(keys[2]) == await sharing.answer(keys[1]) == num_started
    assert await sharing.answer(keys[0]) == num_started + 1
    too_small = Sharing(max_kept_bytes=size_bytes - 1)
    assert [await too_small.answer(), await too_small.answer()] == [1, 2]


@pytest.mark.parametrize("has_token_texts", [False, True])
@pytest.mark.parametrize("text", [" word" * 8, "字" * 30])
def test_the_estimate_of_the_memory_is_near_to_what_it_takes(text: str, has_token_texts: bool) -> None:
    events = [speech(200, text=text, has_token_texts=has_token_texts)]
    key = replace(KEY, options=TranscribeOptions(DecodeOptions(prompt="p" * 5000)))
    real_bytes = memory_of([key, events], set())
    assert real_bytes <= result_size_bytes(key, events) <= 1.5 * real_bytes


def memory_of(thing: object, seen: set[int]) -> int:
    """Bytes of an object and of everything it refers to, each counted once."""
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    parts: list[object] = []
    if is_dataclass(thing):
        parts = [getattr(thing, each.name) for each in fields(thing)]
    elif isinstance(thing, list | tuple):
        parts = [*thing]
    return sys.getsizeof(thing) + sum(memory_of(part, seen) for part in parts)


OTHER_KEYS = [
    replace(KEY, tenant="another"),
    replace(KEY, model="another"),
    replace(KEY, digest=b"another"),
    replace(KEY, options=TranscribeOptions(vad=VadOptions())),
    replace(KEY, options=TranscribeOptions(DecodeOptions(prompt="another"))),
]


@pytest.mark.parametrize("other", OTHER_KEYS)
async def test_nothing_is_shared_with_another_key_model_content_or_option(other: TranscriptionKey) -> None:
    sharing = Sharing()
    running = [sharing.listen(KEY), sharing.listen(other)]
    await settle()
    assert len(sharing.started) == 2
    for transcription in sharing.started:
        transcription.release()
    await asyncio.wait([listener.task for listener in running])
    assert await sharing.answer(KEY) == await sharing.answer(other) == 2


async def test_so_many_may_listen_and_no_more() -> None:
    sharing = Sharing(max_listeners=2)
    listeners = [sharing.listen() for _ in range(3)]
    await settle()
    with pytest.raises(ServerOverloaded, match=r"2 open requests, the limit \(MAX_REQUESTS\); retry in 5 s"):
        await listeners[2].task
    assert metric_value(sharing.metrics, "asr_requests_total", outcome="refused") == 1
    sharing.started[0].release()
    await asyncio.gather(listeners[0].task, listeners[1].task)
    assert await sharing.answer() == 1


async def test_beyond_the_limit_another_account_may_listen() -> None:
    sharing = Sharing(max_listeners=2)
    listeners = [sharing.listen(account=account) for account in ("a", "a", "b", "a", "c")]
    await settle()
    for refused in listeners[3:]:
        with pytest.raises(ServerOverloaded):
            await refused.task
    sharing.started[0].release()
    await asyncio.gather(*(listener.task for listener in listeners[:3]))
