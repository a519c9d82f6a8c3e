"""Mel-cepstra of recordings, and filters made of them."""

from __future__ import annotations

import numpy as np
import pytest

from training.clips import FRAME_SAMPLES
from training.mceps import NUM_MCEPS, angles, filtered, mceps_of, shapes


@pytest.mark.parametrize("n_samples", [79, 80, 16_003])
def test_a_filter_of_zeros_changes_nothing(n_samples: int) -> None:
    wave = np.random.default_rng(1).standard_normal(n_samples).astype(np.float32)
    zeros = np.zeros((n_samples // FRAME_SAMPLES + 1, len(angles())), np.float32)
    np.testing.assert_allclose(filtered(wave, zeros), wave, atol=1e-5)


def test_a_filter_changes_what_is_heard_from_its_frame_on() -> None:
    wave = np.random.default_rng(1).standard_normal(200 * FRAME_SAMPLES).astype(np.float32)
    nepers = np.zeros((200, len(angles())), np.float32)
    nepers[100:] = np.log(2)
    heard = filtered(wave, nepers) / wave
    np.testing.assert_allclose(heard[: 96 * FRAME_SAMPLES], 1, atol=1e-2)
    np.testing.assert_allclose(heard[104 * FRAME_SAMPLES :], 2, atol=1e-2)


def test_a_coefficient_changes_the_spectrum_as_a_mel_cepstrum_says() -> None:
    curves = shapes(angles())
    np.testing.assert_array_equal(curves[0], 1)
    np.testing.assert_allclose(curves[:, 0], 1)
    np.testing.assert_allclose(curves[1, -1], -1)
    crossing_hz = np.interp(0, curves[1][::-1], np.linspace(8000, 0, curves.shape[1]))
    assert 1900 < crossing_hz < 2400, "the middle of the mel axis"


def test_a_recording_through_a_filter_has_other_mceps_by_as_much() -> None:
    wave = (0.1 * np.random.default_rng(1).standard_normal(800 * FRAME_SAMPLES)).astype(np.float32)
    change = np.zeros(NUM_MCEPS, np.float32)
    change[[0, 1, 4]] = -0.4, 0.5, 0.3
    heard = filtered(wave, np.tile(change @ shapes(angles()), (800, 1)))
    before, after = (mceps_of((each * 32768).astype(np.int16)) for each in (wave, heard))
    assert before.shape == (800, NUM_MCEPS)
    np.testing.assert_allclose((after - before)[2:-2].mean(axis=0), change, atol=0.05)
