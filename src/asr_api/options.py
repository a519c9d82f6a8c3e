"""What a client may ask of a transcription. Knows nothing about models: an engine decides what it can honour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["transcribe", "translate"]


@dataclass(frozen=True, slots=True)
class TranscribeOptions:
    """The wishes of one request; every window of the request carries them.

    task:     transcribe in the spoken language, or translate into English
    language: code such as "en"; None lets a multilingual model detect it per window
    """

    task: Task = "transcribe"
    language: str | None = None
