"""What a client may ask of a transcription. Knows nothing about models: an engine decides what it can honour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["transcribe", "translate"]

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""OpenAI's ladder: a window whose text looks wrong is decoded again at the next one."""


@dataclass(frozen=True, slots=True)
class TranscribeOptions:
    """The wishes of one request; every window of the request carries them.

    task:         transcribe in the spoken language, or translate into English
    language:     code such as "en"; None lets a multilingual model detect it
    languages:    codes among which it is detected; empty means all that the model knows
    prompt:       earlier text or an example of the style; the model goes on from it
    hotwords:     names and terms that may be said
    temperatures: rising, each in [0, 1]; the first is tried first, the next where the text looks wrong
    timestamps:   False asks for one segment a window, for models that do better without
    words:        True asks for the times of words, too
    vad:          True mutes what a voice activity model takes for no speech, before the model hears it
    condition_on_previous_text: True makes each window go on from the text of the one before
    """

    task: Task = "transcribe"
    language: str | None = None
    languages: tuple[str, ...] = ()
    prompt: str = ""
    hotwords: str = ""
    temperatures: tuple[float, ...] = TEMPERATURES
    timestamps: bool = True
    words: bool = False
    vad: bool = False
    condition_on_previous_text: bool = False
