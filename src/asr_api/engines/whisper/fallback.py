"""Temperature fallback: assesses the candidates of a window and selects the best one of a temperature, or of all.

A window whose best candidate fails is decoded again at the next temperature. If none passes, the best attempt is kept
with its doubts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asr_api.engines.whisper.quality import has_loop, needs_fallback, quality_of
from asr_api.engines.whisper.tokenizer import Tokenizer
from asr_api.transcript import Quality

BEST_OF = 5  # samples of a window at each temperature above 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """The tokens that one row decoded for a window.

    tokens:       sampled, the end excluded
    logprobs:     of each of `tokens`
    sum_logprobs: of all of them and of the end, if it was sampled
    num_kept:     so many of the tokens are final
    resume_ms:    where the next decoding begins; None where the window is finished
    is_whole:     False where it was broken off: in a loop, at non-finite logits, or at the decoder's last position
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    sum_logprobs: float
    num_kept: int
    resume_ms: int | None = None
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Attempt:
    """A candidate of one temperature with its quality."""

    candidate: Candidate
    quality: Quality

    @property
    def passes(self) -> bool:
        return not needs_fallback(self.quality)


def assess(candidate: Candidate, tokenizer: Tokenizer, temperature: float, no_speech_probability: float) -> Attempt:
    quality = quality_of(
        tokenizer.decode(candidate.tokens),
        mean_logprob=candidate.sum_logprobs / (len(candidate.tokens) + 1),
        no_speech_probability=no_speech_probability,
        temperature=temperature,
        is_loop=has_loop([token for token in candidate.tokens if token < tokenizer.end]),
        is_whole=candidate.is_whole,
    )
    return Attempt(candidate, quality)


def best_sample(attempts: Sequence[Attempt]) -> Attempt:
    """The best sample of one temperature: one that passes, if any; among equals the highest log-probability per token.

    The latter is OpenAI's rule; alone it would often select a sample with a loop.
    """

    def rank(attempt: Attempt) -> tuple[bool, bool, float]:
        candidate = attempt.candidate
        return attempt.passes, candidate.is_whole, candidate.sum_logprobs / max(1, len(candidate.tokens))

    return max(attempts, key=rank)


def best_attempt(attempts: Sequence[Attempt]) -> Attempt:
    """The best of all temperatures when none passed: complete, then non-repetitive, then by mean log-probability."""

    def rank(attempt: Attempt) -> tuple[bool, bool, float]:
        quality = attempt.quality
        return attempt.candidate.is_whole, "repetition" not in quality.doubts, quality.mean_logprob

    return max(attempts, key=rank)
