"""Files of plain English, one sentence a line → sentences written the way the closed domain's are.

Kept are lines of letters, apostrophes and ordinary marks, of at most MAX_WORDS words, each wording once; quotes are
dropped, hyphens parted, every sentence gets a capital and a last mark. Knows nothing about voices or tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

MAX_WORDS = 25
WORD = re.compile(r"[a-z']+")
PLAIN = re.compile(r"[A-Za-z][A-Za-z' ,.?!]*[.?!]")
REWRITTEN = (
    (re.compile("[‘’`´]"), "'"),
    (re.compile("[\"“”()]|(?<![A-Za-z])'|'(?![A-Za-z])"), ""),  # an apostrophe stays inside a word
    (re.compile(r"\s*(?:--+|[–—;:]|\s-\s)\s*"), ", "),
    (re.compile(r"(?<=[A-Za-z])-(?=[A-Za-z])"), " "),
    (re.compile(r"\.{2,}|…"), "."),
    (re.compile(r"\s+(?=[,.?!])|(?<=[,.?!])[,.?!]+"), ""),
    (re.compile(r"\s+"), " "),
)


def words(text: str) -> list[str]:
    """The words of a sentence, without case and punctuation."""
    return WORD.findall(text.lower())


def sentence_of(line: str) -> str | None:
    """The line as a sentence, or None if it is not plain English or too long."""
    text = line
    for pattern, replacement in REWRITTEN:
        text = pattern.sub(replacement, text)
    text = text.strip(" ,")
    if text and text[-1] not in ".?!":
        text += "."
    text = text[:1].upper() + text[1:]
    return text if PLAIN.fullmatch(text) and len(text.split()) <= MAX_WORDS else None


def open_sentences(paths: Iterable[Path]) -> list[str]:
    """The sentences of some files, in their order, each wording once."""
    found: dict[str, str] = {}
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            text = sentence_of(line)
            if text:
                found.setdefault(" ".join(words(text)), text)
    return list(found.values())
