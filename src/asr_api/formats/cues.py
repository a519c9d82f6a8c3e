"""Transcript → cues: short lines, divided where sentences, clauses and pauses end, shown long enough to be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from asr_api.formats.cue_words import AFTER_SENTENCE, BETWEEN_WORDS, CueWord, cue_words
from asr_api.options import SubtitleOptions
from asr_api.transcript import Transcript

MAX_CUE_MS = 7000
MIN_CUE_MS = 1000
MS_PER_COLUMN = 50  # to read it: 20 letters or 10 Chinese characters a second

MIN_COLUMNS = 8  # a cue with less text looks left over
LEFT_OVER_COST = BETWEEN_WORDS
TOO_SHORT_COST = 2 * BETWEEN_WORDS  # of a cue that the next one follows before it can be read
OPEN_SENTENCE_COST = 2.0  # of a cue with the end of a sentence and the beginning of another one, which it does not end
LINE_BREAK_SHARE = 0.05  # of the cost of a new cue at that word
LINE_COST = 1000.0  # more than all other costs of the lines of a cue: no more lines than needed

Words = Sequence[CueWord]
Part = tuple[int, float]
"""A possible part of a sequence of words: the index after its last word, and its cost."""


@dataclass(frozen=True, slots=True)
class Cue:
    """Text that is shown from start_ms until end_ms; no line is empty."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


def cues(transcript: Transcript, options: SubtitleOptions) -> list[Cue]:
    """In order, 1 ms to 7 s long, none over another. Their words are those of the transcript, and names of speakers."""
    words = cue_words(transcript.segments, options.max_line_width)
    groups = _cheapest_division(words, lambda first: _possible_cues(words, first, options))
    starts_ms: list[int] = []
    for group in groups:
        starts_ms.append(max(group[0].start_ms, starts_ms[-1] + 1 if starts_ms else 0))
    audio_end_ms = max(transcript.audio_ms, words[-1].end_ms, starts_ms[-1] + 1) if words else 0
    return [
        Cue(start_ms, _end_ms(group, start_ms, next_ms), tuple(_lines(group, options)))
        for group, (start_ms, next_ms) in zip(groups, pairwise([*starts_ms, audio_end_ms]), strict=True)
    ]


def _cheapest_division(words: Words, parts_from: Callable[[int], Iterable[Part]]) -> list[Words]:
    """The division into parts whose costs have the least sum. `parts_from` gives the parts that begin with a word."""
    costs = [0.0, *[float("inf")] * len(words)]  # of the best division of the words before this one
    starts = [0] * (len(words) + 1)  # of its last part
    for first in range(len(words)):
        for end, cost in parts_from(first):
            if costs[first] + cost < costs[end]:
                costs[end], starts[end] = costs[first] + cost, first
    edges = [len(words)]
    while edges[-1] > 0:
        edges.append(starts[edges[-1]])
    return [words[start:end] for start, end in pairwise(reversed(edges))]


def _possible_cues(words: Words, first: int, options: SubtitleOptions) -> Iterator[Part]:
    """A cue of this word alone, and longer ones while lines and time are left."""
    latest_ms, max_columns = words[first].start_ms + MAX_CUE_MS, options.max_line_width * options.max_line_count
    num_lines, num_columns, line_start, line_columns = 1, 0, first, 0
    open_sentence_cost = 0.0
    for index in range(first, len(words)):
        word = words[index]
        line_columns += word.num_columns + (word.has_space and index > line_start)
        if not _fits(line_columns, index + 1 - line_start, options):
            num_lines, line_start, line_columns = num_lines + 1, index, word.num_columns
        if index > first:
            if num_lines > options.max_line_count or word.end_ms > latest_ms or word.is_cue_start:
                return
            if word.break_cost == AFTER_SENTENCE:
                open_sentence_cost = OPEN_SENTENCE_COST
        num_columns += word.num_columns + word.has_space
        cost = _unevenness(num_columns, max_columns) + _break_cost(words, first, index + 1, open_sentence_cost)
        if (index == first or num_columns < MIN_COLUMNS) and not _are_sentences(words, first, index + 1):
            cost += LEFT_OVER_COST
        yield index + 1, cost


def _break_cost(words: Words, first: int, end: int, open_sentence_cost: float) -> float:
    """Of the break at the end of a cue."""
    if end == len(words):
        return 0.0
    cost = words[end].break_cost
    if cost != AFTER_SENTENCE:
        cost += open_sentence_cost
    if words[end].start_ms - words[first].start_ms < MIN_CUE_MS:
        cost += TOO_SHORT_COST
    return cost


def _are_sentences(words: Words, first: int, end: int) -> bool:
    """Whether these words begin and end as sentences do."""
    return all(index in {0, len(words)} or words[index].break_cost == AFTER_SENTENCE for index in (first, end))


def _lines(group: Words, options: SubtitleOptions) -> Iterator[str]:
    for line in _cheapest_division(group, lambda first: _possible_lines(group, first, options)):
        yield "".join(f" {word.text}" if word.has_space else word.text for word in line).lstrip()


def _possible_lines(group: Words, first: int, options: SubtitleOptions) -> Iterator[Part]:
    """A line of this word alone, however long, and longer lines while columns and words are left."""
    num_columns = 0
    for end in range(first + 1, len(group) + 1):
        word = group[end - 1]
        num_columns += word.num_columns + (word.has_space and end - first > 1)
        if end - first > 1 and not _fits(num_columns, end - first, options):
            return
        break_cost = group[end].break_cost if end < len(group) else 0.0
        yield end, LINE_COST + _unevenness(num_columns, options.max_line_width) + LINE_BREAK_SHARE * break_cost


def _fits(num_columns: int, num_words: int, options: SubtitleOptions) -> bool:
    """On one line."""
    return num_columns <= options.max_line_width and num_words <= (options.max_words_per_line or num_words)


def _unevenness(num_columns: int, max_columns: int) -> float:
    """The sum over parts of a text is least if they are equally long, and with fewer parts."""
    missing = 1 - min(num_columns / max_columns, 1)
    return missing * missing


def _end_ms(group: Words, start_ms: int, next_ms: int) -> int:
    """With the last word, or when the text can be read; at most when the next cue starts."""
    num_columns = sum(word.num_columns for word in group)
    readable_ms = start_ms + max(MIN_CUE_MS, MS_PER_COLUMN * num_columns)
    return min(max(group[-1].end_ms, readable_ms), start_ms + MAX_CUE_MS, next_ms)
