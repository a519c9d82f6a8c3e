"""PCM → Whisper's log-mel, batched in torch, with the augmentations that are cheapest on a power spectrum.

A spectral gain per window (equaliser, band limit, telephone), a warp of the mel axis (longer or shorter vocal tract)
and ripples (sounds of another colour, each for itself) cost little here. Without them the result equals transformers'
WhisperFeatureExtractor.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.clips import SAMPLE_RATE

FFT_SAMPLES, HOP_SAMPLES, N_MELS = 400, 160, 80
N_BINS = FFT_SAMPLES // 2 + 1
LENGTHS = (1.0, 0.84, 0.88, 0.92, 0.96, 1.04, 1.08, 1.12, 1.17)
"""Factors on the frequency axis: vocal tracts of other lengths. The first changes nothing."""
NUM_BENDS = 240
BEND_HZ = (0, 500, 1000, 1800, 2800, 4200, 8000)
NUM_WARPS = len(LENGTHS) + NUM_BENDS
RIPPLE_BANDS, RIPPLE_SAMPLES = 10, 12 * HOP_SAMPLES
"""Knots of the ripples: so many along the mel axis, and one in so many samples."""


def _mel_from_hz(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's scale: linear below 1 kHz, logarithmic above."""
    return np.where(hz < 1000.0, hz * 3 / 200, 15.0 + np.log(np.maximum(hz, 1e-9) / 1000.0) * 27 / np.log(6.4))


def _hz_from_mel(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15.0, mel * 200 / 3, 1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27))


def all_warps() -> NDArray[np.float64]:
    """Factors on the frequency of each bin, (NUM_WARPS, N_BINS); the first row changes nothing.

    Besides tracts of other lengths there are bent ones, in which each formant moves by itself, as between speakers.
    """
    rng = np.random.default_rng(1)
    moves = rng.uniform(-0.13, 0.13, (NUM_BENDS, 1)) + rng.normal(0, 0.06, (NUM_BENDS, len(BEND_HZ)))
    bins = np.linspace(0.0, SAMPLE_RATE / 2, N_BINS)
    bent = [np.exp(np.interp(bins, BEND_HZ, move)) for move in moves]
    return np.stack([*(np.full(N_BINS, length) for length in LENGTHS), *bent])


def mel_filters(warp: NDArray[np.float64] | float = 1.0) -> Tensor:
    """Slaney-normalised triangles, (N_MELS, N_BINS) float32; a warp moves their centres on the frequency axis."""
    edges_mel = np.linspace(0.0, float(_mel_from_hz(np.array(SAMPLE_RATE / 2))), N_MELS + 2)
    edges = _hz_from_mel(edges_mel)
    bins = np.linspace(0.0, SAMPLE_RATE / 2, N_BINS) * warp
    rising = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
    area = 2.0 / (edges[2:] - edges[:-2])
    return torch.from_numpy(np.maximum(0.0, np.minimum(rising, falling)) * area[:, None]).float()


class LogMel:
    """Computes log-mel batches; holds the filters and the analysis window."""

    def __init__(self, device: torch.device) -> None:
        self._filters = torch.stack([mel_filters(warp) for warp in all_warps()]).to(device)
        self._window = torch.hann_window(FFT_SAMPLES, device=device)

    def __call__(
        self, pcm: Tensor, warps: Tensor | None = None, gains: Tensor | None = None, ripples: Tensor | None = None
    ) -> Tensor:
        """Log-mel of windows.

        pcm: (batch, n_samples) float32 in [-1, 1]; warps: (batch,) int64, rows of `all_warps()`;
        gains: (batch, N_BINS) float32, factors on the power; ripples: (batch, RIPPLE_BANDS, n_knots) float32, dB, at
        knots from the first to the last frame. Returns (batch, N_MELS, n_frames) float32.
        """
        spectrum = torch.stft(pcm, FFT_SAMPLES, HOP_SAMPLES, window=self._window, return_complex=True)
        power = torch.view_as_real(spectrum[..., :-1]).square().sum(-1)  # (batch, N_BINS, n_frames)
        if gains is not None:
            power = power * gains[:, :, None]
        filters = self._filters[0] if warps is None else self._filters[warps]
        log_mel = (filters @ power).clamp(min=1e-10).log10()
        if ripples is not None:
            gains_db = functional.interpolate(ripples[:, None], log_mel.shape[1:], mode="bilinear", align_corners=True)
            log_mel = log_mel + gains_db[:, 0] / 10
        floor = log_mel.amax(dim=(1, 2), keepdim=True) - 8.0
        return (torch.maximum(log_mel, floor) + 4.0) / 4.0
