"""Sounds in which nobody speaks, of any length and level: noise, hum, tones, clicks, breath and chords."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from asr_api.pcm import SAMPLE_RATE_HZ, Pcm

Samples = NDArray[np.float64]


def noise(kind: str, length_s: float, level_db: float) -> Pcm:
    """The same samples for the same arguments on every machine. level_db: RMS, of full scale"""
    random = np.random.default_rng(len(kind))
    times_s = np.arange(round(length_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    samples = KINDS[kind](random, times_s)
    level = 10 ** (level_db / 20) * 32768
    return np.clip(samples * (level / np.sqrt(np.mean(samples**2))), -32768, 32767).astype(np.int16)


def _coloured(slope: float) -> Callable[[np.random.Generator, Samples], Samples]:
    """Noise whose amplitude falls with the frequency to the power of `slope`."""

    def samples(random: np.random.Generator, times_s: Samples) -> Samples:
        spectrum = np.fft.rfft(random.standard_normal(len(times_s)))
        frequencies = np.maximum(np.fft.rfftfreq(len(times_s)), 20 / SAMPLE_RATE_HZ)
        return np.fft.irfft(spectrum / frequencies**slope, len(times_s))

    return samples


def _hum(random: np.random.Generator, times_s: Samples) -> Samples:
    harmonics = (np.sin(2 * np.pi * 50 * n * times_s) / n for n in range(1, 7))
    return np.sum(list(harmonics), axis=0) + 0.01 * random.standard_normal(len(times_s))


def _tones(random: np.random.Generator, times_s: Samples) -> Samples:
    """Another tone each second."""
    pitches_hz = random.choice([300, 440, 600, 880, 1500], len(times_s) // SAMPLE_RATE_HZ + 1)
    return np.sin(2 * np.pi * pitches_hz[times_s.astype(int)] * times_s)


def _clicks(random: np.random.Generator, times_s: Samples) -> Samples:
    samples = 0.001 * random.standard_normal(len(times_s))
    samples[random.integers(0, len(times_s), len(times_s) // 8000)] += 1
    return samples


def _breath(random: np.random.Generator, times_s: Samples) -> Samples:
    return _coloured(0.5)(random, times_s) * np.maximum(0, np.sin(2 * np.pi * times_s / 4)) ** 3


def _chords(random: np.random.Generator, times_s: Samples) -> Samples:
    notes_hz = 220 * 2 ** (random.choice([0, 4, 7, 9, 12], (len(times_s) // SAMPLE_RATE_HZ + 1, 3)) / 12)
    decay = np.exp(-3 * (times_s % 1))
    return np.sum([np.sin(2 * np.pi * notes_hz[times_s.astype(int), n] * times_s) for n in range(3)], axis=0) * decay


KINDS = {
    "white": _coloured(0),
    "pink": _coloured(0.5),
    "brown": _coloured(1),
    "hum": _hum,
    "tones": _tones,
    "clicks": _clicks,
    "breath": _breath,
    "chords": _chords,
}
