"""`Recording`, one file to transcribe, with what is known about it: text, language, times of passages and words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class Missing(Exception):
    """Something that the bench needs is not there; the message is one line and says how to get it."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Where a clip lies in a long recording."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Word:
    start_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Recording:
    """language: a code, or several joined by "+"; text: empty when there is no speech

    passages: those of a woven recording, in order
    words:    those whose true starts are known
    """

    group: str
    path: Path
    language: str
    text: str
    seconds: float
    passages: tuple[Passage, ...] = ()
    words: tuple[Word, ...] = ()
