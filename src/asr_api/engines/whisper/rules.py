"""Which token comes next: OpenAI's suppression and timestamp rules, and the greedy choice, for all rows at once.

In go the logits of one step and what each row said so far, out come the chosen tokens with their log-probabilities.
This is the reference in numpy, float32: a faster one must choose the same. Knows nothing about models or text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr_api.engines.whisper.spec import WhisperSpec

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What the rules ask about the sampled tokens of each row; every array is (rows,).

    is_opening:  the last two are stamps, or there is only one token yet, a stamp: text must follow
    is_closing:  the last is a stamp and the one before is text: a stamp or the end must follow
    min_stamp:   the lowest id a stamp may have
    """

    is_first: Booleans
    is_opening: Booleans
    is_closing: Booleans
    min_stamp: Integers

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], stamp_begin: int) -> History:
        """rows: the sampled tokens of each row, prompt excluded"""
        last = np.array([len(row) > 0 and row[-1] >= stamp_begin for row in rows])
        penultimate = np.array([len(row) < 2 or row[-2] >= stamp_begin for row in rows])
        # Times never go back, and a segment is not empty: only the stamp that reopens may repeat the closing one.
        latest = [next((token for token in reversed(row) if token >= stamp_begin), None) for row in rows]
        lowest = np.array([stamp_begin if token is None else token + 1 for token in latest], np.int64)
        is_closing = last & ~penultimate
        return cls(np.array([not row for row in rows]), last & penultimate, is_closing, lowest - is_closing)


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """tokens: (rows,) ids; logprobs: (rows,) log-probabilities among the tokens that the rules left."""

    tokens: Integers
    logprobs: Floats


class Rules:
    """The rules of one checkpoint."""

    def __init__(self, spec: WhisperSpec, *, end: int, no_timestamps: int) -> None:
        """end, no_timestamps: ids of <|endoftext|> and <|notimestamps|>; stamps begin after the latter"""
        self._end = end
        self._stamp_begin = no_timestamps + 1
        self._suppressed = np.array(sorted({*spec.suppress_tokens, no_timestamps}), np.int64)
        self._suppressed_first = np.array(spec.begin_suppress_tokens, np.int64)
        self._max_first = self._stamp_begin + spec.max_initial_stamp

    def choose(self, logits: Floats, history: History) -> Choice:
        """The best allowed token of each row. logits: (rows, n_vocab) float32; overwritten with what the rules left."""
        self._mask(logits, history)
        stamps, others = logits[:, self._stamp_begin :], logits[:, : self._stamp_begin]
        # If a stamp, whichever, is likelier than any single other token, it is a stamp.
        is_stamp = log_sum_exp(stamps) > others.max(axis=1)
        others[is_stamp] = -np.inf
        tokens = logits.argmax(axis=1)
        logprobs = logits[np.arange(len(logits)), tokens] - log_sum_exp(logits)
        return Choice(tokens, logprobs)

    def _mask(self, logits: Floats, history: History) -> None:
        begin = self._stamp_begin
        logits[:, self._suppressed] = -np.inf
        stamps = logits[:, begin:]
        if history.is_first.any():  # a window opens with a stamp near its start
            logits[np.ix_(history.is_first, self._suppressed_first)] = -np.inf
            logits[history.is_first, :begin] = -np.inf
            logits[history.is_first, self._max_first + 1 :] = -np.inf
        logits[history.is_opening, begin:] = -np.inf
        logits[history.is_closing, : self._end] = -np.inf
        stamps[np.arange(begin, logits.shape[1]) < history.min_stamp[:, None]] = -np.inf


def log_sum_exp(logits: Floats) -> Floats:
    """Over the last axis, (rows,); -inf for a row that has nothing else."""
    peak = logits.max(axis=1)
    shifted = logits - np.where(np.isfinite(peak), peak, 0)[:, None]
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(shifted, out=shifted).sum(axis=1)) + np.where(np.isfinite(peak), peak, 0))
