"""Real speech to compare on: the samples of the repository, and a folder named by ASR_API_PARITY_AUDIO.

Read with PyAV, cut to windows of at most 30 s. Without any of them the list is empty.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import av
import numpy as np

from asr_api.pcm import SAMPLE_RATE_HZ, Pcm

SAMPLES = Path(__file__).parent.parent.parent / "samples"
EXTRA = os.environ.get("ASR_API_PARITY_AUDIO", "")
WINDOW_SAMPLES = 30 * SAMPLE_RATE_HZ


@lru_cache
def recordings() -> list[Pcm]:
    folders = [folder for folder in (SAMPLES, Path(EXTRA) if EXTRA else SAMPLES) if folder.is_dir()]
    suffixes = {".wav", ".flac", ".ogg", ".mp3", ".opus", ".webm", ".m4a", ".mp4", ".aiff"}
    paths = sorted({path for folder in folders for path in folder.iterdir() if path.suffix in suffixes})
    return [_decode(path)[:WINDOW_SAMPLES] for path in paths]


def _decode(path: Path) -> Pcm:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    with av.open(str(path)) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.int16)
