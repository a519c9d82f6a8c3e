"""Transcription options: `TranscribeOptions` of a request and `DecodeOptions` of one window of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from asr_api.transcript import Segment

Task = Literal["transcribe", "translate"]

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
    previous_segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True)
class TranscribeOptions:
    """What a client asks of one transcription.

    decode:                     for every window; its `previous_segments` are empty
    vad:                        True mutes what a voice activity model takes for no speech, before windows are cut
    condition_on_previous_text: True gives each window the text of the windows before it in its piece
    """

    decode: DecodeOptions = DecodeOptions()
    vad: bool = False
    condition_on_previous_text: bool = False
