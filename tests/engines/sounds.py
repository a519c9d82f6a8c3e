"""Synthetic windows for which random models give different tokens: chirps, hum and noise of varying loudness."""

from __future__ import annotations

import numpy as np

from asr_api.pcm import SAMPLE_RATE_HZ, Pcm


def sound(seconds: float, seed: int) -> Pcm:
    """The same samples for the same arguments on every machine."""
    random = np.random.RandomState(seed)
    time_s = np.arange(int(SAMPLE_RATE_HZ * seconds)) / SAMPLE_RATE_HZ
    start_hz, end_hz = random.uniform(80, 600), random.uniform(300, 4000)
    phase = 2 * np.pi * time_s * (start_hz + (end_hz - start_hz) * time_s / (2 * seconds))
    chirp = np.sin(phase) * (0.5 + 0.5 * np.sin(2 * np.pi * random.uniform(0.3, 4) * time_s + random.uniform(0, 6)))
    hum = sum(np.sin(2 * np.pi * (n + 1) * random.uniform(90, 220) * time_s) / (n + 1) for n in range(4))
    noise = random.standard_normal(len(time_s)) * (0.5 + 0.5 * np.sin(2 * np.pi * random.uniform(0.2, 2) * time_s))
    loudness = random.uniform(0.2, 1, 3)
    mix = loudness[0] * chirp + 0.3 * loudness[1] * hum + 0.3 * loudness[2] * noise
    return np.round(12_000 * mix / 1.6).clip(-32_768, 32_767).astype(np.int16)
