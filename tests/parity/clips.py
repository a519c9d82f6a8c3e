"""Fifty clips made of the samples: cut, faster or slower, louder, softer or noisy, one mixed over another.

Made by a stable generator; speech inside and outside the domain of the built-in model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from tests.engines.sounds import sound
from tests.parity.speech import WINDOW_SAMPLES, recordings

NUM_CLIPS = 50


def clips() -> list[Pcm]:
    return [_clip(np.random.RandomState(seed)) for seed in range(NUM_CLIPS)]


def _clip(random: np.random.RandomState) -> Pcm:
    length = int(random.uniform(1.5, 30) * SAMPLE_RATE_HZ)
    mix = _speech(random, length)
    loudness = np.abs(mix).mean()
    if random.rand() < 0.4:  # another voice in the background
        mix += random.uniform(0.02, 0.4) * _speech(random, length)
    if random.rand() < 0.4:
        noise = sound(length / SAMPLE_RATE_HZ + 0.1, random.randint(1000))[:length].astype(np.float64)
        mix += random.uniform(0.01, 0.5) * loudness / np.abs(noise).mean() * noise
    return np.round(random.uniform(0.1, 1.2) * mix).clip(-32_768, 32_767).astype(np.int16)


def _speech(random: np.random.RandomState, length: int) -> NDArray[np.float64]:
    """Pieces of the samples one after the other, each at a speed of its own, with pauses between them."""
    samples = recordings()
    parts: list[NDArray[np.float64]] = []
    while sum(map(len, parts)) < length:
        sample = samples[random.randint(len(samples))]
        piece = sample[int(random.uniform(0, 0.5) * len(sample)) :][: WINDOW_SAMPLES // 2]
        times = np.arange(0, len(piece) - 1, random.uniform(0.8, 1.25))
        parts += [np.interp(times, np.arange(len(piece)), piece), np.zeros(random.randint(SAMPLE_RATE_HZ))]
    return np.concatenate(parts)[:length]
