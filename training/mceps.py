"""Mel-cepstra, the spectra of flite's voices: of a recording, as curves, and as filters.

A mel-cepstrum is the logarithm of a spectrum, so a voice with another one is the same voice through a filter that
changes every 5 ms. Knows nothing about voices.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from training.clips import FRAME_SAMPLES, Pcm

NUM_MCEPS = 25
WARPING = 0.42
"""Of the frequency axis at 16 kHz, as flite's voices have it."""
NUM_OVERLAPPED = 6
WINDOW_SAMPLES = NUM_OVERLAPPED * FRAME_SAMPLES
FIRST_MIDDLE = NUM_OVERLAPPED // 2 - 1
"""The window whose middle is in frame 0."""
HANN = np.hanning(WINDOW_SAMPLES + 1)[:-1].astype(np.float32)
MOST_NEPERS = 2.8
"""As much as a filter may raise or lower a frequency."""
QUIETEST = 1e-3

Mceps = NDArray[np.float32]
"""(n, NUM_MCEPS)."""
Curves = NDArray[np.float32]
"""(n_frames, n_bins)."""
Wave = NDArray[np.float32]


@cache
def angles() -> NDArray[np.float32]:
    """Where each bin lies on the axis of mel-cepstra, 0 to pi, (n_bins,)."""
    bins = np.linspace(0, np.pi, WINDOW_SAMPLES // 2 + 1)
    return (bins + 2 * np.arctan(WARPING * np.sin(bins) / (1 - WARPING * np.cos(bins)))).astype(np.float32)


def shapes(at: NDArray[np.float32]) -> Mceps:
    """What each coefficient adds to the logarithm of a spectrum at some angles, (NUM_MCEPS, n_angles)."""
    return np.cos(np.arange(NUM_MCEPS, dtype=np.float32)[:, None] * at)


def framed(wave: Wave) -> NDArray[np.float32]:
    """Overlapping windows a frame apart, (n_samples // FRAME_SAMPLES + NUM_OVERLAPPED, WINDOW_SAMPLES)."""
    num_windows = len(wave) // FRAME_SAMPLES + NUM_OVERLAPPED
    windows = sliding_window_view(np.pad(wave, WINDOW_SAMPLES), WINDOW_SAMPLES)
    return (windows[::FRAME_SAMPLES][1 : num_windows + 1] * HANN).astype(np.float32)


def mceps_of(pcm: Pcm) -> Mceps:
    """Of each whole frame of a recording, those that fit best."""
    wave = (pcm / np.float32(32768)).astype(np.float32)
    levels = np.log(np.maximum(np.abs(np.fft.rfft(framed(wave))), QUIETEST))
    fitted = levels[FIRST_MIDDLE:][: len(pcm) // FRAME_SAMPLES] @ np.linalg.pinv(shapes(angles()))
    return fitted.astype(np.float32)


def filtered(wave: Wave, nepers: Curves) -> Wave:
    """A wave whose bins are raised by these every frame, by overlap-add; the last row goes on to the end."""
    windows = framed(wave)
    gains = np.exp(np.clip(nepers, -MOST_NEPERS, MOST_NEPERS))
    rows = np.clip(np.arange(len(windows)) - FIRST_MIDDLE, 0, len(gains) - 1)
    parts = np.fft.irfft(np.fft.rfft(windows) * gains[rows]).reshape(len(windows), NUM_OVERLAPPED, FRAME_SAMPLES)
    out = np.zeros((len(windows) + NUM_OVERLAPPED, FRAME_SAMPLES))
    for number in range(NUM_OVERLAPPED):
        out[number + 1 : number + 1 + len(windows)] += parts[:, number]
    return (out.ravel()[WINDOW_SAMPLES:][: len(wave)] / HANN[::FRAME_SAMPLES].sum()).astype(np.float32)
