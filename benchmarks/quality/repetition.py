"""Runs of words that a hypothesis has twice in a short distance, where its reference has them once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.quality.alignment import MIN_RUN, Alignment

REACH = 60  # words between the starts of both occurrences, at most


@dataclass(frozen=True, slots=True)
class Repetition:
    """Indices of both occurrences in a text"""

    first: int
    second: int
    num_words: int

    @property
    def indices(self) -> set[int]:
        starts = (self.first, self.second)
        return {index for start in starts for index in range(start, start + self.num_words)}


def doubled_runs(reference: Sequence[str], hypothesis: Sequence[str], alignment: Alignment) -> list[tuple[str, ...]]:
    """Repetitions that the reference does not have, and of which a run of words is inserted."""
    known = {part for found in repetitions(reference) for part in parts(words_of(reference, found))}
    doubled = [each for each in repetitions(hypothesis) if len(alignment.inserted & each.indices) >= MIN_RUN]
    runs = [words_of(hypothesis, each) for each in doubled]
    return [run for run in runs if not known.issuperset(parts(run))]


def words_of(words: Sequence[str], repetition: Repetition) -> tuple[str, ...]:
    return tuple(words[repetition.first : repetition.first + repetition.num_words])


def parts(run: tuple[str, ...]) -> set[tuple[str, ...]]:
    """Every MIN_RUN words in a row."""
    return {run[index : index + MIN_RUN] for index in range(len(run) - MIN_RUN + 1)}


def repetitions(words: Sequence[str]) -> Iterator[Repetition]:
    """Each run of MIN_RUN words and more that occurs again within REACH words, as long as it goes."""
    words = tuple(words)
    index = 0
    while index + MIN_RUN <= len(words):
        again = next_occurrence(words, index)
        num_words = run_length(words, index, again) if again else 0
        if num_words:
            yield Repetition(index, again, num_words)
        index += max(1, num_words)


def next_occurrence(words: tuple[str, ...], index: int) -> int:
    """Where the MIN_RUN words at the index begin again; 0 if they do not."""
    run = words[index : index + MIN_RUN]
    candidates = range(index + MIN_RUN, min(index + REACH, len(words) - MIN_RUN) + 1)
    return next((start for start in candidates if words[start : start + MIN_RUN] == run), 0)


def run_length(words: tuple[str, ...], index: int, again: int) -> int:
    """Number of equal words from both places on; the first occurrence ends where the second begins."""
    end = min(again - index, len(words) - again)
    return next((n for n in range(MIN_RUN, end) if words[index + n] != words[again + n]), end)
