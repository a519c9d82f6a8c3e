"""Real speech to compare on: the samples of the repository, cut to windows of at most 30 s; none where they are not."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import av
import numpy as np

from asr_api.pcm import SAMPLE_RATE_HZ, Pcm

SAMPLES = Path(__file__).parent.parent.parent / "samples"
WINDOW_SAMPLES = 30 * SAMPLE_RATE_HZ


@lru_cache
def recordings() -> list[Pcm]:
    suffixes = {".wav", ".flac", ".ogg", ".mp3", ".opus", ".webm", ".m4a", ".mp4", ".aiff"}
    return [_decode(path)[:WINDOW_SAMPLES] for path in sorted(SAMPLES.glob("*")) if path.suffix in suffixes]


def _decode(path: Path) -> Pcm:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    with av.open(str(path)) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.int16)
