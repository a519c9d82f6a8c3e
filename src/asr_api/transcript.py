"""Timed text: what engines return, what the transcriber yields and what formats print.

Times are integer milliseconds, rounded once when they leave the engine. Invariants are checked on construction, so
whoever holds one of these may trust it. Knows nothing about audio, models or HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text as the model phrased it.

    start_ms, end_ms: 0 <= start_ms <= end_ms; relative to the window, or absolute in a transcript
    text:             as decoded, with the leading space that Whisper writes
    """

    start_ms: int
    end_ms: int
    text: str

    def __post_init__(self) -> None:
        if not 0 <= self.start_ms <= self.end_ms:
            raise ValueError(f"segment runs from {self.start_ms} to {self.end_ms} ms; this is a bug")

    def shifted(self, offset_ms: int) -> Segment:
        """The same segment `offset_ms` later."""
        return replace(self, start_ms=self.start_ms + offset_ms, end_ms=self.end_ms + offset_ms)


@dataclass(frozen=True, slots=True)
class WindowTranscript:
    """What the model heard in one window; times relative to the window's start.

    segments:              in order, none empty, monotone
    language:              code that was used or detected; None where the model knows no languages
    no_speech_probability: [0, 1], read at the start-of-transcript position
    mean_logprob:          sum of log-probabilities incl. end-of-text, divided by (number of tokens + 1)
    num_tokens:            sampled tokens, timestamps included
    resume_ms:             None when the window is finished; else the text is complete up to this time and the rest of
                           the window needs another pass (MAX_NEW_TOKENS was reached); 0 < resume_ms < window
    """

    segments: tuple[Segment, ...]
    language: str | None = None
    no_speech_probability: float = 0.0
    mean_logprob: float = 0.0
    num_tokens: int = 0
    resume_ms: int | None = None

    def __post_init__(self) -> None:
        starts = [segment.start_ms for segment in self.segments]
        if starts != sorted(starts):
            raise ValueError(f"segments start at {starts} ms, out of order; this is a bug")


@dataclass(frozen=True, slots=True)
class WindowSpan:
    """Where a window lies in its source.

    overlap_before_ms: how much of the window's start the previous window also heard; 0 at a quiet cut
    overlap_after_ms:  how much of the window's end the next window will also hear; 0 at a quiet cut and at the end
    """

    index: int
    start_ms: int
    end_ms: int
    overlap_before_ms: int = 0
    overlap_after_ms: int = 0


@dataclass(frozen=True, slots=True)
class TranscriptPart:
    """The next final piece of a transcript, as windows finish.

    segments: absolute times, in order; may be empty
    audio_ms: everything before this time is transcribed; in the last part, the length of the audio
    language: code of the latest window, if known
    """

    segments: tuple[Segment, ...]
    audio_ms: int
    language: str | None = None
    is_truncated: bool = False  # the source broke off here; only ever in the last part


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text of a whole source, absolute times."""

    segments: tuple[Segment, ...]
    audio_ms: int
    language: str | None = None
    is_truncated: bool = False  # the source broke off: this is the part that could be decoded

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments)
