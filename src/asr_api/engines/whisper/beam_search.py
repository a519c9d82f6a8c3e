"""Beam search over one window, in numpy: takes the log-probabilities of each step, appends a token to each beam.

The reference is beam search as in transformers, with length_penalty 1.0 and early_stopping False: the same tokens from
the same log-probabilities, in float32 as there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asr_api.engines.whisper.arrays import Floats, Integers

# Score of a beam without a hypothesis. Finite, so that unfilled beams stay comparable.
UNFILLED_SCORE = np.float32(-1e9)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A possible text of the window."""

    tokens: tuple[int, ...]  # the end excluded
    logprobs: tuple[float, ...]  # of each of `tokens`
    sum_logprobs: float  # of all of them and of the end, if it was sampled
    is_ended: bool  # False where max_tokens cut it

    @property
    def num_scored(self) -> int:
        """Tokens, the end included."""
        return len(self.tokens) + self.is_ended

    @property
    def mean_logprob(self) -> np.float32:
        return np.float32(self.sum_logprobs) / np.float32(self.num_scored)


class BeamSearch:
    """The hypotheses of one window. At first all rows are the same prompt, and only row 0 counts.

    tokens:     of each row, best row first, prompt excluded
    max_tokens: of a hypothesis, the end included
    """

    def __init__(self, beam_size: int, *, end: int, max_tokens: int) -> None:
        self.tokens: list[list[int]] = [[] for _ in range(beam_size)]
        self._beam_size = beam_size
        self._end = end
        self._max_tokens = max_tokens
        self._logprobs: list[list[float]] = [[] for _ in range(beam_size)]
        self._sums = np.full(beam_size, UNFILLED_SCORE)
        self._sums[0] = 0
        self._finished: list[Hypothesis] = []  # best first, at most beam_size
        self._num_steps = 0

    @property
    def is_done(self) -> bool:
        """True at max_tokens, or when beam_size hypotheses have ended and no row has a better mean than their worst.

        The latter is a heuristic: the mean of a row could rise again.
        """
        if self._num_steps == 0:
            return False
        if self._num_steps >= self._max_tokens:
            return True
        is_full = len(self._finished) == self._beam_size
        worst = self._finished[-1].mean_logprob if is_full else UNFILLED_SCORE
        return not self._sums[0] / np.float32(self._num_steps) > worst

    def advance(self, logprobs: Floats) -> Integers:
        """One step of all rows. Returns the row that each one continues; KV caches are reordered by it.

        logprobs: (beam_size, n_vocab) float32; log-softmax of the raw logits, then -inf for filtered tokens. They are
                  not normalised again, so that a row pays for the probability that the filters took from it
        """
        n_vocab = logprobs.shape[1]
        sums = (logprobs + self._sums[:, None]).ravel()
        # Each row has one end token, so among 2 * beam_size continuations at least beam_size do not end.
        best = top_k(sums, 2 * self._beam_size)
        sums, parents, tokens = sums[best], best // n_vocab, best % n_vocab
        self._num_steps += 1
        is_final = (tokens == self._end) | (self._num_steps >= self._max_tokens)
        for rank in np.flatnonzero(is_final[: self._beam_size]):
            self._finish(int(parents[rank]), int(tokens[rank]), logprobs, sums[rank])
        sums = np.where(is_final, sums + UNFILLED_SCORE, sums)
        rows = top_k(sums, self._beam_size)
        continued: Integers = parents[rows]
        tokens = tokens[rows]
        token_logprobs = logprobs[continued, tokens].tolist()
        continuations = list(zip(continued.tolist(), tokens.tolist(), token_logprobs, strict=True))
        self.tokens = [[*self.tokens[parent], token] for parent, token, _ in continuations]
        self._logprobs = [[*self._logprobs[parent], logprob] for parent, _, logprob in continuations]
        self._sums = sums[rows]
        return continued

    def best(self) -> Hypothesis:
        """The finished hypothesis with the best mean log-probability; the best row while there is none."""
        if self._finished:
            return self._finished[0]
        return Hypothesis(tuple(self.tokens[0]), tuple(self._logprobs[0]), float(self._sums[0]), is_ended=False)

    def _finish(self, parent: int, token: int, logprobs: Floats, total: np.float32) -> None:
        tokens, token_logprobs = self.tokens[parent], self._logprobs[parent]
        is_ended = token == self._end
        if not is_ended:
            tokens, token_logprobs = [*tokens, token], [*token_logprobs, float(logprobs[parent, token])]
        finished = Hypothesis(tuple(tokens), tuple(token_logprobs), float(total), is_ended)
        if finished.mean_logprob > UNFILLED_SCORE:
            # The sort is stable: among equals the earlier hypothesis stays first.
            ranked = sorted([*self._finished, finished], key=lambda hypothesis: -hypothesis.mean_logprob)
            self._finished = ranked[: self._beam_size]


def top_k(values: Floats, k: int) -> Integers:
    """Indices of the k greatest values, greatest first; among equals the lower index first. values: (n,), n >= k"""
    # k group maxima are k values, so nothing below the smallest of the k greatest maxima is among the k greatest.
    n_per_group = max(1, min(64, len(values) // k))
    maxima = values[: len(values) // n_per_group * n_per_group].reshape(n_per_group, -1).max(axis=0)
    threshold = np.partition(maxima, len(maxima) - k)[len(maxima) - k]
    candidates = np.flatnonzero(values >= threshold)
    order = np.argsort(-values[candidates], kind="stable")[:k]
    return np.asarray(candidates[order], np.int64)
