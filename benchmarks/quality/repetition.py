"""Runs of words that a hypothesis has twice in a short distance, although its reference has them once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.quality.alignment import MIN_RUN

REACH = 60  # words between the starts of both occurrences, at most


def doubled_runs(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[str, ...]]:
    known = {start for run in repeated_runs(reference) for start in starts(run)}
    return [run for run in repeated_runs(hypothesis) if not known.issuperset(starts(run))]


def repeated_runs(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Each run of MIN_RUN words and more that occurs again within REACH words, as long as it goes."""
    words = tuple(words)
    index = 0
    while index + MIN_RUN <= len(words):
        again = next_occurrence(words, index)
        num_words = run_length(words, index, again) if again else 0
        if num_words:
            yield words[index : index + num_words]
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


def starts(run: tuple[str, ...]) -> set[tuple[str, ...]]:
    return {run[index : index + MIN_RUN] for index in range(len(run) - MIN_RUN + 1)}
