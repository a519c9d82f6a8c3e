"""Drawn speakers: each phone of theirs is bent and coloured in a way of its own, always the same."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from training.clips import FRAME_SAMPLES, Clip, ClipInfo
from training.drawn import NUM_KNOTS, Speaker, any_speaker, bent, nepers_of, said_by
from training.mceps import NUM_MCEPS, angles, shapes
from training.parallel import GROUP, TRACK

STATES = ("pau_1", "aa_1", "aa_2", "s_1", "s_2", "t_1")
UNMOVED = Speaker(seed=1, strength=0.0, bend=np.zeros(NUM_KNOTS), colour=np.zeros(NUM_MCEPS))


def spoken(voice: str, seed: int) -> Clip:
    """A clip of noise, ten frames a state."""
    rng = np.random.default_rng(seed)
    track = np.zeros(10 * len(STATES), TRACK)
    track["state"] = np.repeat(np.array(STATES, "S8"), 10)
    track["spectrum"] = rng.standard_normal((len(track), NUM_MCEPS))
    pcm = (3000 * rng.standard_normal(len(track) * FRAME_SAMPLES)).astype(np.int16)
    return Clip(ClipInfo("Hello.", "parallel", voice, "train", []), pcm, track)


def moved_by(who: Speaker, clip: Clip) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """What the speaker does to the clip's spectra."""
    assert clip.track is not None
    return nepers_of(who, clip.track["state"], clip.track["spectrum"].astype(np.float32))


def test_a_bend_moves_a_peak_by_its_angle_and_keeps_its_height() -> None:
    mceps = np.zeros((1, NUM_MCEPS), np.float32)
    mceps[0] = shapes(np.array([1.2], np.float32))[:, 0]  # a peak at this angle
    moved, plain = (bent(mceps, np.full((1, NUM_KNOTS), by))[0] for by in (-0.2, 0.0))
    np.testing.assert_allclose(plain, (mceps @ shapes(angles()))[0], atol=0.15)
    inside = (angles() > 0.3) & (angles() < 2.5)
    assert angles()[inside][plain[inside].argmax()] == pytest.approx(1.2, abs=0.05)
    assert angles()[inside][moved[inside].argmax()] == pytest.approx(1.4, abs=0.05)
    assert moved[inside].max() == pytest.approx(plain[inside].max(), rel=0.02)


def test_who_bends_and_colours_nothing_changes_nothing() -> None:
    np.testing.assert_allclose(moved_by(UNMOVED, spoken(GROUP[0], 1)), 0, atol=0.3)  # of the grid
    coloured = replace(UNMOVED, colour=np.eye(NUM_MCEPS)[0])
    np.testing.assert_allclose(moved_by(coloured, spoken(GROUP[0], 1))[15:], 1, atol=0.3)


def test_pauses_are_left_alone() -> None:
    who = any_speaker(random.Random(1))
    moves = np.abs(moved_by(who, spoken(GROUP[2], 1))).max(axis=1)
    assert moves[:8].max() < 0.3 < moves[12:].min()


def test_a_phone_is_always_moved_in_the_same_way_and_others_in_other_ways() -> None:
    who = any_speaker(random.Random(1))
    for first, second in zip(who.state(b"aa_1"), who.state(b"aa_1"), strict=True):
        np.testing.assert_array_equal(first, second)
    assert (who.state(b"aa_1")[0] != who.state(b"s_1")[0])[1:-1].all()
    of_phone, of_others = [], []
    for seed in range(200):
        bends = [any_speaker(random.Random(seed)).state(name)[0][3] for name in (b"aa_1", b"aa_2", b"s_1")]
        of_phone.append(bends[0] - bends[1])
        of_others.append(bends[0] - bends[2])
    assert np.std(of_phone) < 0.8 * np.std(of_others), "states of one phone are moved alike"


def test_speakers_are_drawn_from_their_generator() -> None:
    first, again, second = (any_speaker(random.Random(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.bend, again.bend)
    assert first.seed == again.seed != second.seed
    assert not any(each.bend[[0, -1]].any() for each in (first, second))


def test_a_drawn_speaker_is_as_loud_as_the_voice_and_another() -> None:
    clip = spoken(GROUP[2], 3)
    wave = (clip.pcm / 32768).astype(np.float32)
    heard = said_by(any_speaker(random.Random(1)), clip, wave)
    assert heard.shape == wave.shape
    assert np.sqrt((heard**2).mean()) == pytest.approx(np.sqrt((wave**2).mean()), rel=1e-3)
    assert np.corrcoef(heard, wave)[0, 1] < 0.99
    with pytest.raises(ValueError, match="has no track"):
        said_by(any_speaker(random.Random(1)), replace(clip, track=None), wave)
