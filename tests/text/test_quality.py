from __future__ import annotations

import pytest

from asr_api.text.quality import is_no_speech


@pytest.mark.parametrize(
    ("no_speech_probability", "mean_logprob", "expected"),
    [
        (0.7, -1.1, True),
        (1.0, -5.0, True),
        (0.6, -1.1, False),  # OpenAI's thresholds are exclusive
        (0.7, -1.0, False),
        (0.99, -0.4, False),  # sure of its words: they are kept
        (0.01, -3.0, False),
    ],
)
def test_a_window_is_silent_only_when_the_model_expects_silence_and_doubts_its_words(
    no_speech_probability: float, mean_logprob: float, expected: bool
) -> None:
    assert is_no_speech(no_speech_probability, mean_logprob) is expected
