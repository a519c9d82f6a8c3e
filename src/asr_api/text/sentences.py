"""Ends of sentences and clauses, by their punctuation."""

from __future__ import annotations

import re

from asr_api.text.word_splitting import SENTENCE_ENDS

_SENTENCE_ENDS = SENTENCE_ENDS | frozenset("…‥．｡؟۔।॥։።။។")  # also of Arabic, Urdu, Hindi, Armenian, Amharic, …
_CLAUSE_ENDS = frozenset(",，、､;；:：—–،؛၊፣")
_QUOTES = "\"'”’»)]}」』）》〉】"
_TITLE = re.compile(r"\W*(?:Mr|Mrs|Ms|Dr|Hr|Prof|St)\.")
_INITIALS = re.compile(r"\W*(?:[^\W\d_]\.)+")


def ends_sentence(text: str, following: str) -> bool:
    """Whether a sentence ends with this word. No sentence ends before a small letter, or with "Dr." or "J."."""
    bare = _without_quotes(text)
    first_letter = next(filter(str.isalnum, following), "")
    return bare[-1:] in _SENTENCE_ENDS and not first_letter.islower() and not _is_abbreviation(bare)


def ends_clause(text: str) -> bool:
    """Whether a clause ends with this word: at a comma or a dash, say, or at a full stop inside a sentence."""
    bare = _without_quotes(text)
    return bare[-1:] in _CLAUSE_ENDS or (bare[-1:] in _SENTENCE_ENDS and not _is_abbreviation(bare))


def _without_quotes(text: str) -> str:
    return text.rstrip().rstrip(_QUOTES)


def _is_abbreviation(bare: str) -> bool:
    has_cases = bare.lower() != bare.upper()
    return bool(_TITLE.fullmatch(bare) or (has_cases and _INITIALS.fullmatch(bare)))
