"""Log-mel spectrogram of one window: 80 or 128 mel bands, one column per 10 ms, equal to OpenAI's to 1e-4.

The mel filters are computed here (Slaney's scale and normalisation), not downloaded.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from asr_api.pcm import SAMPLE_RATE_HZ, Pcm

LogMel = NDArray[np.float32]  # (n_mels, n_frames)

HOP_SAMPLES = 160
FRAME_SAMPLES = 400
N_BINS = FRAME_SAMPLES // 2 + 1
INT16_RANGE = 32768.0
BLOCK_FRAMES = 128  # transformed at once; the block stays in the processor's cache
FLOOR = 1e-10
LOG_FLOOR = -10.0
DYNAMIC_RANGE = 8.0  # decades below the loudest value of the window
# Slaney's mel scale: linear up to 1 kHz, then 27 steps for each factor of 6.4.
LINEAR_HZ_PER_MEL = 200 / 3
LOG_START_HZ = 1000.0
LOG_START_MEL = LOG_START_HZ / LINEAR_HZ_PER_MEL
LOG_STEP = np.log(6.4) / 27


def log_mel(pcm: Pcm, n_mels: int, n_frames: int) -> LogMel:
    """pcm: cut or padded with zeros to n_frames * 160 samples. The largest value exceeds the smallest by at most 2."""
    # Frame i is centred on sample 160 i. Frames wholly in the padding are exactly silent, so only the frames before
    # them are transformed: a 3 s clip costs a tenth of a window. Blocks have a fixed size, so that a sum never depends
    # on the number of frames.
    audio = pcm[: n_frames * HOP_SAMPLES]
    half = FRAME_SAMPLES // 2
    num_frames = min(n_frames, -(-(len(audio) + half) // HOP_SAMPLES))
    signal = np.zeros(n_frames * HOP_SAMPLES + FRAME_SAMPLES)  # mirrored at both ends
    np.multiply(audio, 1 / INT16_RANGE, out=signal[half : half + len(audio)])
    signal[:half] = signal[2 * half : half : -1]
    signal[-half:] = signal[-half - 2 : -2 * half - 2 : -1]
    frames = np.lib.stride_tricks.sliding_window_view(signal, FRAME_SAMPLES)[: n_frames * HOP_SAMPLES : HOP_SAMPLES]
    filters = mel_filters(n_mels).astype(np.float32)
    mel = np.full((n_mels, n_frames), FLOOR, np.float32)
    for start in range(0, num_frames, BLOCK_FRAMES):
        spectrum = np.fft.rfft(frames[start : start + BLOCK_FRAMES] * hann())  # (block, n_bins)
        # The sum of squares is precise enough in float32. The transform is not: a loud sound would drown quiet bands.
        power = (np.square(spectrum.real) + np.square(spectrum.imag)).astype(np.float32)
        np.matmul(filters, power.T, out=mel[:, start : start + len(power)])
    np.log10(np.maximum(mel, np.float32(FLOOR), out=mel), out=mel)
    np.maximum(mel, max(mel.max() - DYNAMIC_RANGE, LOG_FLOOR), out=mel)
    mel += np.float32(4.0)
    mel /= np.float32(4.0)
    return mel


@lru_cache
def hann() -> NDArray[np.float64]:
    """Periodic, not symmetric: the last sample is not zero."""
    phase = 2 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES
    return 0.5 - 0.5 * np.cos(phase)


@lru_cache
def mel_filters(n_mels: int) -> NDArray[np.float64]:
    """Triangles of equal area, (n_mels, n_bins), between 0 Hz and half the sample rate."""
    top_mel = LOG_START_MEL + np.log(SAMPLE_RATE_HZ / 2 / LOG_START_HZ) / LOG_STEP
    mels = np.linspace(0, top_mel, n_mels + 2)
    edges_hz = np.where(
        mels < LOG_START_MEL,
        mels * LINEAR_HZ_PER_MEL,
        LOG_START_HZ * np.exp(LOG_STEP * (np.maximum(mels, LOG_START_MEL) - LOG_START_MEL)),
    )
    bins_hz = np.linspace(0, SAMPLE_RATE_HZ / 2, N_BINS)
    widths_hz = np.diff(edges_hz)
    rising = (bins_hz - edges_hz[:-2, None]) / widths_hz[:-1, None]
    falling = (edges_hz[2:, None] - bins_hz) / widths_hz[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return triangles * (2 / (edges_hz[2:] - edges_hz[:-2]))[:, None]
