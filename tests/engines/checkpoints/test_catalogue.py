"""Short names of models, and the nearest names of a misspelt one."""

from __future__ import annotations

import pytest

from asr_api.engines.checkpoints.catalogue import KNOWN_MODELS, full_model_id, nearest_names
from asr_api.engines.checkpoints.hub import is_hub_id


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("base", "openai/whisper-base"),
        ("tiny.en", "openai/whisper-tiny.en"),
        ("turbo", "openai/whisper-large-v3-turbo"),
        ("large-v3-turbo", "openai/whisper-large-v3-turbo"),
        ("large", "openai/whisper-large-v3"),
        ("large-v1", "openai/whisper-large"),
        ("distil-large-v3", "distil-whisper/distil-large-v3"),
        ("openai/whisper-base", "openai/whisper-base"),
        ("builtin", "builtin"),
        ("some/model", "some/model"),
    ],
)
def test_a_short_name_stands_for_a_hub_id(name: str, model_id: str) -> None:
    assert full_model_id(name) == model_id


def test_names_are_distinct_and_ids_are_those_of_the_hub() -> None:
    assert len({model.name for model in KNOWN_MODELS}) == len({model.model_id for model in KNOWN_MODELS})
    assert all(is_hub_id(model.model_id) for model in KNOWN_MODELS)


@pytest.mark.parametrize(
    ("model_id", "nearest"),
    [
        ("smal", ["small"]),
        ("large-v4", ["large-v3", "large-v2"]),
        ("openai/whisper-smal", ["openai/whisper-small", "openai/whisper-small.en"]),
        ("openai/whisper-base", []),
        ("me/whisper-small-de", []),
        ("nonsense", []),
        ("whisper-base", ["base", "base.en"]),
        ("BASE", ["base", "base.en"]),
    ],
)
def test_the_nearest_names_of_a_misspelt_id(model_id: str, nearest: list[str]) -> None:
    assert sorted(nearest_names(model_id)) == sorted(nearest)
