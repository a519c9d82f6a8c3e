"""Drawn speakers: each phone of theirs is moved in a way of its own, always the same."""

from __future__ import annotations

import ctypes
import random

import numpy as np
import pytest

from training.clips import trimmed
from training.drawn import Speaker, any_speaker, root, speaker, spoken_by
from training.flite_library import MCEPS, NUM_MCEPS, PITCH, Prediction, StatisticalVoice
from training.voices import HELD_OUT_FLITE_VOICE, Voice

TEXT = "She had your dark suit in greasy wash water all year."


@pytest.fixture
def flite() -> None:
    """The tests that speak need flite."""
    try:
        ctypes.CDLL("libflite.so.1")
    except OSError:
        pytest.skip("flite is not installed")


def test_differences_drawn_from_a_root_are_like_those_it_was_made_of() -> None:
    rng = np.random.default_rng(1)
    rows = (rng.standard_normal((60, 4)) @ rng.standard_normal((4, 4))).astype(np.float32)
    moments = rows.T @ rows / len(rows)
    np.testing.assert_allclose(root(rows) @ root(rows).T, moments, atol=1e-4 * np.abs(moments).max())


def test_a_speaker_moves_phones_and_pitch_and_leaves_pauses_alone() -> None:
    offsets = {"aa_1": np.full(NUM_MCEPS, 0.5, np.float32)}
    who = Speaker("slt", offsets, base_hz=200, pitch_hz=100, liveliness=2, sharpness=0.4, breath=0.25)
    values = np.zeros((3, 102), np.float32)
    values[:, PITCH] = 0, 200, 400
    said = spoken_by(who, Prediction(["pau_1", "aa_1", "s_1"], values, np.ones((3, 5), np.float32)))
    np.testing.assert_array_equal(said.values[:, MCEPS][:, 0], [0, 0.5, 0])
    np.testing.assert_allclose(said.values[:, PITCH], [0, 100, 400])
    assert said.voicing.max() == 0.75
    assert values[:, MCEPS].max() == 0, "the prediction itself is left as it was"


@pytest.mark.usefixtures("flite")
def test_a_speaker_is_always_the_same_and_unlike_the_next() -> None:
    first, second = speaker("slt~1"), speaker("slt~2")
    assert first == speaker("slt~1")
    assert first.pitch_hz != second.pitch_hz
    assert all((first.offsets[state] != second.offsets[state]).any() for state in first.offsets)
    assert not any(state.startswith("pau") for state in first.offsets)


@pytest.mark.usefixtures("flite")
def test_an_unchanged_prediction_sounds_as_flite_says_it() -> None:
    pytest.importorskip("scipy")
    from training.synthesis import say_with_flite

    with StatisticalVoice("slt").predicted(TEXT) as utterance:
        ours, _ = trimmed(utterance.sound(utterance.prediction, sharpness=0.4))
    theirs = say_with_flite(TEXT, Voice("flite", "slt", 100, 100), "train").pcm
    assert abs(len(ours) - len(theirs)) <= 160, "only the noise in it is drawn anew"
    levels = [[np.abs(part).mean() for part in np.array_split(pcm, 100)] for pcm in (ours, theirs)]
    assert np.corrcoef(np.array(levels))[0, 1] > 0.98


def test_the_voice_that_is_held_out_is_no_base() -> None:
    rng = random.Random(1)
    bases = {any_speaker(rng).partition("~")[0] for _ in range(200)}
    assert bases == {"slt", "awb"}
    assert HELD_OUT_FLITE_VOICE not in bases
