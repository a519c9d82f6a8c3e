"""What a training window goes through keeps its shape, and stays what it says it is."""

from __future__ import annotations

import random

import numpy as np

from training.sounds import ripples, spectral_holes

N_BINS = 201


def test_holes_take_bands_away_and_leave_the_rest() -> None:
    gains = np.stack([spectral_holes(random.Random(seed), N_BINS, 2) for seed in range(200)])
    assert gains.shape == (200, N_BINS)
    assert gains.dtype == np.float32
    assert gains.max() == 1.0  # nothing is amplified
    assert 10**-6.1 < gains.min() < 10**-3  # two bands may meet
    is_whole = (gains == 1.0).all(1)
    assert 0.2 < is_whole.mean() < 0.5  # none of up to two holes: a third
    assert (gains[~is_whole] < 1.0).mean() < 0.5  # of a window with holes the greater part is left


def test_no_holes_are_made_where_none_are_allowed() -> None:
    assert (spectral_holes(random.Random(1), N_BINS, 0) == 1.0).all()


def test_ripples_are_as_strong_as_allowed_and_none_where_none_are() -> None:
    fields = np.stack([ripples(random.Random(seed), 10, 100, 6.0) for seed in range(200)])
    assert fields.shape == (200, 10, 100)
    assert fields.dtype == np.float32
    deviations = fields.std((1, 2))
    assert deviations.min() < 1
    assert 5 < deviations.max() < 7
    assert abs(fields.mean()) < 0.1
    assert (ripples(random.Random(1), 10, 100, 0.0) == 0.0).all()
