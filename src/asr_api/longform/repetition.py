"""Repetition at a join: words at the beginning of a window that repeat the end of the text before are dropped.

Timestamps may run ahead of fast speech. Then the window that begins at the last timestamp contains words that the one
before has transcribed already.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import SequenceMatcher

from asr_api.transcript import Segment

MAX_WORDS = 40  # of the text before, and of the repetition
MIN_EQUAL_WORDS = 2  # in a row
MIN_EQUAL_SHARE = 0.5  # of the words that are dropped, and of those that they repeat, up to the end of the text


def without_repetition(text: str, segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """The segments without the words that repeat the end of `text`.

    A segment that loses a part has the tokens of the rest if it has `token_bytes`, and if one of them ends where the
    rest begins. Otherwise it has none: only the model's tokenizer knows which of them are the rest.
    """
    num_left = _num_repeated(text.split()[-MAX_WORDS:], [word for part in segments for word in part.text.split()])
    kept = []
    for segment in segments:
        num_words = len(segment.text.split())
        if num_left < num_words:
            kept.append(_without_words(segment, num_left) if num_left else segment)
        num_left = max(0, num_left - num_words)
    return tuple(kept)


def _num_repeated(before: list[str], after: list[str]) -> int:
    """How many words of `after` repeat the end of `before`."""
    matcher = SequenceMatcher(None, list(map(_key, before)), list(map(_key, after[:MAX_WORDS])), autojunk=False)
    blocks = [block for block in matcher.get_matching_blocks() if block.size >= MIN_EQUAL_WORDS]
    if not blocks:
        return 0
    end = blocks[-1].b + blocks[-1].size
    num_words = max(end, len(before) - blocks[0].a)
    return end if sum(block.size for block in blocks) >= MIN_EQUAL_SHARE * num_words else 0


def _without_words(segment: Segment, num_words: int) -> Segment:
    """The segment from its word with this number on; its start is estimated where words have no times."""
    parts = segment.text.split()
    text = _text_behind(segment.text, num_words)
    words = segment.words
    while words and len("".join(word.text for word in words).split()) > len(parts) - num_words:
        words = words[1:]
    if "".join(word.text for word in words) != text:  # its words are others than those of `text`
        words = ()
    share = len(" ".join(parts[:num_words])) / max(1, len(" ".join(parts)))
    start_ms = words[0].start_ms if words else round(segment.start_ms + share * (segment.end_ms - segment.start_ms))
    return _with_last_tokens(replace(segment, start_ms=start_ms, text=text, words=words))


def _text_behind(text: str, num_words: int) -> str:
    """The text from its word with this number on, with the blanks before it; there is one."""
    rest = text.split(maxsplit=num_words)[num_words]
    before = text.removesuffix(rest).rstrip()
    return text.removeprefix(before)


def _with_last_tokens(segment: Segment) -> Segment:
    """The segment with those of its last tokens that are exactly its text."""
    ends = range(len(segment.token_bytes))
    last = (index for index in ends if b"".join(segment.token_bytes[index:]).decode(errors="replace") == segment.text)
    first = next(last, len(segment.tokens))
    return replace(
        segment,
        tokens=segment.tokens[first:],
        logprobs=segment.logprobs[first:],
        token_bytes=segment.token_bytes[first:],
        start_token=None,
        end_token=segment.end_token if segment.tokens[first:] else None,
    )


def _key(word: str) -> str:
    """Equal for words that differ in case or punctuation only."""
    return "".join(filter(str.isalnum, word)).casefold() or word
