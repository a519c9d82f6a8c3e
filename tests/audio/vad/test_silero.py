"""Silero's model in our graph equals its own file, chunk by chunk, and remembers what came before."""

from __future__ import annotations

import hashlib
import wave
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_api.audio.vad.silero import CHUNK_SAMPLES, CONTEXT_SAMPLES, MODEL, Floats, SileroVad
from asr_api.audio.vad.speech_activity import SPEECH_PROBABILITY
from asr_api.onnx_runtime import load_onnx_runtime
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from tests.product.samples import SAMPLES


def spoken() -> Pcm:
    with wave.open(str(SAMPLES / "hello.wav")) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return whole_chunks(pcm)


def noise(seconds: float, level: float) -> Pcm:
    samples = np.random.default_rng(3).normal(0, level, round(seconds * SAMPLE_RATE_HZ))
    return whole_chunks(np.clip(samples, -32768, 32767).astype(np.int16))


def extremes() -> Pcm:
    return whole_chunks(np.resize(np.array([-32768] * 40 + [32767] * 40, np.int16), SAMPLE_RATE_HZ))


def whole_chunks(pcm: Pcm) -> Pcm:
    return pcm[: len(pcm) // CHUNK_SAMPLES * CHUNK_SAMPLES]


def by_its_own_file(pcm: Pcm) -> Floats:
    session = load_onnx_runtime().InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    context, state = np.zeros(CONTEXT_SAMPLES, np.float32), np.zeros((2, 1, 128), np.float32)
    probabilities = []
    chunks: Floats = (pcm.astype(np.float32) / np.float32(32768)).reshape(-1, CHUNK_SAMPLES)
    for chunk in chunks:
        samples = np.concatenate((context, chunk))
        inputs = {"input": samples[None], "state": state, "sr": np.array(SAMPLE_RATE_HZ, np.int64)}
        probability, state = session.run(None, inputs)
        probabilities.append(probability.item())
        context = chunk[-CONTEXT_SAMPLES:]
    return np.array(probabilities, np.float32)


def test_the_file_is_the_one_that_silero_published() -> None:
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert digest == "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"


@pytest.mark.parametrize(
    "pcm",
    [
        pytest.param(spoken(), id="speech"),
        pytest.param(noise(3.0, 3000), id="noise"),
        pytest.param(noise(2.0, 3), id="dither"),
        pytest.param(extremes(), id="full scale"),
        pytest.param(np.zeros(CHUNK_SAMPLES, np.int16), id="one silent chunk"),
    ],
)
def test_probabilities_are_those_of_its_own_file(pcm: Pcm) -> None:
    probabilities = SileroVad().probabilities(pcm)
    assert probabilities.shape == (len(pcm) // CHUNK_SAMPLES,)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, by_its_own_file(pcm), atol=1e-4)


def test_it_tells_speech_from_noise() -> None:
    assert (SileroVad().probabilities(spoken()) >= SPEECH_PROBABILITY).mean() > 0.5
    assert SileroVad().probabilities(noise(3.0, 3000)).max() < SPEECH_PROBABILITY


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(1, 60), max_size=8))
def test_the_sizes_in_which_pcm_arrives_change_nothing(cuts: set[int]) -> None:
    pcm = spoken()[: 61 * CHUNK_SAMPLES]
    detector = SileroVad()
    edges = [0, *sorted(cut for cut in cuts if cut * CHUNK_SAMPLES < len(pcm)), len(pcm) // CHUNK_SAMPLES]
    parts = [detector.probabilities(pcm[a * CHUNK_SAMPLES : b * CHUNK_SAMPLES]) for a, b in pairwise(edges)]
    np.testing.assert_allclose(np.concatenate(parts), SileroVad().probabilities(pcm), atol=1e-6)


def test_detectors_do_not_share_what_they_remember_and_can_forget_it() -> None:
    pcm, detector, other = spoken(), SileroVad(), SileroVad()
    first = detector.probabilities(pcm)
    assert np.array_equal(other.probabilities(pcm), first)
    assert not np.array_equal(detector.probabilities(pcm), first)
    detector.reset()
    assert np.array_equal(detector.probabilities(pcm), first)
