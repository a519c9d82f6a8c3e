"""Which of several texts for one window is the best, and whether it is good enough.

In go what rows wrote, out come attempts with their quality. A window whose attempt fails is tried again at the next
temperature; when none passes, the best one is kept and says what speaks against it. Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asr_api.engines.whisper.quality import has_loop, needs_retry, quality_of
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.transcript import Quality

BEST_OF = 5  # samples of a window at each temperature above 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one row wrote in one pass over a window.

    tokens:      sampled, the end excluded
    logprobs:    of each of `tokens`
    sum_logprob: of all of them and of the end, if it was sampled
    num_kept:    so many of the tokens are final
    resume_ms:   where the next pass begins; None where the window is finished
    is_whole:    False where it was broken off: in a loop, at logits that are no numbers, at the decoder's last position
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    sum_logprob: float
    num_kept: int
    resume_ms: int | None = None
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Attempt:
    candidate: Candidate
    quality: Quality

    @property
    def passes(self) -> bool:
        return not needs_retry(self.quality)


def assess(candidate: Candidate, tokenizer: Tokenizer, temperature: float, no_speech_probability: float) -> Attempt:
    quality = quality_of(
        tokenizer.decode(candidate.tokens),
        mean_logprob=candidate.sum_logprob / (len(candidate.tokens) + 1),
        no_speech_probability=no_speech_probability,
        temperature=temperature,
        is_loop=has_loop([token for token in candidate.tokens if token < tokenizer.end]),
        is_whole=candidate.is_whole,
    )
    return Attempt(candidate, quality)


def best_sample(attempts: Sequence[Attempt]) -> Attempt:
    """Of one temperature: one that passes, if any; among equals OpenAI's choice, the greedy per token.

    The greedy alone would often be the one that loops.
    """

    def rank(attempt: Attempt) -> tuple[bool, bool, float]:
        candidate = attempt.candidate
        return attempt.passes, candidate.is_whole, candidate.sum_logprob / max(1, len(candidate.tokens))

    return max(attempts, key=rank)


def best_attempt(attempts: Sequence[Attempt]) -> Attempt:
    """Of all temperatures, when none passed: rather whole, rather not going round in circles, rather sure of itself."""

    def rank(attempt: Attempt) -> tuple[bool, bool, float]:
        quality = attempt.quality
        return attempt.candidate.is_whole, "repetition" not in quality.doubts, quality.mean_logprob

    return max(attempts, key=rank)
