"""Whisper's text normalizers, as transformers ships them: a text becomes the units that are compared.

Units are words; in languages that are written without spaces they are characters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Normalize: TypeAlias = Callable[[str], str]

CHARACTER_LANGUAGES = {"zh", "ja", "yue", "th", "lo", "my"}  # as in the evaluation of the Whisper paper


@dataclass(frozen=True, slots=True)
class Normalizer:
    """english: for English only; basic: for any other language, or a mixture"""

    english: Normalize
    basic: Normalize

    def units(self, text: str, language: str) -> list[str]:
        text = text.replace("’", "'")
        if language == "en":
            return self.english(text).split()
        words = self.basic(text).split()
        return list("".join(words)) if has_characters(language) else words


def has_characters(language: str) -> bool:
    """Whether the units of the language are characters."""
    return language in CHARACTER_LANGUAGES


def whisper_normalizer() -> Normalizer:
    """Without the table of British spellings, which is a file of published checkpoints, not of transformers."""
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

    return Normalizer(EnglishTextNormalizer({}), BasicTextNormalizer())
