"""Parallel clips: what is heard is a voice of flite's, and the track tells its spectrum and the other's."""

from __future__ import annotations

import ctypes
import random

import numpy as np
import pytest

from training.clips import FRAME_SAMPLES, trimmed
from training.flite_library import PITCH, Prediction, StatisticalVoice
from training.parallel import BASES, TRACK, base_voice, other_base, say_parallel, with_another_pitch
from training.voices import HELD_OUT_FLITE_VOICE, Voice

TEXT = "She had your dark suit in greasy wash water all year."


@pytest.fixture
def flite() -> None:
    """The tests that speak need flite."""
    try:
        ctypes.CDLL("libflite.so.1")
    except OSError:
        pytest.skip("flite is not installed")


def test_the_voice_that_is_held_out_is_no_base() -> None:
    assert HELD_OUT_FLITE_VOICE not in BASES
    assert [other_base(name) for name in BASES] == list(reversed(BASES))


def test_another_pitch_keeps_what_is_unvoiced_and_the_prediction_itself() -> None:
    values = np.zeros((3, 102), np.float32)
    values[:, PITCH] = 0, 200, 400
    prediction = Prediction(["pau_1", "aa_1", "s_1"], values, np.ones((3, 5), np.float32))
    moved = with_another_pitch(prediction, 200, random.Random(1))
    assert moved.values[0, PITCH] == 0 < moved.values[1, PITCH] < moved.values[2, PITCH]
    assert moved.voicing.max() <= 1
    np.testing.assert_array_equal(values[:, PITCH], [0, 200, 400])


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


@pytest.mark.usefixtures("flite")
def test_a_voice_can_take_anothers_durations_and_has_its_own_again() -> None:
    first, second = (base_voice(name) for name in BASES)
    lengths = []
    for timed_by in (None, first, None):
        with second.predicted(TEXT, timed_by=timed_by) as utterance:
            lengths.append(len(utterance.prediction.states))
    with first.predicted(TEXT) as utterance:
        assert lengths[1] == len(utterance.prediction.states)
    assert lengths[0] == lengths[2] != lengths[1]


@pytest.mark.usefixtures("flite")
def test_a_parallel_clip_has_a_row_for_every_frame() -> None:
    clips = [say_parallel(TEXT, random.Random(seed), "train") for seed in range(6)]
    assert {clip.info.voice for clip in clips} == set(BASES)
    for clip in clips:
        assert clip.track is not None
        assert clip.track.dtype == TRACK
        assert abs(len(clip.track) * FRAME_SAMPLES - len(clip.pcm)) <= FRAME_SAMPLES
        spoken = [state for state in clip.track["state"] if not state.startswith(b"pau")]
        assert len(spoken) > 0.8 * len(clip.track)
    again = say_parallel(TEXT, random.Random(0), "train")
    assert abs(len(clips[0].pcm) - len(again.pcm)) <= 2 * FRAME_SAMPLES, "only the noise in it is drawn anew"
