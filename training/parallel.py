"""Parallel clips: flite's two statistical voices that may be heard say the same at the same time, and one is heard.

With a clip comes its track, a row of TRACK every 5 ms: the state, the spectrum that is heard, and that of the voice
which is not. In go a text and a seeded generator. `drawn.py` makes other speakers of it.
"""

from __future__ import annotations

import random
from functools import cache

import numpy as np

from training.clips import Clip, ClipInfo, trimmed_clip
from training.flite_library import NUM_MCEPS, PITCH, Prediction, StatisticalVoice

BASES = ("slt", "awb")
TRACK = np.dtype([("state", "S8"), ("own", "<f2", NUM_MCEPS), ("other", "<f2", NUM_MCEPS)])
STRETCHES = (0.75, 1.3)
LOWEST_HZ, HIGHEST_HZ = 85.0, 230.0
"""Mean pitch of low men and of high women."""
LIVELINESS = (0.6, 1.4)
"""Factor on the pitch's movements, in octaves."""
SHARPNESS = 0.4
"""As of `Utterance.sound`: flite's own choice."""
MOST_BREATH = 0.2
"""Share of the voicing that may be lost."""


@cache
def base_voice(name: str) -> StatisticalVoice:
    """One of the bases."""
    return StatisticalVoice(name)


def other_base(name: str) -> str:
    """The base that is not this one."""
    return BASES[1 - BASES.index(name)]


def with_another_pitch(prediction: Prediction, base_hz: float, rng: random.Random) -> Prediction:
    """The same with another pitch, near the voice's own or anywhere, and with more breath."""
    anywhere = LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** rng.random()
    wanted_hz = rng.choice((anywhere, base_hz * rng.uniform(0.8, 1.25)))
    values, pitch = prediction.values.copy(), prediction.values[:, PITCH]
    moved = wanted_hz * (pitch / base_hz) ** rng.uniform(*LIVELINESS)
    values[:, PITCH] = np.where(pitch > 0, np.clip(moved, LOWEST_HZ / 2, 2 * HIGHEST_HZ), 0)
    return Prediction(prediction.states, values, prediction.voicing * np.float32(1 - rng.uniform(0, MOST_BREATH)))


def say_parallel(text: str, rng: random.Random, split: str) -> Clip:
    """The text spoken by one of the bases, with its track; without word times and without silence at its ends."""
    name, stretch = rng.choice(BASES), rng.uniform(*STRETCHES)
    voice = base_voice(name)
    with base_voice(other_base(name)).predicted(text, stretch, timed_by=voice) as unheard:
        states, other = unheard.prediction.states, unheard.spectra()
    with voice.predicted(text, stretch) as heard:
        if heard.prediction.states != states:
            raise ValueError(f"{' and '.join(BASES)} say {text!r} with other phones; leave the sentence out.")
        track = np.empty(len(states), TRACK)
        track["state"], track["own"], track["other"] = np.array(states, "S8"), heard.spectra(), other
        pcm = heard.sound(with_another_pitch(heard.prediction, voice.pitch_hz, rng), SHARPNESS)
    return trimmed_clip(ClipInfo(text, "parallel", name, split, []), pcm, track)
