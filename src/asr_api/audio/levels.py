"""Levels of PCM: frames of 10 ms in dB of full scale, the level of speech, and digital silence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asr_api.pcm import SAMPLES_PER_MS, Pcm

FRAME_SAMPLES = 10 * SAMPLES_PER_MS
SILENT_PEAK_TO_PEAK = 32  # of 65,536: a peak of -66 dBFS around any offset


def frame_levels_db(pcm: Pcm, frame_samples: int = FRAME_SAMPLES) -> NDArray[np.float64]:
    """(n_frames,) RMS of each whole frame, dB of full scale, at least -100; a constant offset is ignored."""
    n_frames = len(pcm) // frame_samples
    frames = pcm[: n_frames * frame_samples].reshape(n_frames, frame_samples).astype(np.float64)
    sums, squares = frames.sum(axis=1), np.einsum("ij,ij->i", frames, frames)  # exact: integers below 2^53
    power = (squares - sums**2 / frame_samples) / (frame_samples * 32768**2)
    level_db: NDArray[np.float64] = 10 * np.log10(np.maximum(power, 1e-10))
    return level_db


def speech_level_db(level_db: NDArray[np.float64]) -> float:
    """The level of the louder frames; the mean power counts where speech is rare, and a single click hardly does."""
    mean_power_db = 10 * np.log10(np.mean(10 ** (level_db / 10)))
    return float(max(np.percentile(level_db, 90), mean_power_db))


def is_silent(pcm: Pcm) -> bool:
    """Whether the PCM is digital silence, dither or a constant offset. Whispered speech is not silent."""
    return len(pcm) == 0 or int(pcm.max()) - int(pcm.min()) <= SILENT_PEAK_TO_PEAK
