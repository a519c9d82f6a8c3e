"""Parallel clips: voices of flite's say the same at the same time.

What a model hears of the first is what it should hear of the others. With each clip comes its track, a row of TRACK
every 5 ms: the state, and the spectrum as it sounds. In go a text and a seeded generator; `drawn.py` makes further
speakers of the clips.
"""

from __future__ import annotations

import random
from functools import cache

import numpy as np

from training.clips import FRAME_SAMPLES, Clip, ClipInfo, Pcm
from training.diphone_voice import PITCH_HZ, DiphoneVoice, phones_of
from training.flite_library import PITCH, Prediction, StatisticalVoice
from training.mceps import NUM_MCEPS, Mceps, mceps_of

GROUP = ("slt", "slt, another pitch", "awb", "kal16")
"""Who says a text, in the order of its clips; the first as flite says it."""
PLAIN_VOICE = GROUP[0]
TRACK = np.dtype([("state", "S8"), ("spectrum", "<f2", NUM_MCEPS)])
PAUSE = b"pau"
MARGIN_FRAMES = 12
"""Of the pauses around the sentence so much is kept."""

STRETCHES = (0.75, 1.3)
LOWEST_HZ, HIGHEST_HZ = 85.0, 230.0
"""Mean pitch of low men and of high women."""
LIVELINESS = (0.6, 1.4)
"""Factor on the pitch's movements, in octaves."""
DIPHONE_SPREADS_HZ = (6.0, 22.0)
SHARPNESS = 0.4
"""As of `Utterance.sound`: flite's own choice, which lifts FORMANTS by as much."""
FORMANTS = slice(2, None)
MOST_BREATH = 0.2
"""Share of the voicing that may be lost."""


@cache
def statistical_voice(name: str) -> StatisticalVoice:
    """One of flite's; slt or awb."""
    return StatisticalVoice(name)


@cache
def diphone_voice() -> DiphoneVoice:
    """The third."""
    return DiphoneVoice()


def any_pitch_hz(base_hz: float, rng: random.Random) -> float:
    """Near the voice's own or anywhere."""
    anywhere = LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** rng.random()
    return rng.choice((anywhere, base_hz * rng.uniform(0.8, 1.25)))


def with_another_pitch(prediction: Prediction, base_hz: float, rng: random.Random) -> Prediction:
    """The same with another pitch and more breath."""
    values, pitch = prediction.values.copy(), prediction.values[:, PITCH]
    moved = any_pitch_hz(base_hz, rng) * (pitch / base_hz) ** rng.uniform(*LIVELINESS)
    values[:, PITCH] = np.where(pitch > 0, np.clip(moved, LOWEST_HZ / 2, 2 * HIGHEST_HZ), 0)
    return Prediction(prediction.states, values, prediction.voicing * np.float32(1 - rng.uniform(0, MOST_BREATH)))


def as_sounding(mceps: Mceps) -> Mceps:
    """A statistical voice's spectra with what flite does to them."""
    lifted = mceps.copy()
    lifted[:, FORMANTS] *= 1 + SHARPNESS
    return lifted


def say_parallel(text: str, rng: random.Random, split: str) -> list[Clip]:
    """The text spoken by all of GROUP, clips of one length, with tracks and without word times.

    Raises ValueError where the voices would say different phones.
    """
    slt, awb = statistical_voice("slt"), statistical_voice("awb")
    timed_by, stretch = rng.choice((slt, slt, awb)), rng.uniform(*STRETCHES)
    with slt.predicted(text, stretch, timed_by) as said:
        states, spectra = said.prediction.states, as_sounding(said.spectra())
        takes = [(said.sound(said.prediction, SHARPNESS), spectra)]
        moved = with_another_pitch(said.prediction, slt.pitch_hz, rng)
        takes.append((said.sound(moved, SHARPNESS), spectra))
    with awb.predicted(text, stretch, timed_by) as said:
        if said.prediction.states != states:
            raise ValueError(f"slt and awb say {text!r} with other phones; leave the sentence out.")
        spectra = as_sounding(said.spectra())
        takes.append((said.sound(with_another_pitch(said.prediction, awb.pitch_hz, rng), SHARPNESS), spectra))
    pitch_hz, spread_hz = any_pitch_hz(PITCH_HZ, rng), rng.uniform(*DIPHONE_SPREADS_HZ)
    pcm = diphone_voice().say(text, phones_of(states), pitch_hz, spread_hz)
    takes.append((pcm, mceps_of(pcm)))
    spoken = np.flatnonzero([not state.startswith(PAUSE.decode()) for state in states])
    frames = slice(max(0, spoken[0] - MARGIN_FRAMES), min(len(states), spoken[-1] + 1 + MARGIN_FRAMES))
    clips = zip(GROUP, takes, strict=True)
    return [clip_of(ClipInfo(text, "parallel", who, split, []), *take, states, frames) for who, take in clips]


def clip_of(info: ClipInfo, pcm: Pcm, spectra: Mceps, states: list[str], frames: slice) -> Clip:
    """These frames of a take; what a voice leaves out at the end is silent."""
    track = np.zeros(len(states), TRACK)
    track["state"], track["spectrum"][: len(spectra)] = np.array(states, "S8"), spectra[: len(states)]
    whole = np.zeros(len(states) * FRAME_SAMPLES, np.int16)
    whole[: len(pcm)] = pcm[: len(whole)]
    return Clip(info, whole[frames.start * FRAME_SAMPLES : frames.stop * FRAME_SAMPLES], track[frames])
