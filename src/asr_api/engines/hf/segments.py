"""Tokens of a window → segments with their words. Knows nothing about models; a Reader knows the vocabulary.

The text is always what the tokenizer makes of all tokens together. Words are found again in it, with their spaces;
where that fails, as in a vocabulary without marks of words, the text is one segment without words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from asr_api.engines.hf.model_output import ModelOutput, TimedToken
from asr_api.text.word_splitting import UNSPACED
from asr_api.transcript import Quality, Segment, Word

# A new segment begins after a sentence, after a pause, and where a subtitle would become too long to read.
PAUSE_MS = 800
MAX_SEGMENT_MS = 10_000
SENTENCE_END = (".", "?", "!", "\u3002", "\uff1f", "\uff01")

BROKEN_OFF = Quality(doubts=("low_confidence",))

_UNSPACED = re.compile(f"[{UNSPACED}]")


class Reader(Protocol):
    """Tokens as text."""

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """One string for each token; where a word begins, it begins with a space, or is one."""

    def text(self, tokens: Sequence[int]) -> str:
        """Of all tokens together, without spaces around it."""


def whole_segment(heard: ModelOutput, reader: Reader, audio_ms: int) -> tuple[Segment, ...]:
    """One segment as long as the window, doubtful where text is missing; none where nothing was heard."""
    text = _spaced(reader.text([token.token for token in heard.tokens]))
    quality = Quality() if heard.is_whole else BROKEN_OFF
    return (Segment(0, audio_ms, text, quality=quality),) if text else ()


def timed_segments(
    tokens: Sequence[TimedToken], reader: Reader, audio_ms: int, *, is_split: bool = True, with_words: bool = False
) -> tuple[Segment, ...]:
    """Segments from their first to their last word, inside the audio.

    is_split: False asks for a single one; with_words: whether they carry their words
    """
    text = _spaced(reader.text([token.token for token in tokens]))
    if not text:
        return ()
    words = _words(tokens, reader, text, audio_ms)
    if not words:
        span = _span(tokens, audio_ms)
        return (Segment(*span, text),)
    segments: list[list[Word]] = [[words[0]]]
    for word in words[1:]:
        if is_split and _is_seam(segments[-1], word):
            segments.append([])
        segments[-1].append(word)
    return tuple(
        Segment(
            part[0].start_ms, part[-1].end_ms, "".join(word.text for word in part), tuple(part) if with_words else ()
        )
        for part in segments
    )


def _words(tokens: Sequence[TimedToken], reader: Reader, text: str, audio_ms: int) -> list[Word]:
    """Together exactly the text; empty where the words cannot be found in it."""
    words: list[Word] = []
    position = 0
    for group in _groups(tokens, reader):
        wanted = reader.text([token.token for token in group])
        if not wanted:
            continue
        end = text.find(wanted, position) + len(wanted)
        if end < len(wanted) or text[position : end - len(wanted)].strip():
            return []
        probability = sum(token.probability for token in group) / len(group)
        words.append(Word(*_span(group, audio_ms), text[position:end], min(1.0, probability)))
        position = end
    return words if position == len(text) else []


def _groups(tokens: Sequence[TimedToken], reader: Reader) -> list[list[TimedToken]]:
    """The tokens of each word; in scripts without spaces, each character is one."""
    groups: list[list[TimedToken]] = [[]]
    previous = ""
    for token, piece in zip(tokens, reader.pieces([token.token for token in tokens]), strict=True):
        if piece.startswith(" ") or previous.endswith(" ") or _UNSPACED.match(piece) or _UNSPACED.match(previous[-1:]):
            groups.append([])
        if piece.strip():
            groups[-1].append(token)
        previous = piece
    return [group for group in groups if group]


def _is_seam(before: list[Word], word: Word) -> bool:
    return (
        word.start_ms - before[-1].end_ms >= PAUSE_MS
        or word.end_ms - before[0].start_ms > MAX_SEGMENT_MS
        or before[-1].text.endswith(SENTENCE_END)
    )


def _span(tokens: Sequence[TimedToken], audio_ms: int) -> tuple[int, int]:
    """The frames of a model may reach a little beyond the audio."""
    start_ms = min(tokens[0].start_ms, audio_ms)
    return start_ms, min(max(tokens[-1].end_ms, start_ms), audio_ms)


def _spaced(text: str) -> str:
    """With the leading space that Whisper writes, so that windows can be put together, where the script has spaces."""
    return text if not text or _UNSPACED.match(text) else f" {text}"
