"""Options: `RequestOptions` of a request, its `TranscribeOptions` and `OutputOptions`, `DecodeOptions` of a window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from asr_api.transcript import Segment

Task = Literal["transcribe", "translate"]
OutputFormat = Literal["json", "verbose_json", "text", "srt", "vtt", "tsv"]

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""OpenAI's temperature fallback: a window whose text looks wrong is decoded again at the next one."""


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """What an engine needs to decode one window.

    task:          transcribe in the spoken language, or translate into English
    language:      code such as "en"; None lets a multilingual model detect it
    languages:     codes among which it is detected; empty means all that the model knows
    prompt:        earlier text or an example of the style that the client gave
    hotwords:      names and terms that the recording may contain
    temperatures:  rising, each in [0, 1]; decoding starts at the first and falls back to the next
    timestamps:    False asks for one segment per window, for models that do better without
    words:         True asks for word timestamps, too
    token_texts:   True asks for the bytes of each token, too
    previous_segments: of the windows before this one, in order, times relative to their windows; they take the place
                   of `prompt`; an engine without prompts ignores them
    """

    task: Task = "transcribe"
    language: str | None = None
    languages: tuple[str, ...] = ()
    prompt: str = ""
    hotwords: str = ""
    temperatures: tuple[float, ...] = TEMPERATURES
    timestamps: bool = True
    words: bool = False
    token_texts: bool = False
    previous_segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True)
class VadOptions:
    """What voice activity detection takes for speech.

    threshold:           probability from which on it is speech, in [0, 1]
    prefix_padding_ms:   kept before and behind speech
    silence_duration_ms: shorter pauses stay as they are
    """

    threshold: float = 0.5
    prefix_padding_ms: int = 400
    silence_duration_ms: int = 2000


@dataclass(frozen=True, slots=True)
class TranscribeOptions:
    """What a client asks of one transcription.

    decode:                     for every window; its `previous_segments` are empty
    vad:                        not None mutes what a voice activity model takes for no speech, before windows are cut
    condition_on_previous_text: True gives each window the text of the windows before it in its piece
    """

    decode: DecodeOptions = DecodeOptions()
    vad: VadOptions | None = None
    condition_on_previous_text: bool = False


@dataclass(frozen=True, slots=True)
class SubtitleOptions:
    """How subtitles are laid out; each limit is at least 1.

    max_line_width:     columns, in which East Asian wide characters count two; only a longer word exceeds it
    max_line_count:     lines of a cue
    max_words_per_line: None is no limit; in scripts without spaces words are those of `Segment.words`, or characters
    """

    max_line_width: int = 42
    max_line_count: int = 2
    max_words_per_line: int | None = None


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """How a transcript is written."""

    format: OutputFormat = "json"
    subtitles: SubtitleOptions = SubtitleOptions()


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """Everything that the parameters of a request say. timeout_s: from its arrival on"""

    transcribe: TranscribeOptions = TranscribeOptions()
    output: OutputOptions = OutputOptions()
    timeout_s: float = math.inf
