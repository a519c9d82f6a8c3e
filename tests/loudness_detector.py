"""A speech detector without a model, for tests with the scripted engine: what is loud is speech."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asr_api.audio.vad.speech_activity import CHUNK_SAMPLES
from asr_api.pcm import Pcm
from tests.engines.scripted import LEVEL


class LoudnessDetector:
    def probabilities(self, pcm: Pcm) -> NDArray[np.float32]:
        """1 for a chunk that is loud for half of its length."""
        is_loud = np.abs(pcm.astype(np.int32)).reshape(-1, CHUNK_SAMPLES) >= LEVEL // 2
        return (is_loud.mean(axis=1) >= 0.5).astype(np.float32)
