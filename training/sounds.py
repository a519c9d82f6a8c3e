"""Sounds without speech, and what rooms and telephones do to speech; all drawn from a seeded generator.

In go generators and waves, out come float32 waves of the same length. Knows nothing about text.
"""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from training.clips import SAMPLE_RATE

Wave = NDArray[np.float32]
MU = 255.0


def _numpy_rng(rng: random.Random) -> np.random.Generator:
    return np.random.default_rng(rng.getrandbits(48))


def coloured_noise(rng: random.Random, n_samples: int) -> Wave:
    """White, pink, brown or band-passed noise with an RMS of 1."""
    white = _numpy_rng(rng).standard_normal(n_samples, dtype=np.float32)
    kind = rng.choice(("white", "pink", "pink", "brown", "band"))
    if kind == "white":
        return white
    spectrum = np.fft.rfft(white)
    hz = np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE) + 20.0
    if kind == "band":
        low = rng.uniform(50, 3000)
        spectrum = spectrum * ((hz > low) & (hz < low * rng.uniform(1.3, 4)))
    else:
        spectrum = spectrum / hz ** (0.5 if kind == "pink" else 1.0)
    noise = np.fft.irfft(spectrum, n_samples).astype(np.float32)
    return noise / (np.sqrt((noise**2).mean()) + 1e-9)


def hum(rng: random.Random, n_samples: int) -> Wave:
    """Mains hum with overtones."""
    time = np.arange(n_samples, dtype=np.float32) / SAMPLE_RATE
    base = rng.choice((50.0, 60.0, 100.0, 120.0))
    tones = [np.sin(2 * np.pi * base * k * time) * rng.uniform(0, 1) / k for k in range(1, 7)]
    return np.sum(tones, axis=0).astype(np.float32)


def tones(rng: random.Random, n_samples: int) -> Wave:
    """Steady, gliding or played tones: beeps, dial tones, simple tunes."""
    out, at = np.zeros(n_samples, np.float32), 0
    n_overtones, is_tune, chord = rng.randint(1, 5), rng.random() < 0.6, rng.randint(1, 3)
    while at < n_samples:
        length = min(n_samples - at, int(rng.uniform(0.1, 1.2) * SAMPLE_RATE) if is_tune else n_samples)
        time = np.arange(length, dtype=np.float32) / SAMPLE_RATE
        for _ in range(chord):
            base = 110 * 2 ** (rng.randint(0, 40) / 12)
            glide = rng.uniform(-200, 200) if rng.random() < 0.2 else 0.0
            phase = 2 * np.pi * (base * time + glide * time**2 / 2)
            for k in range(1, n_overtones + 1):
                out[at : at + length] += np.sin(k * phase) * np.exp(-time * rng.uniform(0, 4)) / k
        at += length + (int(rng.uniform(0, 0.6) * SAMPLE_RATE) if rng.random() < 0.5 else 0)
    return out


def clicks(rng: random.Random, n_samples: int) -> Wave:
    """Clicks, knocks and short bursts."""
    out = np.zeros(n_samples, np.float32)
    generator = _numpy_rng(rng)
    for _ in range(rng.randint(1, 60)):
        length = min(n_samples, rng.choice((1, 8, 80, 800)))
        at = rng.randrange(n_samples - length + 1)
        out[at : at + length] += generator.standard_normal(length) * rng.uniform(0.1, 1)
    return out


def no_speech(rng: random.Random, n_samples: int) -> Wave:
    """A window in which nobody speaks: silence, noise, hum, tones, clicks or a mixture, at any level."""
    kinds = (coloured_noise, coloured_noise, hum, tones, tones, clicks)
    wave = np.zeros(n_samples, np.float32)
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        part = rng.choice(kinds)(rng, n_samples)
        wave += part / (np.abs(part).max() + 1e-9) * 10 ** (rng.uniform(-55, 0) / 20)
    if rng.random() < 0.3 and n_samples > SAMPLE_RATE:
        edge = rng.randrange(n_samples)
        wave[edge:] = 0
    return np.clip(wave, -1, 1).astype(np.float32)


