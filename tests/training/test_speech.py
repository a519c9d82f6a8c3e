"""Who speaks which sentence is planned: families take turns, and no sentence is used twice."""

from __future__ import annotations

import pytest

pytest.importorskip("scipy")


def test_families_take_turns_until_each_has_its_clips() -> None:
    from training.speech import SHARD_CLIPS, training_plans

    texts = [f"Sentence {number}." for number in range(6 * SHARD_CLIPS)]
    plans = training_plans(texts, {"espeak": 1 * SHARD_CLIPS, "flite": 0, "parallel": 3 * SHARD_CLIPS})
    assert [plan.name for plan in plans] == [
        "train-espeak-000",
        "train-parallel-000",
        "train-parallel-001",
        "train-parallel-002",
    ]
    assert [text for plan in plans for text in plan.sentences] == texts[: 4 * SHARD_CLIPS]
    assert {plan.split for plan in plans} == {"train"}
