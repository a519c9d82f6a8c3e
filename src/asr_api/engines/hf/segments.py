"""Turns the tokens of a window into segments and words.

The tokenizer decodes all tokens together, and words are then located in the text, with their spaces. Where that fails,
as in a vocabulary that does not mark where words begin, the text is one segment without words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from asr_api.text.compression import compression_ratio
from asr_api.text.word_splitting import UNSPACED
from asr_api.transcript import Quality, Segment, Word

if TYPE_CHECKING:  # only TokenText needs transformers
    from transformers import PreTrainedTokenizerBase

# A new segment begins after a sentence, after a pause, and where a subtitle would become too long to read.
PAUSE_MS = 800
MAX_SEGMENT_MS = 10_000
SENTENCE_END = (".", "?", "!", "\u3002", "\uff1f", "\uff01")

WORD_MARKS = ("\u2581", "\u0120")  # of SentencePiece and of byte-level BPE

_UNSPACED = re.compile(f"[{UNSPACED}]")


@dataclass(frozen=True, slots=True)
class TimedToken:
    """A token of the text; blanks and control tokens are left out."""

    token: int
    start_ms: int = 0  # relative to the window; both times are 0 where the model gives none
    end_ms: int = 0
    probability: float | None = None  # [0, 1]; None where the model gives none


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """The tokens of one window."""

    tokens: Sequence[TimedToken]
    is_whole: bool = True  # False where decoding reached its limit, so that text is missing


class Vocabulary(Protocol):
    """Tokens as text."""

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """One string for each token; it begins with a space, or is one, where a word begins."""

    def text(self, tokens: Sequence[int]) -> str:
        """The text of all tokens together, without spaces around it."""


class TokenText:
    """Implements Vocabulary with a tokenizer of transformers: characters with a delimiter, or pieces with a mark."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._delimiter: str | None = getattr(tokenizer, "word_delimiter_token", None)

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        return [self._with_space(str(piece)) for piece in self._tokenizer.convert_ids_to_tokens(list(tokens))]

    def text(self, tokens: Sequence[int]) -> str:
        """Equal tokens are not grouped: repeated frames of CTC have been merged before."""
        if not tokens:
            return ""
        text = self._tokenizer.decode(list(tokens), skip_special_tokens=True, group_tokens=False)
        return " ".join(str(text).split())

    def _with_space(self, piece: str) -> str:
        if piece == self._delimiter:
            return " "
        return f" {piece[1:]}" if piece.startswith(WORD_MARKS) else piece


def whole_segment(output: ModelOutput, vocabulary: Vocabulary, audio_ms: int) -> tuple[Segment, ...]:
    """One segment as long as the window, doubtful where text is missing; empty for an empty text."""
    text = _spaced(vocabulary.text([token.token for token in output.tokens]))
    quality = _quality(output.tokens, text)
    if not output.is_whole:
        quality = replace(quality, doubts=("low_confidence",))
    return (Segment(0, audio_ms, text, quality=quality),) if text else ()


def timed_segments(
    tokens: Sequence[TimedToken],
    vocabulary: Vocabulary,
    audio_ms: int,
    *,
    is_split: bool = True,
    with_words: bool = False,
) -> tuple[Segment, ...]:
    """Segments from their first to their last word, inside the audio. is_split: False gives a single segment"""
    text = _spaced(vocabulary.text([token.token for token in tokens]))
    if not text:
        return ()
    words, quality = _words(tokens, vocabulary, text, audio_ms), _quality(tokens, text)
    if not words:
        return (Segment(*_span(tokens, audio_ms), text, quality=quality),)
    segments: list[list[Word]] = [[words[0]]]
    for word in words[1:]:
        if is_split and _begins_segment(segments[-1], word):
            segments.append([])
        segments[-1].append(word)
    return tuple(
        Segment(
            part[0].start_ms,
            part[-1].end_ms,
            "".join(word.text for word in part),
            tuple(part) if with_words else (),
            quality,
        )
        for part in segments
    )


def _quality(tokens: Sequence[TimedToken], text: str) -> Quality:
    """Of a window's text. These models run at temperature 0 and give no probability of no speech."""
    logprobs = [math.log(min(1.0, token.probability)) for token in tokens if token.probability is not None]
    mean_logprob = sum(logprobs) / len(logprobs) if logprobs else None
    return Quality(mean_logprob=mean_logprob, compression_ratio=compression_ratio(text.strip()))


def _words(tokens: Sequence[TimedToken], vocabulary: Vocabulary, text: str, audio_ms: int) -> list[Word]:
    """Words that together are exactly the text; empty where they cannot be located in it."""
    words: list[Word] = []
    position = 0
    for group in _groups(tokens, vocabulary):
        word = vocabulary.text([token.token for token in group])
        if not word:
            continue
        start = text.find(word, position)
        end = start + len(word)
        if start < 0 or text[position:start].strip():
            return []
        probability = sum(1.0 if token.probability is None else token.probability for token in group) / len(group)
        words.append(Word(*_span(group, audio_ms), text[position:end], min(1.0, probability)))
        position = end
    return words if position == len(text) else []


def _groups(tokens: Sequence[TimedToken], vocabulary: Vocabulary) -> list[list[TimedToken]]:
    """The tokens of each word; in scripts without spaces, each character is a word."""
    groups: list[list[TimedToken]] = [[]]
    previous = ""
    for token, piece in zip(tokens, vocabulary.pieces([token.token for token in tokens]), strict=True):
        if piece.startswith(" ") or previous.endswith(" ") or _UNSPACED.match(piece) or _UNSPACED.match(previous[-1:]):
            groups.append([])
        if piece.strip():
            groups[-1].append(token)
        previous = piece
    return [group for group in groups if group]


def _begins_segment(before: list[Word], word: Word) -> bool:
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
    """The text after a space, as Whisper writes it, so that windows can be joined; none in scripts without spaces."""
    return text if not text or _UNSPACED.match(text) else f" {text}"
