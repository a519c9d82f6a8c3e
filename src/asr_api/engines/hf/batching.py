"""Chooses which waiting windows run in one batch: the oldest, and windows of similar length in the same language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asr_api.engines.protocol import WindowJob

MIN_LENGTH_RATIO = 0.7  # of the shortest window to the longest; below it, much of the batch would be padding


@dataclass(frozen=True, slots=True)
class BatchRule:
    may_pad: bool  # windows of different lengths may run together
    max_samples: int  # of a batch, padding included


def choose_batch(
    waiting: Sequence[WindowJob], rule: BatchRule, language_of: Callable[[WindowJob], str | None]
) -> list[WindowJob]:
    """The first of `waiting`, so that no window waits forever, and the windows closest in length that fit the rule."""
    if not waiting:
        return []
    oldest = waiting[0]
    longest = shortest = len(oldest.pcm)
    batch = [oldest]
    for job in sorted(waiting[1:], key=lambda job: abs(len(job.pcm) - len(oldest.pcm))):
        new_longest, new_shortest = max(longest, len(job.pcm)), min(shortest, len(job.pcm))
        fits = (len(batch) + 1) * new_longest <= rule.max_samples
        is_similar = new_shortest >= (MIN_LENGTH_RATIO * new_longest if rule.may_pad else new_longest)
        if fits and is_similar and language_of(job) == language_of(oldest):
            batch.append(job)
            longest, shortest = new_longest, new_shortest
    return batch
