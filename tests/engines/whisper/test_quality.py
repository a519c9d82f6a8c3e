from __future__ import annotations

from typing import Any

import pytest

from asr_api.engines.whisper.quality import doubted_if_unsure, ends_in_loop, quality_of
from asr_api.text.compression import compression_ratio
from asr_api.transcript import Doubt, Quality


@pytest.mark.parametrize("period", [1, 2, 3, 5, 8, 11, 16])
def test_loop_is_found_after_enough_repetitions(period: int) -> None:
    tokens = [7, 8, 9, *(list(range(100, 100 + period)) * 40)]
    looping = [size for size in range(len(tokens)) if ends_in_loop(tokens[:size])]
    assert looping[0] == 3 + max(4 * period, 32)
    assert len(looping) == len(tokens) - looping[0]
    assert not ends_in_loop([*tokens, 1])


@pytest.mark.parametrize(
    "tokens",
    [
        [11] * 20,  # " no" twenty times
        [1, 2, 3, 4, 5, 6] * 3,  # a refrain
        [*range(40), *[3] * 16, 9, 9],  # a card of ones
        [token for index in range(30) for token in (5, index)],  # a list: "one, two, three"
        [],
    ],
)
def test_natural_repetition_is_no_loop(tokens: list[int]) -> None:
    assert not any(ends_in_loop(tokens[:size]) for size in range(len(tokens) + 1))


@pytest.mark.parametrize(
    ("text", "mean_logprob", "no_speech_probability", "is_loop", "doubts"),
    [
        (" It is well.", -1.0, 0.9, False, ()),
        (" It is well.", -3.0, 0.01, False, ("low_confidence",)),
        (" It is well.", -1.1, 0.6, False, ("low_confidence",)),  # OpenAI's thresholds are exclusive
        (" It is well.", -5.0, 1.0, False, ("no_speech",)),
        (" It is well.", -0.4, 0.99, False, ()),  # confident text is kept
        (" It is well.", -1.1, 0.7, False, ("no_speech",)),
        (" It is well." * 20, -1.1, 0.7, False, ("no_speech",)),
        (" It is well." * 20, -0.1, 0.1, False, ("repetition",)),
        (" It is well." * 20, -2.0, 0.1, False, ("repetition", "low_confidence")),
        (" It is well.", -0.1, 0.1, True, ("repetition",)),
    ],
)
def test_doubts(
    text: str, mean_logprob: float, no_speech_probability: float, is_loop: bool, doubts: tuple[Doubt, ...]
) -> None:
    measures: dict[str, Any] = {
        "mean_logprob": mean_logprob,
        "no_speech_probability": no_speech_probability,
        "temperature": 0.4,
    }
    quality = quality_of(text, is_loop=is_loop, **measures)
    assert quality == Quality(**measures, compression_ratio=compression_ratio(text.strip()), doubts=doubts)


@pytest.mark.parametrize(
    ("mean_logprob", "doubts", "expected"),
    [
        (-0.79, (), ()),
        (-0.81, (), ("low_confidence",)),
        (-0.81, ("repetition",), ("repetition",)),
        (-1.5, ("no_speech",), ("no_speech",)),
    ],
)
def test_text_of_a_low_probability_is_doubtful_although_it_passed(
    mean_logprob: float, doubts: tuple[Doubt, ...], expected: tuple[Doubt, ...]
) -> None:
    quality = Quality(mean_logprob=mean_logprob, doubts=doubts)
    assert doubted_if_unsure(quality) == Quality(mean_logprob=mean_logprob, doubts=expected)
