"""Token for token what transformers' greedy generate says, on checkpoints of every true shape, in mixed batches.

The weights are random, so the texts are nonsense; the shapes, the vocabularies and the 30 s windows are the real ones.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from asr_api.engines.checkpoint import BUILTIN_FOLDER
from asr_api.engines.protocol import Pcm
from asr_api.options import TranscribeOptions
from tests.engines.checkpoints import TINY, Shape, write_checkpoint
from tests.engines.listening import listen, open_onnx
from tests.engines.sounds import sound
from tests.parity.reference import ReferenceModel
from tests.parity.speech import recordings

pytestmark = [
    pytest.mark.parity,
    # torch and transformers warn about themselves.
    pytest.mark.filterwarnings("default"),
]

# True to the originals in vocabulary, window and form; only as deep and wide as a test can wait for.
NARROW = dataclasses.replace(TINY, n_state=192, n_head=3, n_text_ctx=160)
SHAPES = {
    "tiny": TINY,
    "tiny.en": dataclasses.replace(NARROW, n_text_tokens=50256, is_multilingual=False),
    "large-v3": dataclasses.replace(NARROW, n_mels=128, num_languages=100),
    "turbo": dataclasses.replace(NARROW, n_mels=128, num_languages=100, n_audio_layer=8, n_text_layer=4),
    "distil": dataclasses.replace(NARROW, n_audio_layer=6, n_text_layer=2),
    "sharded float16": dataclasses.replace(NARROW, dtype="float16", num_shards=3),
    "bfloat16": dataclasses.replace(NARROW, dtype="bfloat16"),
}
SECONDS = (30.0, 4.2, 29.99, 0.3)


@pytest.fixture(scope="module", params=SHAPES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    shape: Shape = SHAPES[request.param]
    return write_checkpoint(tmp_path_factory.mktemp("parity") / request.param, shape, seed=5)


def assert_same_tokens(folder: Path, windows: list[Pcm], options: TranscribeOptions) -> None:
    heard = listen(open_onnx(folder, num_threads=0), windows, options)
    for ours, theirs in zip(heard, ReferenceModel(folder).listen(windows, options), strict=True):
        assert ours.prompt == theirs.prompt
        assert ours.tokens == theirs.tokens
    assert len({each.tokens for each in heard}) == len(windows)  # equality means something: they differ


def test_sounds_with_the_language_detected(folder: Path) -> None:
    assert_same_tokens(folder, [sound(seconds, seed) for seed, seconds in enumerate(SECONDS)], TranscribeOptions())


def test_sounds_with_the_language_given(folder: Path) -> None:
    is_english = "en" in folder.name
    options = TranscribeOptions() if is_english else TranscribeOptions(task="translate", language="fr")
    assert_same_tokens(folder, [sound(30, 7), sound(8, 8)], options)


@pytest.mark.skipif(not recordings(), reason="no recordings of speech on this machine")
def test_speech(folder: Path) -> None:
    assert_same_tokens(folder, recordings()[:3], TranscribeOptions())


@pytest.mark.skipif(not BUILTIN_FOLDER.is_dir(), reason="the built-in model is not in this checkout")
def test_the_built_in_model_says_the_same_to_speech_and_sounds() -> None:
    windows = [*recordings(), *(sound(seconds, seed) for seed, seconds in enumerate(SECONDS))]
    heard = listen(open_onnx(BUILTIN_FOLDER, slots=8), windows)
    expected = ReferenceModel(BUILTIN_FOLDER).listen(windows, TranscribeOptions())
    assert [each.tokens for each in heard] == [each.tokens for each in expected]


@pytest.mark.parametrize("n_mels", [80, 128])
def test_log_mel_is_that_of_the_extractor(n_mels: int) -> None:
    from transformers import WhisperFeatureExtractor

    from asr_api.engines.whisper.logmel import log_mel

    extractor = WhisperFeatureExtractor(feature_size=n_mels)
    for pcm in (*(sound(seconds, seed) for seed, seconds in enumerate(SECONDS)), *recordings()):
        padded = np.pad(pcm / 32_768.0, (0, 480_000 - len(pcm)))
        exact = extractor._np_extract_fbank_features(padded[None], "cpu")[0]
        np.testing.assert_allclose(log_mel(pcm, n_mels, 3000), exact, atol=1e-5)
        # Its torch twin, which it prefers, computes in float32 and differs from it by as much.
        features = extractor(pcm.astype(np.float32) / 32_768, sampling_rate=16_000, return_tensors="np")
        np.testing.assert_allclose(log_mel(pcm, n_mels, 3000), features.input_features[0], atol=3e-4)
