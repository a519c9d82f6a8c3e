"""Parallel clips: voices of flite's say the same at the same time, and tracks tell their spectra."""

from __future__ import annotations

import ctypes
import random

import numpy as np
import pytest

from training.clips import FRAME_SAMPLES, trimmed
from training.diphone_voice import phones_of
from training.flite_library import PITCH, Prediction, StatisticalVoice
from training.parallel import GROUP, TRACK, diphone_voice, say_parallel, statistical_voice, with_another_pitch
from training.voices import HELD_OUT_FLITE_VOICE, Voice

TEXT = "She had your dark suit in greasy wash water all year."


@pytest.fixture
def flite() -> None:
    """The tests that speak need flite."""
    try:
        ctypes.CDLL("libflite.so.1")
    except OSError:
        pytest.skip("flite is not installed")


def test_the_voice_that_is_held_out_says_nothing() -> None:
    assert not any(HELD_OUT_FLITE_VOICE in name for name in GROUP)


def test_phones_end_with_their_last_state_and_equal_neighbours_are_two() -> None:
    states = ["pau_1", "pau_2", "t_1", "t_1", "t_3", "t_1", "t_2", "aa_1"]
    assert phones_of(states) == [("pau", 0.01), ("t", 0.025), ("t", 0.035), ("aa", 0.04)]


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
    first, second = (statistical_voice(name) for name in ("slt", "awb"))
    lengths = []
    for timed_by in (None, first, None):
        with second.predicted(TEXT, timed_by=timed_by) as utterance:
            lengths.append(len(utterance.prediction.states))
    with first.predicted(TEXT) as utterance:
        assert lengths[1] == len(utterance.prediction.states)
    assert lengths[0] == lengths[2] != lengths[1]


@pytest.mark.usefixtures("flite")
def test_the_diphone_voice_says_each_phone_as_long_as_it_is_told() -> None:
    with statistical_voice("slt").predicted(TEXT) as utterance:
        phones = phones_of(utterance.prediction.states)
    for slower in (1.0, 1.5):
        wanted = [(name, slower * end_s) for name, end_s in phones]
        pcm = diphone_voice().say(TEXT, wanted, pitch_hz=100, pitch_spread_hz=10)
        assert len(pcm) / 16_000 == pytest.approx(wanted[-1][1], abs=0.15)
    with pytest.raises(ValueError, match="other phones; leave the sentence out"):
        diphone_voice().say(TEXT, phones[:-3], pitch_hz=100, pitch_spread_hz=10)


@pytest.mark.usefixtures("flite")
def test_the_clips_of_a_group_say_the_same_at_the_same_time() -> None:
    clips = say_parallel(TEXT, random.Random(1), "train")
    assert tuple(clip.info.voice for clip in clips) == GROUP
    assert len({len(clip.pcm) for clip in clips}) == 1
    tracks = [clip.track for clip in clips if clip.track is not None]
    spoken = np.array([not state.startswith(b"pau") for state in tracks[0]["state"]])
    for track, clip in zip(tracks, clips, strict=True):
        assert track.dtype == TRACK
        assert len(track) * FRAME_SAMPLES == len(clip.pcm)
        np.testing.assert_array_equal(track["state"], tracks[0]["state"])
    loudness = [track["spectrum"][spoken, 0].astype(float) for track in tracks]
    correlations = np.corrcoef(np.stack(loudness))
    assert correlations[0, 1] == pytest.approx(1)
    assert correlations[0, 2:].min() > 0.6, "vowels are loud and stops are not, at the same time"
