"""The log-mel is that of transformers' feature extractor."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

from asr_api.engines.whisper.logmel import log_mel
from asr_api.pcm import SAMPLE_RATE_HZ
from tests.engines.sounds import sound
from tests.parity.speech import recordings

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize("n_mels", [80, 128])
def test_log_mel(n_mels: int) -> None:
    extractor = WhisperFeatureExtractor(feature_size=n_mels)
    sounds = [sound(seconds, seed) for seed, seconds in enumerate((30.0, 29.99, 0.3))]
    for pcm in (*sounds, *recordings()[:4]):
        ours = log_mel(pcm, n_mels, 3000)
        padded = np.pad(pcm / 32_768.0, (0, 480_000 - len(pcm)))
        np.testing.assert_allclose(ours, extractor._np_extract_fbank_features(padded[None], "cpu")[0], atol=1e-6)
        # Its torch implementation, which it prefers, computes in float32: the difference is between its own two.
        features = extractor(pcm.astype(np.float32) / 32_768, sampling_rate=SAMPLE_RATE_HZ, return_tensors="np")
        np.testing.assert_allclose(ours, features.input_features[0], atol=1e-4)
