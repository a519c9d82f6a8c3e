"""Temperature fallback: the candidates of a window, and the best one of a temperature, or of all.

A window whose best candidate fails is decoded again at the next temperature. If none passes, the best one is kept with
its doubts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asr_api.transcript import Quality

BEST_OF = 5  # samples of a window at each temperature above 0
UNASSESSED = Quality()


@dataclass(frozen=True, slots=True)
class Candidate:
    """The tokens that one row decoded for a window.

    tokens:       sampled, the end excluded
    logprobs:     of each of `tokens`
    sum_logprobs: of all of them and of the end, if it was sampled
    num_kept:     so many of the tokens are final
    resume_ms:    where the next decoding begins; None where the window is finished
    is_whole:     False where it was broken off: in a loop, at non-finite logits, or at the decoder's last position
    quality:      set by `TranscriptBuilder.assess_candidates`
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    sum_logprobs: float
    num_kept: int
    resume_ms: int | None = None
    is_whole: bool = True
    quality: Quality = UNASSESSED

    @property
    def mean_logprob(self) -> float:
        """By OpenAI's definition, which counts the end."""
        return self.sum_logprobs / (len(self.tokens) + 1)

    @property
    def passes(self) -> bool:
        """False when another temperature may do better. A window without speech is not decoded again."""
        return not self.quality.doubts or "no_speech" in self.quality.doubts


def best_sample(candidates: Sequence[Candidate]) -> Candidate:
    """The best sample of one temperature: one that passes, if any; among equals the highest log-probability per token.

    The latter is OpenAI's rule; alone it would often select a sample with a loop.
    """

    def rank(candidate: Candidate) -> tuple[bool, bool, float]:
        return candidate.passes, candidate.is_whole, candidate.sum_logprobs / max(1, len(candidate.tokens))

    return max(candidates, key=rank)


def best_failed(candidates: Sequence[Candidate]) -> Candidate:
    """The best of all temperatures when none passed: complete, then non-repetitive, then by mean log-probability."""

    def rank(candidate: Candidate) -> tuple[bool, bool, float]:
        return candidate.is_whole, "repetition" not in candidate.quality.doubts, candidate.mean_logprob

    return max(candidates, key=rank)