def with_noise(rng: random.Random, wave: Wave, snr_db: float) -> Wave:
    """The wave with noise or a sound under it; the ratio is that of the loud parts of the wave to the noise."""
    kind = rng.choices((coloured_noise, hum, tones), weights=(8, 1, 1))[0]
    noise = kind(rng, len(wave))
    noise = noise / (np.sqrt((noise**2).mean()) + 1e-9)
    active = wave[np.abs(wave) > 0.02 * (np.abs(wave).max() + 1e-9)]
    level = np.sqrt((active**2).mean()) if len(active) else 0.05
    return (wave + noise * level * 10 ** (-snr_db / 20)).astype(np.float32)


def in_room(rng: random.Random, wave: Wave) -> Wave:
    """The wave with a short reverberation: a decaying noise as the room's answer."""
    length = int(rng.uniform(0.03, 0.25) * SAMPLE_RATE)
    decay = np.exp(-np.arange(length) / (length / rng.uniform(3, 7)))
    answer = _numpy_rng(rng).standard_normal(length) * decay * rng.uniform(0.02, 0.12)
    answer[0] = 1.0
    size = 1 << (len(wave) + length - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(answer, size), size)[: len(wave)]
    return wet.astype(np.float32)


def over_telephone(wave: Wave) -> Wave:
    """8-bit mu-law and back; the band limit is applied on the spectrum (see `spectral_gain`)."""
    clipped = np.clip(wave, -1, 1)
    coded = np.sign(clipped) * np.log1p(MU * np.abs(clipped)) / np.log1p(MU)
    coded = np.round(coded * 127) / 127
    return (np.sign(coded) * np.expm1(np.abs(coded) * np.log1p(MU)) / MU).astype(np.float32)


def spectral_gain(rng: random.Random, n_bins: int, is_telephone: bool) -> NDArray[np.float32]:
    """A random equaliser with band limits as factors on the power spectrum, (n_bins,) float32."""
    hz = np.linspace(0, SAMPLE_RATE / 2, n_bins)
    knots = np.array([0, 200, 500, 1000, 2000, 4000, 8000])
    gain_db = np.interp(hz, knots, [rng.uniform(-7, 7) for _ in knots])
    low, high = (300.0, 3400.0) if is_telephone else (rng.choice((0, 0, 80, 200)), rng.choice((8000, 8000, 6000, 4000)))
    gain_db -= 0.05 * np.maximum(0, low - hz) + 0.05 * np.maximum(0, hz - high)
    return (10 ** (np.maximum(gain_db, -60) / 10)).astype(np.float32)


def spectral_holes(rng: random.Random, n_bins: int, max_holes: int) -> NDArray[np.float32]:
    """Up to so many bands in which little is left, as factors on the power spectrum, (n_bins,) float32.

    A model that must do without them leans on no single band, and so understands voices that it never heard.
    """
    pitch = np.log2(1 + np.linspace(0, SAMPLE_RATE / 2, n_bins) / 700)  # about as the ear spaces it
    gain_db = np.zeros(n_bins)
    for _ in range(rng.randint(0, max_holes)):
        middle, width = rng.uniform(0, pitch[-1]), rng.uniform(0.05, 0.2) * pitch[-1]
        gain_db -= rng.uniform(6, 30) * (np.abs(pitch - middle) < width / 2)
    return (10 ** (gain_db / 10)).astype(np.float32)


def ripples(rng: random.Random, n_bands: int, n_knots: int, max_db: float) -> NDArray[np.float32]:
    """Gains in dB at knots over bands and time, (n_bands, n_knots) float32, with a deviation of up to `max_db`.

    Equalisers and vocal tracts change all sounds of a speaker alike; here every sound changes for itself, as one
    speaker's "the" is softer than another's, or buzzes.
    """
    if not max_db:
        return np.zeros((n_bands, n_knots), np.float32)
    return rng.uniform(0, max_db) * _numpy_rng(rng).standard_normal((n_bands, n_knots), dtype=np.float32)
