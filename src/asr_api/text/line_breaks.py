"""Where a line of text may break, and how many columns text takes: East Asian wide characters take two."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from asr_api.text.word_splitting import CLOSING, OPENING, UNSPACED

_WORD = re.compile(r"\s*\S+(?:\s+$)?|\s+$")
_IS_UNSPACED = re.compile(f"[{UNSPACED}\u3001-\u303f\uff01-\uff60]")  # with the punctuation of Chinese and Japanese
# Small kana and repetition marks belong to the character before; so do some vowels of Thai and Lao, and others to the
# one after.
_NO_START = CLOSING | frozenset("ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ々ゝゞヽヾะาำๅๆฯະາຳຽໆຯ")
_NO_END = OPENING | frozenset("เแโใไເແໂໃໄ")


def num_columns(text: str) -> int:
    """Of a terminal or a subtitle; marks above and below letters take none."""
    return len(text) if text.isascii() else sum(map(_num_columns, text))


def unbreakable_parts(text: str) -> list[str]:
    """The parts of a text between which a line may break; they join to the text.

    They are its words with the blanks before them, and in scripts without spaces its characters with their punctuation.
    """
    return [part for word in _WORD.findall(text) for part in _split_word(word)]


def _split_word(word: str) -> list[str]:
    breaks = [position for position, pair in enumerate(pairwise(word), start=1) if _may_break(*pair)]
    return [word[start:end] for start, end in pairwise([0, *breaks, len(word)])]


def _may_break(last: str, first: str) -> bool:
    """Between the last character of a line and the first one of the next, which no blank separates."""
    if last.isspace() or first.isspace() or not (_IS_UNSPACED.match(last) or _IS_UNSPACED.match(first)):
        return False
    is_mark = unicodedata.category(first) in {"Mn", "Mc", "Me", "Cf"}
    return not is_mark and first not in _NO_START and last not in _NO_END


def _num_columns(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
