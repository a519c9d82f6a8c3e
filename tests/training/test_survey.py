"""What two voices sound like, and what makes one of the other."""

from __future__ import annotations

import numpy as np

from training.clips import FRAME_SAMPLES, Clip, ClipInfo
from training.flite_library import NUM_MCEPS
from training.parallel import BASES, TRACK
from training.survey import fitted, root, survey

STATES = ("pau_1", "aa_1", "aa_2", "s_1", "s_2", "t_1")


def spoken(voice: str, seed: int) -> Clip:
    """A clip of ten frames a state, said by both bases, of which the second has 0.5 more of everything."""
    rng = np.random.default_rng(seed)
    track = np.zeros(10 * len(STATES), TRACK)
    track["state"] = np.repeat(np.array(STATES, "S8"), 10)
    track["own"] = rng.standard_normal((len(track), NUM_MCEPS))
    track["other"] = track["own"] + (0.5 if voice == BASES[0] else -0.5)
    pcm = (3000 * rng.standard_normal(len(track) * FRAME_SAMPLES)).astype(np.int16)
    return Clip(ClipInfo("Hello.", "parallel", voice, "train", []), pcm, track)


CLIPS = [spoken(BASES[seed % 2], seed) for seed in range(8)]


def test_a_survey_tells_states_from_pauses_and_what_it_did_not_meet() -> None:
    seen = survey(CLIPS)
    assert [state.decode() for state in seen.states] == ["aa_1", "aa_2", "s_1", "s_2", "t_1"]
    assert seen.phones.tolist() == [0, 0, 1, 1, 2, 3]
    assert seen.num_phones == 4
    track = np.zeros(4, TRACK)
    track["state"] = [b"s_1", b"pau_1", b"zh_2", b"aa_1"]
    assert seen.numbers(track).tolist() == [2, 5, 5, 0]
    own, other = seen.means_of(BASES[1], np.array([1]))
    np.testing.assert_array_equal(own, seen.means[BASES[1]][2:4])
    np.testing.assert_array_equal(other, seen.means[BASES[0]][2:4])


def test_the_mean_of_a_state_is_that_of_the_base_whoever_is_heard() -> None:
    rows = []
    for clip in CLIPS:
        assert clip.track is not None
        rows.append(clip.track["own" if clip.info.voice == BASES[0] else "other"][clip.track["state"] == b"s_1"])
    seen = survey(CLIPS)
    np.testing.assert_allclose(seen.means[BASES[0]][2], np.concatenate(rows).astype(float).mean(axis=0), atol=1e-3)
    np.testing.assert_allclose((seen.means[BASES[1]] - seen.means[BASES[0]])[:-1], 0.5, atol=1e-2)
    np.testing.assert_allclose(seen.shift_size, 0.5, atol=1e-2)
    assert not seen.means[BASES[0]][-1].any()


def test_a_map_finds_what_is_linear_between_two_voices() -> None:
    rng = np.random.default_rng(1)
    spectra = (3 * rng.standard_normal((200, NUM_MCEPS)) + 1).astype(np.float32)
    matrix = 0.1 * rng.standard_normal((NUM_MCEPS, NUM_MCEPS)).astype(np.float32)
    others = spectra + spectra @ matrix + np.float32(0.3)
    np.testing.assert_allclose(fitted(spectra, others)(spectra), others - spectra, atol=0.02)


def test_differences_drawn_from_a_root_are_like_those_it_was_made_of() -> None:
    rng = np.random.default_rng(1)
    rows = (rng.standard_normal((60, 4)) @ rng.standard_normal((4, 4))).astype(np.float32)
    moments = rows.T @ rows / len(rows)
    np.testing.assert_allclose(root(rows) @ root(rows).T, moments, atol=1e-4 * np.abs(moments).max())
