"""Which tokens may come next: OpenAI's suppression and timestamp rules, for all rows at once.

In go the logits of one step and what each row said so far, out come the logits of what is left. This is the reference
in numpy, float32: a faster one must leave the same. Knows nothing about models or text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.whisper.config import WhisperConfig

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

# A share of e^-80 of the largest adds nothing. Smaller ones would be denormal numbers, which take three times as long.
NEGLIGIBLE = np.float32(-80)


@dataclass(frozen=True, slots=True, eq=False)
class TokenHistory:
    """What the rules ask about the sampled tokens of each row; every array is (rows,).

    has_timestamps:  the row writes timestamps; where it does not, the three below don't matter and are False
    is_opening:  the last two are stamps, or there is only one token yet, a stamp: text must follow
    is_closing:  the last is a stamp and the one before is text: a stamp or the end must follow
    min_stamp:   the lowest id a stamp may have
    """

    has_timestamps: Booleans
    is_first: Booleans
    is_opening: Booleans
    is_closing: Booleans
    min_stamp: Integers

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], timestamp_begin: int, has_timestamps: Sequence[bool]) -> TokenHistory:
        """rows: the sampled tokens of each row, prompt excluded"""
        stamped = np.array(has_timestamps, np.bool_)
        last = stamped & np.array([len(row) > 0 and row[-1] >= timestamp_begin for row in rows])
        penultimate = np.array([len(row) < 2 or row[-2] >= timestamp_begin for row in rows])
        # Times never go back, and a segment is not empty: only the stamp that reopens may repeat the closing one.
        latest = [
            next((token for token in reversed(row) if token >= timestamp_begin), None) if has_stamp else None
            for row, has_stamp in zip(rows, has_timestamps, strict=True)
        ]
        lowest = np.array([timestamp_begin if token is None else token + 1 for token in latest], np.int64)
        is_closing = last & ~penultimate
        is_first = np.array([not row for row in rows])
        return cls(stamped, is_first, last & penultimate, is_closing, lowest - is_closing)


class LogitFilters:
    """The rules of one checkpoint."""

    def __init__(self, config: WhisperConfig, *, end: int, no_timestamps: int) -> None:
        """end, no_timestamps: ids of <|endoftext|> and <|notimestamps|>; stamps begin after the latter"""
        self._end = end
        self._stamp_begin = no_timestamps + 1
        self._suppressed = np.array(config.suppress_tokens, np.int64)
        self._suppressed_first = np.array(config.begin_suppress_tokens, np.int64)
        self._max_first = self._stamp_begin + config.max_initial_timestamp

    def mask(self, logits: Floats, history: TokenHistory) -> None:
        """Sets what the rules forbid to -inf. logits: (rows, n_vocab) float32; unnormalised, or log-probabilities"""
        begin = self._stamp_begin
        logits[:, self._suppressed] = -np.inf
        if history.is_first.any():
            logits[np.ix_(history.is_first, self._suppressed_first)] = -np.inf
            opening = history.is_first & history.has_timestamps  # a window opens with a stamp near its start
            logits[opening, :begin] = -np.inf
            logits[opening, self._max_first + 1 :] = -np.inf
        logits[history.has_timestamps, begin - 1] = -np.inf  # <|notimestamps|>
        logits[history.is_opening, begin:] = -np.inf
        logits[history.is_closing, : self._end] = -np.inf
        stamps, others = logits[:, begin:], logits[:, :begin]
        stamps[np.arange(begin, logits.shape[1]) < history.min_stamp[:, None]] = -np.inf
        # If a stamp, whichever, is likelier than any single other token, it is a stamp.
        others[history.has_timestamps & (log_sum_exp(stamps) > others.max(axis=1))] = -np.inf


def log_sum_exp(logits: Floats) -> Floats:
    """Over the last axis, (rows,); -inf for a row that has nothing else, not finite for one with a NaN or infinity."""
    peak = logits.max(axis=1)
    base = np.where(np.isfinite(peak), peak, 0)
    sums = np.empty_like(base)
    shares = np.empty(logits.shape[1:], np.float32)  # one row at a time stays in the processor's cache
    with np.errstate(over="ignore"):
        for index, row in enumerate(logits):
            np.subtract(row, base[index], out=shares)
            np.maximum(shares, NEGLIGIBLE, out=shares)
            sums[index] = np.exp(shares, out=shares).sum()
    return np.where(peak == -np.inf, peak, np.log(sums) + base)
