"""Drawn speakers: each phone of theirs is moved in a way of its own, always the same."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from tests.training.test_survey import spoken
from training.clips import FRAME_SAMPLES
from training.drawn import (
    FORMANTS,
    Speaker,
    any_speaker,
    filter_shapes,
    filtered,
    moves_of,
    neighbours,
    said_by,
)
from training.flite_library import NUM_MCEPS
from training.parallel import BASES, SHARPNESS
from training.survey import Map, Survey, fitted, survey


@pytest.fixture
def seen() -> Survey:
    """What some clips of both bases tell."""
    return survey(spoken(BASES[seed % 2], seed) for seed in range(8))


@pytest.fixture
def unmoved(seen: Survey) -> Speaker:
    """A speaker who changes nothing."""
    nothing, of_phones = np.zeros(NUM_MCEPS, np.float32), np.zeros((seen.num_phones, NUM_MCEPS), np.float32)
    return Speaker(
        base=BASES[0],
        map=Map(np.zeros((NUM_MCEPS, NUM_MCEPS), np.float32), nothing, nothing),
        other_share=0.0,
        offsets=np.zeros((len(seen.phones), NUM_MCEPS), np.float32),
        before=of_phones,
        after=of_phones,
        movement=nothing + 1,
        sharpness=nothing,
    )


def test_a_phone_knows_those_before_and_after_it() -> None:
    before, after = neighbours(np.array([2, 2, 0, 0, 1, 1]), pause=9)
    assert before.tolist() == [9, 9, 2, 2, 0, 0]
    assert after.tolist() == [0, 0, 1, 1, 9, 9]


def test_a_speaker_moves_its_phones_and_leaves_pauses_alone(seen: Survey, unmoved: Speaker) -> None:
    track = spoken(BASES[0], 1).track
    assert track is not None
    assert not moves_of(unmoved, track, seen).any()
    offsets = np.zeros_like(unmoved.offsets)
    offsets[0] = 0.5
    moves = moves_of(replace(unmoved, offsets=offsets), track, seen)
    np.testing.assert_allclose(moves[15], np.where(np.arange(NUM_MCEPS) < FORMANTS.start, 0.5, 0.5 * (1 + SHARPNESS)))
    assert not moves[:8].any()
    assert not moves[22:].any()
    drawn = moves_of(any_speaker(random.Random(1), seen), track, seen)
    assert not drawn[:8].any()
    assert drawn[12:].any(axis=1).all()


@pytest.mark.parametrize("by_map", [True, False])
def test_one_who_goes_all_the_way_sounds_like_the_other_base(seen: Survey, unmoved: Speaker, by_map: bool) -> None:
    track = spoken(BASES[0], 1).track
    assert track is not None
    towards = fitted(*seen.means_of(BASES[0], np.arange(seen.num_phones)))
    moves = moves_of(replace(unmoved, map=towards, other_share=0.0 if by_map else 1.0), track, seen)
    apart = (track["other"].astype(np.float32) - track["own"])[10:, 0]
    np.testing.assert_allclose(moves[15:58, 0].mean(), apart[5:48].mean(), atol=0.15)


def test_speakers_are_drawn_from_their_generator(seen: Survey) -> None:
    first, again, second = (any_speaker(random.Random(seed), seen) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.offsets, again.offsets)
    np.testing.assert_array_equal(first.map.matrix, again.map.matrix)
    assert {any_speaker(random.Random(seed), seen).base for seed in range(9)} == set(BASES)
    assert (first.offsets[:-1] != second.offsets[:-1]).all()
    assert not first.offsets[-1].any()


@pytest.mark.parametrize("n_samples", [79, 80, 16_003])
def test_a_filter_of_ones_changes_nothing(n_samples: int) -> None:
    wave = np.random.default_rng(1).standard_normal(n_samples).astype(np.float32)
    ones = np.ones((n_samples // FRAME_SAMPLES + 1, filter_shapes().shape[1]), np.float32)
    np.testing.assert_allclose(filtered(wave, ones), wave, atol=1e-5)


def test_a_filter_changes_what_is_heard_from_its_frame_on() -> None:
    wave = np.random.default_rng(1).standard_normal(200 * FRAME_SAMPLES).astype(np.float32)
    gains = np.ones((200, filter_shapes().shape[1]), np.float32)
    gains[100:] = 2
    heard = filtered(wave, gains) / wave
    np.testing.assert_allclose(heard[: 96 * FRAME_SAMPLES], 1, atol=1e-2)
    np.testing.assert_allclose(heard[104 * FRAME_SAMPLES :], 2, atol=1e-2)


def test_a_coefficient_changes_the_spectrum_as_a_mel_cepstrum_says() -> None:
    shapes = filter_shapes()
    np.testing.assert_array_equal(shapes[0], 1)
    np.testing.assert_allclose(shapes[:, 0], 1)
    np.testing.assert_allclose(shapes[1, -1], -1)
    crossing_hz = np.interp(0, shapes[1][::-1], np.linspace(8000, 0, shapes.shape[1]))
    assert 1900 < crossing_hz < 2400, "the middle of the mel axis"


def test_a_drawn_speaker_is_as_loud_as_the_base_and_another(seen: Survey) -> None:
    clip = spoken(BASES[1], 3)
    wave = (clip.pcm / 32768).astype(np.float32)
    heard = said_by(any_speaker(random.Random(1), seen), clip, wave, seen)
    assert heard.shape == wave.shape
    assert np.sqrt((heard**2).mean()) == pytest.approx(np.sqrt((wave**2).mean()), rel=1e-3)
    assert np.corrcoef(heard, wave)[0, 1] < 0.99
    with pytest.raises(ValueError, match="has no track"):
        said_by(any_speaker(random.Random(1), seen), replace(clip, track=None), wave, seen)
