"""Speech activities of given probabilities, for tests: noise that is quiet, and what a second look at it finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asr_api.audio.vad.speech_activity import CHUNK_MS, CHUNK_SAMPLES, Floats, SpeechActivity
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm

QUIET, LOUD = 100, 3_000  # levels of noise: 20 dB below that of speech, and above it
SPEECH, PAUSE = 0.9, 0.01


@dataclass
class ConstantDetector:
    """The same probability for every chunk; the last PCM that it was given."""

    probability: float
    pcm: Pcm | None = None

    def probabilities(self, pcm: Pcm) -> Floats:
        self.pcm = pcm
        return np.full(len(pcm) // CHUNK_SAMPLES, self.probability, np.float32)


def noise(seconds: float, level: float) -> Pcm:
    samples = np.random.default_rng(1).normal(0, level, round(seconds * SAMPLE_RATE_HZ))
    return np.clip(samples, -32768, 32767).astype(np.int16)


def activity(*parts: tuple[float, float], amplified: float = 0.0, level: float = QUIET) -> SpeechActivity:
    """parts: (probability, seconds), …; amplified: the probability of any stretch at a standard level"""
    edges_s = np.cumsum([0.0, *(seconds for _, seconds in parts)])
    pcm = noise(float(edges_s[-1]), level)
    middles_s = (np.arange(-(-len(pcm) // CHUNK_SAMPLES)) + 0.5) * CHUNK_MS / 1000
    numbers = np.clip(np.searchsorted(edges_s, middles_s, side="right") - 1, 0, len(parts) - 1)
    probabilities = np.array([probability for probability, _ in parts], np.float32)[numbers]
    return SpeechActivity(pcm, probabilities, lambda: ConstantDetector(amplified))
