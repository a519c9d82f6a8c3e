from __future__ import annotations

import numpy as np
import pytest

from asr_api.engines.whisper.sampling import greedy, sample, sample_rngs

PCM = np.arange(1000, dtype=np.int16)


def first_uniforms(pcm: np.ndarray, prompt: tuple[int, ...], temperature: float) -> list[float]:
    return [rng.random() for rng in sample_rngs(pcm, prompt, temperature, 5)]


def test_seed_depends_on_audio_prompt_temperature_and_sample() -> None:
    expected = first_uniforms(PCM, (1, 2), 0.2)
    assert first_uniforms(PCM.copy(), (1, 2), 0.2) == expected
    others = [(PCM[:-1], (1, 2), 0.2), (PCM + np.int16(1), (1, 2), 0.2), (PCM, (1, 3), 0.2), (PCM, (1, 2), 0.4)]
    assert len({*expected, *(uniform for inputs in others for uniform in first_uniforms(*inputs))}) == 25


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_token_frequencies(temperature: float) -> None:
    logits = np.array([2.0, -np.inf, 1.0, 0.5, -np.inf], np.float32)
    scaled = np.exp(logits.astype(np.float64) / temperature)
    expected = scaled / scaled.sum()
    uniforms = ((np.arange(4000) + 0.5) / 4000).tolist()
    sampled = sample(np.tile(logits, (4000, 1)), [temperature] * 4000, uniforms)
    shares = np.bincount(sampled.tokens, minlength=5) / 4000
    np.testing.assert_allclose(shares, expected, atol=1e-3)
    logprobs = logits - np.log(np.exp(logits.astype(np.float64)).sum())  # at temperature 1
    np.testing.assert_allclose(sampled.logprobs, logprobs[sampled.tokens], atol=1e-6)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_forbidden_tokens_are_never_sampled(uniform: float) -> None:
    logits = np.full((1, 50), -np.inf, np.float32)
    logits[0, [7, 30]] = 3, -40
    assert sample(logits, [0.2], [uniform]).tokens[0] == 7
    assert greedy(logits).tokens[0] == 7


def test_nan_row_does_not_affect_others() -> None:
    logits = np.zeros((2, 50), np.float32)
    logits[0] = np.nan
    sampled = sample(logits, [0.2, 0.2], [0.5, 0.5])
    assert np.isfinite(sampled.logprobs).tolist() == [False, True]
    assert sampled.tokens[1] == 25
