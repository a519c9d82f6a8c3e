"""What every engine that serves a model does with the jobs it is given, before any work on them.

In go jobs, out come the same with PCM of their own, all or none. Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from asr_api.engines.protocol import WindowJob
from asr_api.options import TranscribeOptions


def admitted(
    jobs: Sequence[WindowJob], free_slots: int, max_samples: int, check: Callable[[TranscribeOptions], object]
) -> list[WindowJob]:
    """Copies, for the caller's PCM is overwritten. check: raises InvalidParameter for what the model cannot do"""
    if len(jobs) > free_slots:
        raise ValueError(f"{len(jobs)} jobs for {free_slots} free slots; this is a bug")
    for job in jobs:
        if len(job.pcm) > max_samples:
            raise ValueError(f"a window of {len(job.pcm)} samples, and {max_samples} are allowed; this is a bug")
        check(job.options)
    return [replace(job, pcm=job.pcm.copy()) for job in jobs]
