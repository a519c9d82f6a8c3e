"""A WAV recording of any length: the samples of the repository one after the other, repeated."""

from __future__ import annotations

import wave
from itertools import cycle
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
SAMPLES = Path(__file__).parents[2] / "samples"


def write_recording(path: Path, duration_s: int) -> Path:
    num_missing = duration_s * SAMPLE_RATE_HZ
    parts = []
    clips = [pcm(clip) for clip in sorted(SAMPLES.iterdir()) if clip.suffix != ".tsv"]
    for clip in cycle(clips):
        parts.append(clip[:num_missing])
        num_missing -= len(parts[-1])
        if not num_missing:
            break
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes(np.concatenate(parts).tobytes())
    return path


def pcm(path: Path) -> NDArray[np.int16]:
    resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE_HZ)
    with av.open(str(path)) as container:
        frames = [*container.decode(audio=0), None]
        return np.concatenate([part.to_ndarray()[0] for frame in frames for part in resampler.resample(frame)])


def length_s(path: Path) -> float:
    with av.open(str(path)) as container:
        return (container.duration or 0) / av.time_base
