from __future__ import annotations

import numpy as np
import pytest

from asr_api.engines.whisper.sampling import greedy, sample, sample_rngs

PCM = np.arange(1000, dtype=np.int16)


def rolls(pcm: np.ndarray, prompt: tuple[int, ...], temperature: float) -> list[float]:
    return [each.random() for each in sample_rngs(pcm, prompt, temperature, 5)]


def test_chance_depends_on_audio_prompt_temperature_and_sample_and_on_nothing_else() -> None:
    expected = rolls(PCM, (1, 2), 0.2)
    assert rolls(PCM.copy(), (1, 2), 0.2) == expected
    others = [
        *rolls(PCM[:-1], (1, 2), 0.2),
        *rolls(PCM + np.int16(1), (1, 2), 0.2),
        *rolls(PCM, (1, 3), 0.2),
        *rolls(PCM, (1, 2), 0.4),
    ]
    assert len({*expected, *others}) == 25


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_tokens_come_as_often_as_the_temperature_says(temperature: float) -> None:
    logits = np.array([2.0, -np.inf, 1.0, 0.5, -np.inf], np.float32)
    scaled = np.exp(logits.astype(np.float64) / temperature)
    expected = scaled / scaled.sum()
    uniforms = ((np.arange(4000) + 0.5) / 4000).tolist()
    choice = sample(np.tile(logits, (4000, 1)), [temperature] * 4000, uniforms)
    shares = np.bincount(choice.tokens, minlength=5) / 4000
    np.testing.assert_allclose(shares, expected, atol=1e-3)
    logprobs = logits - np.log(np.exp(logits.astype(np.float64)).sum())  # at temperature 1, whatever it was sample at
    np.testing.assert_allclose(choice.logprobs, logprobs[choice.tokens], atol=1e-6)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_what_the_rules_forbid_is_never_drawn_not_even_at_the_edges(uniform: float) -> None:
    logits = np.full((1, 50), -np.inf, np.float32)
    logits[0, [7, 30]] = 3, -40
    assert sample(logits, [0.2], [uniform]).tokens[0] == 7
    assert greedy(logits).tokens[0] == 7


def test_a_row_of_nan_is_told_and_neighbours_unharmed() -> None:
    logits = np.zeros((2, 50), np.float32)
    logits[0] = np.nan
    choice = sample(logits, [0.2, 0.2], [0.5, 0.5])
    assert np.isfinite(choice.logprobs).tolist() == [False, True]
    assert choice.tokens[1] == 25
