"""Which waiting windows run together: the oldest, and those that are like it. Knows nothing about tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asr_api.engines.protocol import WindowJob

MIN_LIKENESS = 0.7  # a shorter window than this part of the longest would mostly be padding


@dataclass(frozen=True, slots=True)
class BatchRule:
    """may_pad: whether windows of different lengths may run together; max_samples: of a batch, padding included"""

    may_pad: bool
    max_samples: int


def choose_batch(
    waiting: Sequence[WindowJob], rule: BatchRule, language_of: Callable[[WindowJob], str | None]
) -> list[WindowJob]:
    """The first of `waiting`, so that none waits for ever, and the likest others for which there is room."""
    if not waiting:
        return []
    oldest = waiting[0]
    longest = shortest = len(oldest.pcm)
    batch = [oldest]
    for job in sorted(waiting[1:], key=lambda job: abs(len(job.pcm) - len(oldest.pcm))):
        longest_then, shortest_then = max(longest, len(job.pcm)), min(shortest, len(job.pcm))
        fits = (len(batch) + 1) * longest_then <= rule.max_samples
        is_like = shortest_then >= (MIN_LIKENESS * longest_then if rule.may_pad else longest_then)
        if fits and is_like and language_of(job) == language_of(oldest):
            batch.append(job)
            longest, shortest = longest_then, shortest_then
    return batch
