"""The built-in model gives the same tokens as in transformers, whatever its weights are.

Fifty clips are made of the samples: cut, faster or slower, louder, softer or noisy, one mixed over another. Some of
their speech is outside the domain of the model.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from asr_api.engines.checkpoints.resolve import BUILTIN_FOLDER
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from tests.engines.sounds import sound
from tests.engines.transcribing import AT_ZERO, open_onnx, transcribe
from tests.parity.reference import ReferenceModel, assert_equal
from tests.parity.speech import WINDOW_SAMPLES, recordings

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(not BUILTIN_FOLDER.is_dir(), reason="the built-in model is not in this checkout"),
    pytest.mark.skipif(not recordings(), reason="no recordings of speech on this machine"),
]

NUM_CLIPS = 50
AT_ONCE = 10


def clip(random: np.random.RandomState) -> Pcm:
    length = int(random.uniform(1.5, 30) * SAMPLE_RATE_HZ)
    mix = speech(random, length)
    loudness = np.abs(mix).mean()
    if random.rand() < 0.4:  # another voice in the background
        mix += random.uniform(0.02, 0.4) * speech(random, length)
    if random.rand() < 0.4:
        noise = sound(length / SAMPLE_RATE_HZ + 0.1, random.randint(1000))[:length].astype(np.float64)
        mix += random.uniform(0.01, 0.5) * loudness / np.abs(noise).mean() * noise
    return np.round(random.uniform(0.1, 1.2) * mix).clip(-32_768, 32_767).astype(np.int16)


def speech(random: np.random.RandomState, length: int) -> NDArray[np.float64]:
    """Pieces of the samples one after the other, each at a speed of its own, with pauses between them."""
    samples = recordings()
    parts: list[NDArray[np.float64]] = []
    while sum(map(len, parts)) < length:
        sample = samples[random.randint(len(samples))]
        piece = sample[int(random.uniform(0, 0.5) * len(sample)) :][: WINDOW_SAMPLES // 2]
        times = np.arange(0, len(piece) - 1, random.uniform(0.8, 1.25))
        parts += [np.interp(times, np.arange(len(piece)), piece), np.zeros(random.randint(SAMPLE_RATE_HZ))]
    return np.concatenate(parts)[:length]


def test_fifty_clips() -> None:
    windows = [clip(np.random.RandomState(seed)) for seed in range(NUM_CLIPS)]
    theirs = ReferenceModel(BUILTIN_FOLDER)
    transcripts = transcribe(open_onnx(BUILTIN_FOLDER, n_slots=AT_ONCE), windows)
    for begin in range(0, NUM_CLIPS, AT_ONCE):
        part = slice(begin, begin + AT_ONCE)
        assert_equal(transcripts[part], theirs.generate(windows[part], [AT_ZERO] * AT_ONCE))
    assert len({transcript.tokens for transcript in transcripts}) > NUM_CLIPS / 2


def test_beams() -> None:
    windows = recordings()[:4]
    theirs = ReferenceModel(BUILTIN_FOLDER)
    for beam_size in (2, 5):
        transcripts = transcribe(open_onnx(BUILTIN_FOLDER, beam_size=beam_size), windows)
        assert_equal(transcripts, theirs.generate(windows, [AT_ZERO] * len(windows), beam_size))
