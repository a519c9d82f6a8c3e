"""Errors of word starts against known ones: words are paired by alignment, and only equal words are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks.quality.alignment import align
from benchmarks.quality.recording import Word

FAR_S = 0.3


@dataclass(frozen=True, slots=True)
class WordTimes:
    """Of all known words, how many were compared; errors of their starts without sign; num_far: beyond FAR_S"""

    num_known: int
    num_compared: int
    median_s: float
    percentile_90_s: float
    num_far: int


def start_errors(known: Sequence[Word], words: Sequence[Word]) -> list[float]:
    """Seconds without sign, of each known word that was transcribed."""
    pairs = align([bare(word.text) for word in known], [bare(word.text) for word in words]).pairs
    return [abs(words[index].start_s - known[number].start_s) for number, index in pairs]


def word_times(num_known: int, errors_s: Sequence[float]) -> WordTimes | None:
    """None when there are too few words for a percentile."""
    if len(errors_s) < 2:
        return None
    percentile_90_s = quantiles(errors_s, n=10, method="inclusive")[-1]
    num_far = sum(error_s > FAR_S for error_s in errors_s)
    return WordTimes(num_known, len(errors_s), round(median(errors_s), 3), round(percentile_90_s, 3), num_far)


def bare(text: str) -> str:
    """A word without case and punctuation."""
    return "".join(letter for letter in text.lower() if letter.isalnum())
