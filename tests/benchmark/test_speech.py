"""Clips of a benchmark: equal lengths, in order and without gaps, as WAV files."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np

from asr_api.benchmark.speech import MINUTE, PAUSE_SAMPLES, cut_clips
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm
from tests.engines.scripted import number_pcm


def read_wav(data: bytes) -> Pcm:
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE_HZ, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def test_clips_are_the_repeated_recording_in_order() -> None:
    recording = number_pcm(range(1, 40))
    clips = [read_wav(clip) for clip in cut_clips(recording, 7, 9.5)]
    assert {len(clip) for clip in clips} == {round(9.5 * SAMPLE_RATE_HZ)}
    with_pause = np.concatenate([recording, np.zeros(PAUSE_SAMPLES, np.int16)])
    joined = np.concatenate(clips)
    assert np.array_equal(joined, np.resize(with_pause, len(joined)))


def test_the_recording_of_the_package_is_a_sample() -> None:
    assert MINUTE.read_bytes() == (Path(__file__).parents[2] / "samples" / "minute.mp3").read_bytes()
