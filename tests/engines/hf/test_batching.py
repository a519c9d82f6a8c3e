"""Batches: the oldest window goes first, similar windows go with it, and the others wait."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asr_api.engines.hf.batching import MIN_LENGTH_RATIO, BatchRule, choose_batch
from asr_api.engines.protocol import WindowJob
from asr_api.options import DecodeOptions


def job(job_id: int, num_samples: int, language: str = "en") -> WindowJob:
    return WindowJob(job_id, np.zeros(num_samples, np.int16), DecodeOptions(language=language))


def chosen(waiting: list[WindowJob], rule: BatchRule) -> list[int]:
    return [job.job_id for job in choose_batch(waiting, rule, lambda job: job.options.language)]


def test_batch_has_windows_similar_to_the_oldest() -> None:
    waiting = [job(0, 100), job(1, 300), job(2, 90), job(3, 100), job(4, 100, "de")]
    assert chosen(waiting, BatchRule(may_pad=True, max_samples=1000)) == [0, 3, 2]
    assert chosen(waiting, BatchRule(may_pad=False, max_samples=1000)) == [0, 3]
    assert chosen(waiting, BatchRule(may_pad=True, max_samples=50)) == [0]


@given(st.lists(st.integers(1, 1000), max_size=20), st.booleans(), st.integers(1, 5000))
def test_batches_keep_the_rule(lengths: list[int], may_pad: bool, max_samples: int) -> None:
    batch = chosen([job(index, length) for index, length in enumerate(lengths)], BatchRule(may_pad, max_samples))
    assert batch[:1] == ([0] if lengths else [])
    assert len(set(batch)) == len(batch)
    taken = [lengths[index] for index in batch]
    assert len(taken) <= 1 or len(taken) * max(taken) <= max_samples
    assert not taken or min(taken) >= (MIN_LENGTH_RATIO if may_pad else 1) * max(taken)
