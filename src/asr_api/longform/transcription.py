"""Windows of one request → window transcripts, in order, while several are in the engine at once.

Here a recording is more than its windows: they elect its language, a window may go on from the text of the one before,
and one that was heard in part is heard to its end. Knows nothing about decoding, HTTP or other requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import TypeVar

from asr_api.audio.window_cutter import Window, is_silent, speech_after
from asr_api.errors import InternalError
from asr_api.longform.language_vote import MAX_VOTING_WINDOWS, LanguageVote, is_confident, should_follow
from asr_api.metrics import Metrics
from asr_api.options import TranscribeOptions
from asr_api.pcm import SAMPLES_PER_MS
from asr_api.scheduler import RequestQueue, Scheduler
from asr_api.transcript import Quality, Segment, WindowSpan, WindowTranscript

T = TypeVar("T")

MIN_PROGRESS_MS = 1000  # a pass that gets no further is the last one
MIN_LEAD_MS = 500
MAX_LEAD_MS = 500  # of a pause, before what is heard in another pass
LEAD_IN_MS = 200  # of the silence before the sound, what is left
MAX_CONTEXT_CHARS = 1000  # more than the 223 tokens that a Whisper prompt holds
MAX_CONTEXT_TEMPERATURE = 0.5  # what was sampled above it may be nonsense, which the next window would carry on


@dataclass(frozen=True, slots=True)
class TranscribedWindow:
    """context: text from which the next window may go on; empty where there is none to be trusted"""

    span: WindowSpan
    transcript: WindowTranscript
    context: str = ""


class LongForm:
    """The windows of one request, in its queue and with its options."""

    def __init__(self, scheduler: Scheduler, queue: RequestQueue, options: TranscribeOptions, metrics: Metrics) -> None:
        self._scheduler = scheduler
        self._lane = queue
        self._options = options
        self._metrics = metrics
        self._vote = LanguageVote()
        self._is_elected = asyncio.Event()

    async def in_order(self, windows: AsyncGenerator[Window, None]) -> AsyncGenerator[TranscribedWindow, None]:
        """They come out as they went in. Closing it takes all of them back."""
        hearings: asyncio.Queue[asyncio.Task[TranscribedWindow] | None] = asyncio.Queue()

        async def feed() -> None:
            before: asyncio.Task[TranscribedWindow] | None = None
            num_windows = 0
            try:
                async for window in windows:
                    before = asyncio.create_task(self._hear_in_turn(window, before))
                    hearings.put_nowait(before)
                    num_windows += 1
            finally:
                self._vote.end(num_windows)
                self._tell()
                hearings.put_nowait(None)

        feeder = asyncio.create_task(feed())
        try:
            while hearing := await hearings.get():
                yield await hearing
            await feeder  # raises what ended the decoding
        finally:
            # All are told to stop before the first is waited for: the wait itself may be cancelled.
            leftovers: list[asyncio.Task[object]] = [feeder, *(hearing for hearing in _drain(hearings) if hearing)]
            for task in leftovers:
                task.cancel()
            await asyncio.gather(*leftovers, return_exceptions=True)

    async def _hear_in_turn(self, window: Window, before: asyncio.Task[TranscribedWindow] | None) -> TranscribedWindow:
        window, context = _without_lead(window), ""
        if self._options.condition_on_previous_text and before is not None:
            context = (await before).context
        place = _Place(self._scheduler, self._lane)
        index = window.span.index
        try:
            heard = await self._hear(window, place, replace(self._options, prompt=context or self._options.prompt))
        finally:
            if not self._vote.has(index):  # silent, or failed: nobody may wait for its ballot
                self._cast(index, WindowTranscript(()))
            place.give_back()
        return TranscribedWindow(window.span, heard, _context(context, heard, window.span))

    async def _hear(self, window: Window, place: _Place, options: TranscribeOptions) -> WindowTranscript:
        """All that is said in a window, in as many passes as it takes; silence takes none."""
        if is_silent(window.pcm):
            self._metrics.silent_windows.inc()
            return WindowTranscript(())
        heard = await self._scheduler.submit(self._lane, window.pcm, options)
        self._cast(window.span.index, heard)
        if language := await self._elected_language(window.span.index, heard, place):
            options = replace(options, language=language)
            again = await self._scheduler.submit(self._lane, window.pcm, options, is_continuation=True)
            heard = replace(again, guesses=heard.guesses)
        return await self._hear_rest(window, heard, options)

    async def _hear_rest(self, window: Window, heard: WindowTranscript, options: TranscribeOptions) -> WindowTranscript:
        while (resume_ms := _resume_ms(window, heard)) is not None:
            self._metrics.resumed_windows.inc()
            # The rest is too short to doubt the language that the whole was heard in.
            options = replace(options, language=heard.language or options.language)
            pcm = window.pcm[resume_ms * SAMPLES_PER_MS :]
            rest = await self._scheduler.submit(self._lane, pcm, options, is_continuation=True)
            heard = _join(heard, rest, resume_ms)
            if rest.resume_ms is None and (not rest.segments or rest.segments[-1].end_ms < MIN_PROGRESS_MS):
                if not rest.segments and not rest.omitted:
                    heard = replace(heard, omitted=(*heard.omitted, _unheard(window, resume_ms)))
                break  # nothing more to be had
        return replace(heard, resume_ms=None)

    # -- the language of the recording -------------------------------------------------------------------------

    def _cast(self, index: int, heard: WindowTranscript) -> None:
        self._vote.cast(index, heard.guesses if heard.segments else ())
        self._tell()

    def _tell(self) -> None:
        if self._vote.is_closed:
            self._is_elected.set()

    async def _elected_language(self, index: int, heard: WindowTranscript, place: _Place) -> str | None:
        """The language in which a window should be heard once more, if any. Who is sure waits for nobody; where each
        window goes on from the one before, those before are all there is to ask.
        """
        if not heard.segments or is_confident(heard.guesses):
            return None
        if not self._options.condition_on_previous_text:
            if index < MAX_VOTING_WINDOWS:
                place.give_back()  # to a window that may have to vote, lest all wait for one that finds no room
            await self._is_elected.wait()
        winner = self._vote.winner
        return winner if winner is not None and should_follow(heard.guesses, winner) else None


class _Place:
    """The room that one window takes in its queue, to be given back once."""

    def __init__(self, scheduler: Scheduler, queue: RequestQueue) -> None:
        self._scheduler = scheduler
        self._lane = queue
        self._is_taken = True

    def give_back(self) -> None:
        if self._is_taken:
            self._is_taken = False
            self._scheduler.release_window(self._lane)


def _without_lead(window: Window) -> Window:
    """Begins with the sound, where a window begins with digital silence: models don't say that their first word comes
    later than a second after the start.
    """
    is_sound = window.pcm != 0
    lead_ms = int(is_sound.argmax()) // SAMPLES_PER_MS - LEAD_IN_MS
    if not is_sound.any() or lead_ms < MIN_LEAD_MS:
        return window
    overlap_ms = max(0, window.span.overlap_before_ms - lead_ms)
    span = replace(window.span, start_ms=window.span.start_ms + lead_ms, overlap_before_ms=overlap_ms)
    return Window(span, window.pcm[lead_ms * SAMPLES_PER_MS :])


def _context(before: str, heard: WindowTranscript, span: WindowSpan) -> str:
    """The text so far, as far as the next window should go on from it."""
    qualities = [segment.quality for segment in heard.segments if segment.quality is not None]
    if any(quality.doubts or quality.temperature > MAX_CONTEXT_TEMPERATURE for quality in qualities):
        return ""
    own_ms = span.end_ms - span.start_ms - span.overlap_after_ms
    own = [segment.text for segment in heard.segments if segment.end_ms <= own_ms]  # the next window hears the others
    text = before + "".join(own)
    if len(text) <= MAX_CONTEXT_CHARS:
        return text
    tail = text[-MAX_CONTEXT_CHARS:]
    _, space, words = tail.partition(" ")
    return words if space else tail  # languages without spaces may be cut anywhere


def _resume_ms(window: Window, heard: WindowTranscript) -> int | None:
    """From where the rest of a window must be heard again, if any: the engine ran out of tokens there, or the model
    stopped in the middle of speech, which models do. What the next window hears as well is not looked at.
    """
    if heard.resume_ms is not None:
        return None if is_silent(window.pcm[heard.resume_ms * SAMPLES_PER_MS :]) else heard.resume_ms
    end_ms = heard.segments[-1].end_ms if heard.segments else 0
    own = window.pcm[: len(window.pcm) - window.span.overlap_after_ms * SAMPLES_PER_MS]
    onset = speech_after(own, end_ms * SAMPLES_PER_MS) if end_ms > 0 else None
    if onset is None:
        return None
    # What begins with a long silence is taken for nothing else; after a short one nothing of a soft start is cut off.
    return max(end_ms, onset // SAMPLES_PER_MS - MAX_LEAD_MS)


def _unheard(window: Window, start_ms: int) -> Segment:
    """What is as loud as speech, and the model hears none in it: music, or a loss that should be known."""
    return Segment(start_ms, len(window.pcm) // SAMPLES_PER_MS, "", quality=Quality(doubts=("no_speech",)))


def _join(heard: WindowTranscript, rest: WindowTranscript, offset_ms: int) -> WindowTranscript:
    """One window heard in two passes, the second from `offset_ms` on."""
    if offset_ms <= 0 or (rest.resume_ms is not None and rest.resume_ms <= 0):
        raise InternalError("The engine asked for a window to be heard again from its start; this is a bug.")
    return WindowTranscript(
        segments=(*heard.segments, *shifted(rest.segments, offset_ms)),
        language=heard.language,
        guesses=heard.guesses,
        num_tokens=heard.num_tokens + rest.num_tokens,
        resume_ms=None if rest.resume_ms is None else offset_ms + rest.resume_ms,
        omitted=(*heard.omitted, *shifted(rest.omitted, offset_ms)),
    )


def shifted(segments: tuple[Segment, ...], offset_ms: int) -> tuple[Segment, ...]:
    return tuple(segment.shifted(offset_ms) for segment in segments)


def _drain(queue: asyncio.Queue[T]) -> list[T]:
    return [queue.get_nowait() for _ in range(queue.qsize())]
