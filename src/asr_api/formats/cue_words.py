"""Transcript → the words of its cues: their times, the names of speakers, and where a cue may begin.

A segment without word timestamps is divided into words whose times are in proportion to their columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from asr_api.text.line_breaks import num_columns, unbreakable_parts
from asr_api.text.sentences import ends_clause, ends_sentence
from asr_api.transcript import Segment, Word

SEGMENT_PAUSE_MS = 200  # between segments; less is between any words
MIN_PAUSE_MS = 500
MAX_PAUSE_MS = 2000  # inside a cue; a longer one would show words long before they are spoken

# What it costs to begin a cue at a word; `formats/cues.py` weighs it against cues of uneven length.
AFTER_SENTENCE, AFTER_CLAUSE, AT_PAUSE, BETWEEN_WORDS = 0.0, 1.0, 2.0, 4.0


@dataclass(frozen=True, slots=True)
class CueWord:
    """A word, or another part of the text that no line may divide.

    text:          without blanks around it; the first one of a speaker has the speaker's name before it
    num_columns:   of `text`
    has_space:     whether a blank separates it from the word before
    break_cost:    of beginning a cue with it
    is_cue_start:  whether a cue has to begin with it
    """

    start_ms: int
    end_ms: int
    text: str
    num_columns: int
    has_space: bool
    break_cost: float
    is_cue_start: bool = False


def cue_words(segments: Sequence[Segment], max_columns: int) -> list[CueWord]:
    """max_columns: of a line; in scripts without spaces a longer word is divided"""
    words: list[CueWord] = []
    before = Word(0, 0, " ")
    speaker: str | None = None
    for segment in segments:
        is_first = True  # of its segment
        for word in _words(segment, max_columns):
            if word.text.isspace():
                before = replace(before, text=f"{before.text} ")
                continue
            if is_first and segment.speaker != speaker:
                speaker = segment.speaker
                words += _first_of_speaker(word, speaker, max_columns)
            else:
                words.append(_cue_word(before, word, is_first))
            before, is_first = word, False
    return words


def _words(segment: Segment, max_columns: int) -> Iterator[Word]:
    for word in segment.words or (Word(segment.start_ms, segment.end_ms, segment.text),):
        if segment.words and word.text and num_columns(word.text.strip()) <= max_columns:
            yield word
        else:
            yield from _divided(word)


def _divided(timed: Word) -> Iterator[Word]:
    """Its parts, whose times are estimated."""
    if not (parts := unbreakable_parts(timed.text)):
        return
    columns = list(accumulate((max(1, num_columns(part)) for part in parts), initial=0))
    times_ms = [timed.start_ms + (timed.end_ms - timed.start_ms) * column // columns[-1] for column in columns]
    for part, (start_ms, end_ms) in zip(parts, pairwise(times_ms), strict=True):
        yield Word(start_ms, end_ms, part)


def _cue_word(before: Word, word: Word, is_first: bool) -> CueWord:
    """is_first: of its segment"""
    text = " ".join(word.text.split())
    pause_ms = word.start_ms - before.end_ms
    is_cue_start = pause_ms >= (SEGMENT_PAUSE_MS if is_first else MAX_PAUSE_MS)
    if is_cue_start or ends_sentence(before.text, text):
        break_cost = AFTER_SENTENCE
    elif ends_clause(before.text):
        break_cost = AFTER_CLAUSE
    elif is_first or pause_ms >= MIN_PAUSE_MS:
        break_cost = AT_PAUSE
    else:
        break_cost = BETWEEN_WORDS
    has_space = before.text[-1:].isspace() or word.text[:1].isspace()
    return CueWord(word.start_ms, word.end_ms, text, num_columns(text), has_space, break_cost, is_cue_start)


def _first_of_speaker(word: Word, speaker: str | None, max_columns: int) -> list[CueWord]:
    """With the speaker's name, which is a word of its own if it does not fit on a line with the first word."""
    texts = [" ".join(word.text.split())]
    if name := " ".join((speaker or "").split()):
        prefixed = f"{name}: {texts[0]}"
        texts = [prefixed] if num_columns(prefixed) <= max_columns else [f"{name}:", *texts]
    first, *rest = [CueWord(word.start_ms, word.end_ms, t, num_columns(t), True, BETWEEN_WORDS) for t in texts]
    return [replace(first, break_cost=AFTER_SENTENCE, is_cue_start=True), *rest]
