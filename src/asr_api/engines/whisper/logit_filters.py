"""Logit filters: OpenAI's suppressed tokens and timestamp rules, for all rows of a step at once.

This is the reference in numpy, float32: a faster implementation must leave the same tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr_api.engines.whisper.arrays import Booleans, Floats, Integers
from asr_api.engines.whisper.config import WhisperConfig
from asr_api.engines.whisper.token_kinds import TokenKinds

# A share of e^-80 of the largest adds nothing. Smaller shares would be denormal numbers, which are three times slower.
NEGLIGIBLE = np.float32(-80)


@dataclass(frozen=True, slots=True, eq=False)
class TokenHistory:
    """The state of each row on which the filters depend; every array is (rows,).

    has_timestamps: the row has timestamps; where it has none, the three fields below have no effect and are False
    is_first:       no token was sampled yet
    is_opening:     the last two tokens are timestamps, or the only token is one: text must follow
    is_closing:     the last token is a timestamp and the one before is text: a timestamp or the end must follow
    min_timestamp:  the lowest id a timestamp may have
    """

    has_timestamps: Booleans
    is_first: Booleans
    is_opening: Booleans
    is_closing: Booleans
    min_timestamp: Integers

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], timestamps: range, has_timestamps: Sequence[bool]) -> TokenHistory:
        """rows: the sampled tokens of each row, prompt excluded; timestamps: their ids"""
        timestamped = np.array(has_timestamps, np.bool_)
        last = timestamped & np.array([len(row) > 0 and row[-1] in timestamps for row in rows])
        penultimate = np.array([len(row) < 2 or row[-2] in timestamps for row in rows])
        # Times never decrease, and no segment is empty: only the timestamp that opens the next segment may repeat the
        # one that closed the last.
        latest = [
            next((token for token in reversed(row) if token in timestamps), None) if is_timestamped else None
            for row, is_timestamped in zip(rows, has_timestamps, strict=True)
        ]
        lowest = np.array([timestamps.start if token is None else token + 1 for token in latest], np.int64)
        is_closing = last & ~penultimate
        is_first = np.array([not row for row in rows])
        return cls(timestamped, is_first, last & penultimate, is_closing, lowest - is_closing)


class LogitFilters:
    def __init__(self, config: WhisperConfig, kinds: TokenKinds) -> None:
        self._end = kinds.end
        self._timestamps = kinds.timestamps
        self._suppressed = np.array(config.suppress_tokens, np.int64)
        self._suppressed_first = np.array(config.begin_suppress_tokens, np.int64)
        self._max_first = min(kinds.timestamps.start + config.max_initial_timestamp, kinds.timestamps[-1])

    def mask(self, logits: Floats, history: TokenHistory) -> None:
        """Sets forbidden tokens to -inf. logits: (rows, n_vocab) float32; unnormalised, or log-probabilities"""
        begin, stop = self._timestamps.start, self._timestamps.stop
        logits[:, self._suppressed] = -np.inf
        if history.is_first.any():
            logits[np.ix_(history.is_first, self._suppressed_first)] = -np.inf
            opening = history.is_first & history.has_timestamps  # a window opens with a timestamp near its start
            logits[opening, :begin] = -np.inf
            logits[opening, self._max_first + 1 :] = -np.inf
        logits[history.has_timestamps, begin - 1] = -np.inf  # <|notimestamps|>
        logits[history.is_opening, begin:stop] = -np.inf
        logits[history.is_closing, : self._end] = -np.inf
        before, timestamps, behind = logits[:, :begin], logits[:, begin:stop], logits[:, stop:]
        behind[history.is_closing] = -np.inf
        timestamps[np.arange(begin, begin + timestamps.shape[1]) < history.min_timestamp[:, None]] = -np.inf
        # If all timestamps together are likelier than any single other token, a timestamp is sampled.
        best_other = np.maximum(before.max(axis=1), behind.max(axis=1, initial=-np.inf))
        must_be_timestamp = history.has_timestamps & (log_sum_exp(timestamps) > best_other)
        before[must_be_timestamp] = behind[must_be_timestamp] = -np.inf


def log_sum_exp(logits: Floats) -> Floats:
    """Over the last axis, (rows,); -inf for a row of nothing but -inf, not finite for one with NaN or infinity."""
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
