"""Word errors of transcripts against known texts: all words of a set together, in lower case, without punctuation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.quality.alignment import Errors, align
from tests.product.samples import words


def word_errors(expected: str, text: str) -> Errors:
    return align(words(expected), words(text)).errors


def total_errors(pairs: Iterable[tuple[str, str]]) -> Errors:
    """pairs: expected text, and text of the transcript"""
    return sum((word_errors(expected, text) for expected, text in pairs), Errors())


def num_edits(errors: Errors) -> int:
    return errors.substituted + errors.deleted + errors.inserted


def long_runs(expected: str, text: str, min_words: int) -> list[Sequence[str]]:
    """Runs of so many words that are in one of both texts only."""
    alignment = align(words(expected), words(text))
    return [run.units for run in (*alignment.lost, *alignment.invented) if len(run.units) >= min_words]
