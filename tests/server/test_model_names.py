"""Model names: the id, its short name and its aliases are the served model; everything else is not found."""

from __future__ import annotations

import pytest

from asr_api.errors import ModelNotFound
from asr_api.server.model_names import ModelNames

NAMES = ModelNames("openai/whisper-base", ("whisper-1", "mine"))


@pytest.mark.parametrize("name", ["openai/whisper-base", "base", "whisper-1", "mine", ""])
def test_these_names_are_the_served_model(name: str) -> None:
    assert NAMES.resolve(name) == "openai/whisper-base"


@pytest.mark.parametrize("name", ["openai/whisper-large-v3", "large-v3", "Whisper-1", "x" * 5_000])
def test_another_name_is_not_found(name: str) -> None:
    with pytest.raises(ModelNotFound) as raised:
        NAMES.resolve(name)
    assert str(raised.value).endswith("answers to openai/whisper-base, whisper-1, mine (MODEL_ALIASES).")
    assert raised.value.parameter == "model"
    assert len(str(raised.value)) < 300
