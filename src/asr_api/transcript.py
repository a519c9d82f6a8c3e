"""Timed text: words, segments, the transcript of a window and the transcript of a whole recording.

Times are integer milliseconds, rounded once when they leave the engine. Invariants are checked on construction.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from asr_api.pcm import AudioEnd

Doubt = Literal["repetition", "low_confidence", "no_speech"]
"""Why a text may be wrong: it repeats itself, the model was unsure of it, or the audio seems to hold no speech."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the text, with its leading space and its punctuation.

    start_ms, end_ms: 0 <= start_ms <= end_ms; relative to the window, or absolute in a transcript
    probability:      [0, 1], the mean over its tokens; equality ignores it
    """

    start_ms: int
    end_ms: int
    text: str
    probability: float = field(default=1.0, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.start_ms <= self.end_ms:
            raise ValueError(f"word runs from {self.start_ms} to {self.end_ms} ms; this is a bug")

    def shifted(self, offset_ms: int) -> Word:
        """The same word `offset_ms` later."""
        return replace(self, start_ms=self.start_ms + offset_ms, end_ms=self.end_ms + offset_ms)


@dataclass(frozen=True, slots=True)
class Quality:
    """Quality measures of a decoded window, by OpenAI's definitions.

    temperature:           of the decoding; above 0 the text was sampled
    mean_logprob:          sum of log-probabilities incl. end-of-text, divided by (number of tokens + 1); of a model
                           without an end of text, the mean over its tokens; None when the model gives none
    compression_ratio:     bytes of the text per byte of its zlib compression
    no_speech_probability: [0, 1], read at the start-of-transcript position; None when the model gives none
    doubts:                why the text may be wrong; empty when it passed every test
    """

    temperature: float = 0.0
    mean_logprob: float | None = None
    compression_ratio: float = 0.0
    no_speech_probability: float | None = None
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text as the model phrased it. Equality compares times, text and words only.

    start_ms, end_ms: 0 <= start_ms <= end_ms; relative to the window, or absolute in a transcript
    text:             as decoded, with the leading space that Whisper writes
    words:            in order, inside the segment, together exactly its text; empty unless they were asked for
    quality:          of the decoded window it comes from; None when the model cannot tell
    tokens:           ids of its text; empty when the model gives none, or when stitching kept only a part of it
    logprobs:         natural logarithms, one for each of `tokens`
    speaker:          label of the speaker; None when it is not known
    seek_ms:          beginning of the window in which it was decoded; 0 relative to that, or absolute in a transcript
    start_token, end_token: timestamp tokens that opened and closed it, one of which may do both; None where there was
                      none, or where stitching cut its text off
    token_bytes:      UTF-8 of each of `tokens`, together its text; empty unless it was asked for
    """

    start_ms: int
    end_ms: int
    text: str
    words: tuple[Word, ...] = ()
    quality: Quality | None = field(default=None, compare=False)
    tokens: tuple[int, ...] = field(default=(), compare=False)
    logprobs: tuple[float, ...] = field(default=(), compare=False)
    speaker: str | None = field(default=None, compare=False)
    seek_ms: int = field(default=0, compare=False)
    start_token: int | None = field(default=None, compare=False)
    end_token: int | None = field(default=None, compare=False)
    token_bytes: tuple[bytes, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.start_ms <= self.end_ms:
            raise ValueError(f"segment runs from {self.start_ms} to {self.end_ms} ms; this is a bug")

    def shifted(self, offset_ms: int) -> Segment:
        """The same segment `offset_ms` later."""
        return replace(
            self,
            start_ms=self.start_ms + offset_ms,
            end_ms=self.end_ms + offset_ms,
            words=tuple(word.shifted(offset_ms) for word in self.words),
            seek_ms=self.seek_ms + offset_ms,
        )


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Seconds that a window spent in each stage: waiting for decoded audio, in the queue, in the engine."""

    decode_s: float = 0.0
    queue_s: float = 0.0
    engine_s: float = 0.0

    def __add__(self, other: StageTimes) -> StageTimes:
        return StageTimes(self.decode_s + other.decode_s, self.queue_s + other.queue_s, self.engine_s + other.engine_s)


@dataclass(frozen=True, slots=True)
class LanguageGuess:
    """code: such as "en"; probability: [0, 1], among the languages that were allowed"""

    code: str
    probability: float


@dataclass(frozen=True, slots=True)
class WindowTranscript:
    """The transcript of one window; times relative to the window's start.

    segments:   in order, none empty, monotone
    language:   code that was used or detected; None when the model has no languages
    guesses:    the likeliest languages, best first, when the language was detected; else empty
    num_tokens: sampled tokens, timestamps included
    resume_ms:  None when the text covers the window; else it is complete up to this time, where the next window has to
                begin; 0 < resume_ms < window
    omitted:    text that the model wrote for audio without speech; not part of the transcript's text
    times:      of all decodings of the window together; equality ignores them
    """

    segments: tuple[Segment, ...]
    language: str | None = None
    guesses: tuple[LanguageGuess, ...] = ()
    num_tokens: int = 0
    resume_ms: int | None = None
    omitted: tuple[Segment, ...] = ()
    times: StageTimes = field(default=StageTimes(), compare=False)

    def __post_init__(self) -> None:
        starts = [segment.start_ms for segment in self.segments]
        if starts != sorted(starts):
            raise ValueError(f"segments start at {starts} ms, out of order; this is a bug")

    @property
    def language_probability(self) -> float | None:
        """[0, 1], of `language`; None when it was not detected, 0 when it is none of the likeliest."""
        if not self.guesses:
            return None
        return next((guess.probability for guess in self.guesses if guess.code == self.language), 0.0)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a transcription took. num_tokens: sampled, timestamps included; times: of all pieces together"""

    audio_ms: int = 0
    num_pieces: int = 0
    num_tokens: int = 0
    times: StageTimes = StageTimes()


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text of a whole recording, absolute times.

    language: code of the language with the most time of speech, if known
    omitted:  text that the model wrote for audio without speech; not part of `text`
    """

    segments: tuple[Segment, ...]
    audio_ms: int
    language: str | None = None
    end: AudioEnd = AudioEnd()
    omitted: tuple[Segment, ...] = ()
    usage: Usage = field(default=Usage(), compare=False)

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments)

    @property
    def num_doubts(self) -> int:
        """Segments whose text may be wrong, or that were left out because the audio seemed to hold no speech."""
        qualities = [segment.quality for segment in self.segments]
        return len(self.omitted) + sum(1 for quality in qualities if quality is not None and quality.doubts)
