"""`Transcription`, what a system wrote for one recording, and its form as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.quality.recording import Word


@dataclass(frozen=True, slots=True)
class Transcription:
    """language: the code that the system chose; words: with their starts, where they were asked for"""

    text: str
    language: str
    words: tuple[Word, ...] = ()


def from_json(fields: dict[str, Any]) -> Transcription:
    words = tuple(Word(**word) for word in fields["words"])
    return Transcription(fields["text"], fields["language"], words)
