"""Speakers drawn at random: flite's statistical voices with other sounds.

What a model that learned from three voices of flite does not understand of a fourth is neither its pitch nor its speed
nor its colour as a whole, but that each phone sounds a little different, always in the same way: with the phones'
spectra of the unseen voice a voice that is understood well is understood as badly, and the other way round
(docs/measurements.md). So here every phone gets an offset of its own, drawn once a speaker. How large and of what kind
offsets are is learned from the difference between the two voices that may be heard.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from training.clips import Clip, ClipInfo, trimmed_clip
from training.flite_library import MCEPS, NUM_MCEPS, PITCH, Prediction, StatisticalVoice
from training.grammar import sentences

BASES = ("slt", "awb")
NUM_SPEAKERS = 240
MARK = "~"
"""Between the voice that a speaker is made of and the speaker's number."""
SURVEY = (
    "The azure treasure lay in a garage by the beige measure of vision. The boy enjoys the noise of coins and oil.",
    "She had your dark suit in greasy wash water all year. Each church child chose a fresh orange judge.",
    "How now, brown cow, the loud crowd found a house outside. Put the good book where a woman could look.",
    "Their thick thumbs thread these things through the path, then both breathe. A young king sang a long song.",
    "He ate a big fat egg and a hot pot of tea, but Bob gave Dad the cup. Why would I try my life five times.",
)
"""Beside sentences of the closed domain, so that every phone is met."""
NUM_SURVEY = 150
PAUSE = "pau"
SHARES = (-0.4, 1.0)
"""How far each phone may go the way to the other base, or away from it."""
STRENGTHS, STATE_STRENGTH = (0.5, 1.2), 0.6
"""Of what is drawn freely; not tuned. How hard such speakers are to understand stands in docs/measurements.md."""
LOWEST_HZ, HIGHEST_HZ = 85.0, 230.0
"""Mean pitch of low men and of high women."""

Mceps = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Differences:
    """By how much the spectrum of each phone and state of one base is apart from the other's, (NUM_MCEPS,) each.

    towards: of each state, from `slt` to `awb`; phone_root, state_root: (NUM_MCEPS, NUM_MCEPS), a standard normal
    vector times one of them differs as phones do, or as states do within a phone
    """

    towards: dict[str, Mceps]
    phone_root: Mceps
    state_root: Mceps


@dataclass(frozen=True, slots=True)
class Speaker:
    """A drawn one, made of a base.

    offsets: of each state, (NUM_MCEPS,); base_hz, pitch_hz: mean pitch before and after; liveliness: factor on the
    pitch's movements, in octaves; sharpness: as of `Utterance.sound`; breath: share of the voicing that is lost
    """

    base: str
    offsets: dict[str, Mceps]
    base_hz: float
    pitch_hz: float
    liveliness: float
    sharpness: float
    breath: float


@cache
def base_voice(name: str) -> StatisticalVoice:
    """One of the bases."""
    return StatisticalVoice(name)


def phone_of(state: str) -> str:
    """The phone in front of a state's number."""
    return state.partition("_")[0]


def state_means(name: str) -> dict[str, Mceps]:
    """The mean spectrum of each state over the survey's sentences."""
    met: dict[str, list[Mceps]] = defaultdict(list)
    for text in (*SURVEY, *sentences(1, NUM_SURVEY)):
        with base_voice(name).predicted(text) as utterance:
            prediction = utterance.prediction
            for state, values in zip(prediction.states, prediction.values[:, MCEPS], strict=True):
                met[state].append(values)
    return {state: np.mean(values, axis=0) for state, values in met.items()}


def root(rows: NDArray[np.float32]) -> Mceps:
    """A square root of the rows' second moments about zero; rows: (n, NUM_MCEPS)."""
    size, directions = np.linalg.eigh(rows.T @ rows / len(rows))
    return (directions * np.sqrt(np.maximum(size, 0.0))).astype(np.float32)


@cache
def differences() -> Differences:
    """Between the two bases; what all phones have in common is left out, for that is the colour of a voice."""
    first, second = (state_means(name) for name in BASES)
    states = sorted(state for state in first.keys() & second.keys() if phone_of(state) != PAUSE)
    apart = np.stack([second[state] - first[state] for state in states])
    apart = apart - apart.mean(axis=0)
    phones = [phone_of(state) for state in states]
    of_phone = {phone: apart[[each == phone for each in phones]].mean(axis=0) for phone in set(phones)}
    within = apart - np.stack([of_phone[phone] for phone in phones])
    return Differences(dict(zip(states, apart, strict=True)), root(np.stack(list(of_phone.values()))), root(within))


@cache
def speaker(name: str) -> Speaker:
    """The speaker of this name, such as `slt~17`: always the same."""
    base, _, _ = name.partition(MARK)
    apart, rng = differences(), np.random.default_rng(list(name.encode()))
    strength, sign = rng.uniform(*STRENGTHS), 1.0 if base == BASES[0] else -1.0
    phones = dict.fromkeys(phone_of(state) for state in apart.towards)
    shares = {phone: sign * rng.uniform(*SHARES) for phone in phones}
    own = {phone: apart.phone_root @ rng.standard_normal(NUM_MCEPS) for phone in phones}
    offsets = {}
    for state, towards in apart.towards.items():
        within = STATE_STRENGTH * (apart.state_root @ rng.standard_normal(NUM_MCEPS))
        moved = shares[phone_of(state)] * towards + strength * (own[phone_of(state)] + within)
        offsets[state] = moved.astype(np.float32)
    pitch_hz = LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** rng.random()
    return Speaker(
        base,
        offsets,
        base_voice(base).pitch_hz,
        pitch_hz,
        liveliness=rng.uniform(0.5, 1.6),
        sharpness=rng.uniform(0.1, 0.6),
        breath=rng.uniform(0.0, 0.3),
    )


def spoken_by(who: Speaker, prediction: Prediction) -> Prediction:
    """What the base would say, said by the speaker."""
    silent = np.zeros(NUM_MCEPS, np.float32)
    offsets = np.stack([who.offsets.get(state, silent) for state in prediction.states])
    values, pitch = prediction.values.copy(), prediction.values[:, PITCH]
    values[:, MCEPS] += offsets
    moved = who.pitch_hz * (pitch / who.base_hz) ** who.liveliness
    values[:, PITCH] = np.where(pitch > 0, np.clip(moved, LOWEST_HZ / 2, 2 * HIGHEST_HZ), 0)
    return Prediction(prediction.states, values, prediction.voicing * np.float32(1 - who.breath))


def any_speaker(rng: random.Random) -> str:
    """The name of a drawn speaker."""
    return f"{rng.choice(BASES)}{MARK}{rng.randrange(NUM_SPEAKERS)}"


def say_as(name: str, text: str, stretch: float, split: str) -> Clip:
    """The text spoken by the drawn speaker of that name, without word times and without silence at its ends."""
    who = speaker(name)
    with base_voice(who.base).predicted(text, stretch) as utterance:
        pcm = utterance.sound(spoken_by(who, utterance.prediction), who.sharpness)
    return trimmed_clip(ClipInfo(text, "drawn", name, split, []), pcm)
