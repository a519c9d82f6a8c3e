from __future__ import annotations

import json

import numpy as np
import pytest

from asr_api.engines.whisper.logmel import log_mel
from tests.engines.golden_tokens import GOLDEN
from tests.engines.sounds import sound


@pytest.mark.parametrize("n_mels", [80, 128])
def test_columns_equal_transformers(n_mels: int) -> None:
    golden = json.loads((GOLDEN / "log_mel.json").read_text(encoding="utf-8"))[str(n_mels)]
    ours = log_mel(sound(1.5, 0), n_mels, 300)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours[:, golden["columns"]], golden["log_mel"], atol=1e-4)


@pytest.mark.parametrize("num_samples", [0, 1, 159, 160, 399, 400, 47_799, 47_800, 47_999, 48_000, 50_000])
def test_padding_is_silence(num_samples: int) -> None:
    pcm = sound(4, 1)[:num_samples]
    padded = np.zeros(48_000, np.int16)
    padded[: len(pcm)] = pcm[:48_000]
    np.testing.assert_array_equal(log_mel(pcm, 80, 300), log_mel(padded, 80, 300))


def test_dynamic_range_and_silence() -> None:
    mel = log_mel(sound(3, 2), 80, 300)
    assert mel.max() - mel.min() == pytest.approx(2.0, abs=1e-6)
    silence = log_mel(np.zeros(48_000, np.int16), 80, 300)
    assert np.unique(silence).tolist() == [-1.5]  # log10(1e-10), shifted and scaled
