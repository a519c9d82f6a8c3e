"""Early transcriptions: their events count once they are confirmed, and they leave the server to others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest

from asr_api.early_transcriptions import EarlyTranscription, EarlyTranscriptions
from asr_api.errors import DecodeAgain, InvalidAudio
from asr_api.events import FinalSegments, TranscriptEnd, TranscriptEvent
from asr_api.options import TranscribeOptions
from asr_api.request import RequestScope

pytestmark = pytest.mark.anyio
FIRST, LAST = FinalSegments((), 500), TranscriptEnd(900)
AGAIN = TranscriptEnd(1000)


@dataclass
class Transcription:
    """Yields an event when the test releases it, and raises `error` in place of the last."""

    error: Exception | None = None
    released: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    confirm: Callable[[], None] = lambda: None
    is_closed: bool = False
    num_given_up: int = 0

    async def start(self, confirm: Callable[[], None]) -> AsyncGenerator[TranscriptEvent, None]:
        self.confirm = confirm
        try:
            await self.released.acquire()
            yield FIRST
            await self.released.acquire()
            if self.error is not None:
                raise self.error
            yield LAST
        finally:
            self.is_closed = True

    def begin(self) -> EarlyTranscription:
        return EarlyTranscription(TranscribeOptions(), RequestScope(), self.start, self.give_up)

    def give_up(self) -> None:
        self.num_given_up += 1

    def release(self, num_events: int = 2) -> None:
        for _ in range(num_events):
            self.released.release()


async def start_again() -> AsyncGenerator[TranscriptEvent, None]:
    yield AGAIN


async def read(early: EarlyTranscription, events: list[TranscriptEvent]) -> None:
    async with aclosing(early.events(start_again)) as given:
        async for event in given:
            events.append(event)  # noqa: PERF401  # those before an error count


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_events_are_given_from_the_first_on_as_soon_as_they_are_confirmed() -> None:
    transcription, events = Transcription(), list[TranscriptEvent]()
    early = transcription.begin()
    transcription.release(1)
    reading = asyncio.create_task(read(early, events))
    await settle()
    assert events == []
    transcription.confirm()
    await settle()
    assert events == [FIRST]
    transcription.release(1)
    await reading
    assert events == [FIRST, LAST]
    assert transcription.is_closed


@pytest.mark.parametrize("error", [DecodeAgain("Again."), InvalidAudio("It is damaged."), RuntimeError("a bug")])
async def test_an_error_before_that_means_a_new_start_and_one_behind_it_is_raised(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    transcription, events = Transcription(error), list[TranscriptEvent]()
    early = transcription.begin()
    transcription.release()
    await read(early, events)
    assert events == [AGAIN]
    assert ("a bug" in caplog.text) == isinstance(error, RuntimeError)
    transcription, events = Transcription(error), []
    early = transcription.begin()
    await settle()
    transcription.confirm()
    transcription.release()
    with pytest.raises(type(error)):
        await read(early, events)
    assert events == [FIRST]


async def test_its_owner_ends_it_unless_its_events_are_taken_and_their_reader_ends_it_then() -> None:
    transcription = Transcription()
    early = transcription.begin()
    await settle()
    await early.aclose()
    assert transcription.is_closed
    assert transcription.num_given_up == 1
    early = (transcription := Transcription()).begin()
    early.cancel()
    await early.aclose()
    assert transcription.num_given_up == 0
    transcription = Transcription()
    early = transcription.begin()
    reading = asyncio.create_task(read(early, []))
    await settle()
    await early.aclose()
    assert not transcription.is_closed
    reading.cancel()
    await asyncio.wait([reading])
    assert transcription.is_closed
    assert transcription.num_given_up == 0


async def test_a_quarter_may_begin_early_while_less_than_half_are_open() -> None:
    early = EarlyTranscriptions(max_requests=8)
    begun = []
    while early.has_capacity(3):
        begun.append(early.begin(TranscribeOptions(), RequestScope(), Transcription().start, lambda: None))
    assert len(begun) == 2
    await settle()
    for each in begun:
        await each.aclose()
    assert [early.has_capacity(num_open) for num_open in (0, 3, 4)] == [True, True, False]
    assert not EarlyTranscriptions(max_requests=3).has_capacity(0)
