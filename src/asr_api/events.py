"""Transcript events: what a transcription yields while it runs, and `fold`, which makes a `Transcript` of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from asr_api.pcm import AudioEnd
from asr_api.transcript import Segment, StageTimes, Transcript, Usage


@dataclass(frozen=True, slots=True)
class FinalSegments:
    """The next segments of the transcript, which no later event changes.

    segments: absolute times, in order; may be empty
    audio_ms: the audio is transcribed up to here
    language: code of the language of this part, if known
    omitted:  text that the model wrote for audio without speech, absolute times
    times:    of its windows in each stage
    language_probability: [0, 1], as the model detected the language; None when it was not detected
    """

    segments: tuple[Segment, ...]
    audio_ms: int
    language: str | None = None
    omitted: tuple[Segment, ...] = ()
    times: StageTimes = StageTimes()
    language_probability: float | None = None


@dataclass(frozen=True, slots=True)
class TranscriptEnd:
    """The last event, once.

    audio_ms: length of the audio
    language: code of the language with the most time of speech, if known
    """

    audio_ms: int
    language: str | None = None
    usage: Usage = Usage()
    end: AudioEnd = AudioEnd()


TranscriptEvent = FinalSegments | TranscriptEnd


async def fold(events: AsyncGenerator[TranscriptEvent, None]) -> Transcript:
    """The whole transcript; closes the generator. Raises what the transcription raises."""
    segments: list[Segment] = []
    omitted: list[Segment] = []
    end = TranscriptEnd(0)
    async with aclosing(events):
        async for event in events:
            match event:
                case FinalSegments():
                    segments += event.segments
                    omitted += event.omitted
                case TranscriptEnd():
                    end = event
    return Transcript(tuple(segments), end.audio_ms, end.language, end.end, tuple(omitted), end.usage)
