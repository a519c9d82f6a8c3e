"""Levels: decibels of known signals, the level of speech among pauses and clicks, and digital silence."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from asr_api.audio.levels import FRAME_SAMPLES, frame_levels_db, is_silent, speech_level_db
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm


def noise(seconds: float, level: float) -> Pcm:
    return np.random.default_rng(1).normal(0, level, round(seconds * SAMPLE_RATE_HZ)).astype(np.int16)


def square(amplitude: int) -> Pcm:
    """Its level is that of its amplitude."""
    return np.resize(np.array([amplitude, -amplitude], np.int16), 10 * FRAME_SAMPLES)


@pytest.mark.parametrize(("amplitude", "level_db"), [(32767, 0.0), (16384, -6.02), (328, -40.0), (0, -100.0)])
def test_levels_are_decibels_of_full_scale(amplitude: int, level_db: float) -> None:
    assert frame_levels_db(square(amplitude)) == pytest.approx(np.full(10, level_db), abs=0.01)


def test_a_constant_offset_is_ignored_even_at_the_extremes() -> None:
    assert frame_levels_db(np.full(FRAME_SAMPLES, -32768, np.int16)).tolist() == [-100.0]
    assert frame_levels_db(square(328) + np.int16(9000)) == pytest.approx(frame_levels_db(square(328)))
    extremes = np.resize(np.array([-32768, 32767], np.int16), FRAME_SAMPLES)
    assert frame_levels_db(extremes) == pytest.approx([0.0], abs=0.001)


@pytest.mark.parametrize(("length", "n_frames"), [(0, 0), (1, 0), (159, 0), (160, 1), (161, 1), (512, 3)])
def test_only_whole_frames_count(length: int, n_frames: int) -> None:
    assert frame_levels_db(np.ones(length, np.int16)).shape == (n_frames,)


def test_the_level_of_speech_is_that_of_its_louder_frames() -> None:
    quiet = np.full(90, -70.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert speech_level_db(np.concatenate((np.full(30, -30.0), quiet))) == pytest.approx(-30, abs=0.5)
    rare = speech_level_db(np.concatenate((np.full(3, -30.0), quiet)))
    assert -47 < rare < -43  # the mean power: speech is there
    click = speech_level_db(np.concatenate((np.full(1, -10.0), np.full(999, -50.0))))
    assert click < -38


@pytest.mark.parametrize(
    ("pcm", "silent"),
    [
        pytest.param(np.zeros(16_000, np.int16), True, id="digital"),
        pytest.param(np.full(16_000, -9_000, np.int16), True, id="offset"),
        pytest.param(np.full(16_000, -32768, np.int16), True, id="lowest offset"),
        pytest.param(np.array([-32768, 32767], np.int16), False, id="full scale"),
        pytest.param(np.random.default_rng(0).integers(-3, 4, 16_000).astype(np.int16), True, id="dither"),
        pytest.param(np.array([-16, 16], np.int16), True, id="just silent"),
        pytest.param(np.array([-16, 17], np.int16), False, id="just not silent"),
        pytest.param(noise(1.0, 30), False, id="soft"),
        pytest.param(np.array([0] * 999 + [200], np.int16), False, id="one click"),
        pytest.param(np.zeros(0, np.int16), True, id="nothing"),
    ],
)
def test_is_silent(pcm: Pcm, silent: bool) -> None:
    assert is_silent(pcm) is silent
