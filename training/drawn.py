"""Speakers drawn at random: parallel clips with other sounds.

What a model that learned from three voices of flite does not understand of a fourth is neither its pitch nor its
speed, but its spectra: each phone sounds a little different, always in the same way (docs/measurements.md). Most of
that is one linear map of all spectra, as between any two voices; the smaller part is each phone's own. So a drawn
speaker has a map, made of the one between the two voices that may be heard, and moves each phone a little besides, as
far as those two do.

A mel-cepstrum is the logarithm of a spectrum, so a voice with another one is the same voice through a filter that
changes every 5 ms: drawing a speaker needs no synthesis, and every window can have one of its own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from training.clips import FRAME_SAMPLES, Clip, Track
from training.flite_library import NUM_MCEPS
from training.parallel import BASES, SHARPNESS
from training.survey import Map, Mceps, Survey, fitted

WARPING = 0.42
"""Of the frequency axis of flite's mel-cepstra at 16 kHz."""
NUM_OVERLAPPED = 6
WINDOW_SAMPLES = NUM_OVERLAPPED * FRAME_SAMPLES
HANN = np.hanning(WINDOW_SAMPLES + 1)[:-1].astype(np.float32)
MOST_NEPERS = 2.8
"""As much as a filter may raise or lower a frequency."""
SMOOTHING = np.array([1, 2, 3, 2, 1], np.float32) / 9
"""Over frames, since phones glide into each other."""
LOUDEST = 4.0
"""Factor by which a filtered sentence may be raised to its old loudness."""

WAYS, WAY_SPREAD = (-0.4, 1.3), 0.3
"""How far a speaker goes the way of the map to the other base, and how differently its mean does."""
PHONES_SHARE = 0.6
"""Each speaker's map is fitted to some of the phones only, so that no two are the same."""
FREE_MAP, FREE_SHIFT = 0.6, 0.8
"""Most of what is added to the map and to the mean freely, as a share of the size of the maps between the bases."""
OTHER_SHARE, MOST_OTHER = 0.3, 0.6
"""Of the speakers, those who also have some of the other base's own ways of saying each phone, and most of how much."""
STRENGTHS, STATE_STRENGTH, NEIGHBOUR_STRENGTH = (0.2, 1.1), 0.7, 0.5
"""Of what each phone does for itself; times that for each state, and for the phones before and after."""
MOVEMENT_SPREAD, MORE_SHARPNESS = 0.12, 0.18
FORMANTS = slice(2, None)
"""The coefficients that flite lifts by its sharpness."""

Wave = NDArray[np.float32]


@cache
def filter_shapes() -> Mceps:
    """What each coefficient of a mel-cepstrum adds to the logarithm of each bin, (NUM_MCEPS, n_bins)."""
    angles = np.linspace(0, np.pi, WINDOW_SAMPLES // 2 + 1)
    warped = angles + 2 * np.arctan(WARPING * np.sin(angles) / (1 - WARPING * np.cos(angles)))
    return np.cos(np.arange(NUM_MCEPS)[:, None] * warped).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Speaker:
    """A drawn one, made of a base.

    map: of all its spectra; other_share: of the way that is gone to the other base itself instead of by the map;
    offsets: of each state; before, after: what each phone adds to its neighbours; movement: factors on how far a sound
    strays from its state's mean; sharpness: how much further formants are lifted. (n_states + 1, NUM_MCEPS), twice
    (n_phones, NUM_MCEPS), twice (NUM_MCEPS,); pauses have zeros.
    """

    base: str
    map: Map
    other_share: float
    offsets: Mceps
    before: Mceps
    after: Mceps
    movement: NDArray[np.float32]
    sharpness: NDArray[np.float32]


def any_map(drawn: np.random.Generator, base: str, seen: Survey) -> Map:
    """Some of the way to the other base, or away from it, and some other way besides."""
    chosen = drawn.choice(seen.num_phones - 1, round(PHONES_SHARE * (seen.num_phones - 1)), replace=False)
    towards = fitted(*seen.means_of(base, chosen))
    way = drawn.uniform(*WAYS)
    freely = drawn.uniform(0, FREE_MAP) * drawn.standard_normal(seen.map_size.shape) * seen.map_size
    shift = drawn.uniform(0, FREE_SHIFT) * drawn.standard_normal(NUM_MCEPS) * seen.shift_size
    return Map(
        (way * towards.matrix + freely).astype(np.float32),
        towards.centre,
        ((way + drawn.normal(0, WAY_SPREAD)) * towards.shift + shift).astype(np.float32),
    )


def any_speaker(rng: random.Random, seen: Survey) -> Speaker:
    """A speaker; the same generator state gives the same."""
    base, drawn = rng.choice(BASES), np.random.default_rng(rng.getrandbits(48))
    strength = drawn.uniform(*STRENGTHS)

    def moves(count: int, spread: Mceps) -> Mceps:
        """Of so many phones or states, the last of which is a pause's."""
        rows = strength * (drawn.standard_normal((count, NUM_MCEPS)) @ spread.T)
        rows[-1] = 0
        return rows.astype(np.float32)

    sharpness = np.zeros(NUM_MCEPS, np.float32)
    sharpness[FORMANTS] = drawn.uniform(-MORE_SHARPNESS, MORE_SHARPNESS)
    return Speaker(
        base,
        any_map(drawn, base, seen),
        drawn.uniform(0, MOST_OTHER) if drawn.random() < OTHER_SHARE else 0.0,
        moves(seen.num_phones, seen.phone_root)[seen.phones]
        + np.float32(STATE_STRENGTH) * moves(len(seen.phones), seen.state_root),
        np.float32(NEIGHBOUR_STRENGTH) * moves(seen.num_phones, seen.state_root),
        np.float32(NEIGHBOUR_STRENGTH) * moves(seen.num_phones, seen.state_root),
        (1 + MOVEMENT_SPREAD * drawn.standard_normal(NUM_MCEPS)).astype(np.float32),
        sharpness,
    )


def neighbours(phones: NDArray[np.int64], pause: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each frame the phone before and the phone after its own, a pause at the ends."""
    changes = np.diff(phones) != 0
    places = np.concatenate([[0], np.cumsum(changes)])
    row = np.concatenate([[pause], phones[:-1][changes], phones[-1:], [pause]])
    return row[places], row[places + 2]


def moves_of(who: Speaker, track: Track, seen: Survey) -> Mceps:
    """By how much the speaker's spectrum as it sounds is apart from the base's in each frame, (n_frames, NUM_MCEPS)."""
    numbers = seen.numbers(track)
    phones = seen.phones[numbers]
    before, after = neighbours(phones, seen.num_phones - 1)
    own, other = (track[name].astype(np.float32) for name in ("own", "other"))
    moved = (
        who.other_share * (other - own)
        + (1 - who.other_share) * who.map(own)
        + who.offsets[numbers]
        + who.before[before]
        + who.after[after]
        + (who.movement - 1) * (own - seen.means[who.base][numbers])
        + who.sharpness * own
    )
    moved[numbers == len(seen.states)] = 0
    moved[:, FORMANTS] *= 1 + SHARPNESS
    padded = np.pad(moved, ((len(SMOOTHING) // 2,) * 2, (0, 0)), mode="edge")
    return np.stack([np.convolve(column, SMOOTHING, "valid") for column in padded.T], axis=1)


def filtered(wave: Wave, gains: NDArray[np.float32]) -> Wave:
    """A wave whose frequencies get other gains every FRAME_SAMPLES, by overlap-add; gains: (n_frames, n_bins)."""
    num_frames = len(wave) // FRAME_SAMPLES + NUM_OVERLAPPED
    padded = np.pad(wave, WINDOW_SAMPLES)
    frames = sliding_window_view(padded, WINDOW_SAMPLES)[::FRAME_SAMPLES][1 : num_frames + 1] * HANN
    rows = np.clip(np.arange(num_frames) + 1 - NUM_OVERLAPPED // 2, 0, len(gains) - 1)  # by the windows' middles
    parts = np.fft.irfft(np.fft.rfft(frames) * gains[rows]).reshape(num_frames, NUM_OVERLAPPED, FRAME_SAMPLES)
    out = np.zeros((num_frames + NUM_OVERLAPPED, FRAME_SAMPLES))
    for number in range(NUM_OVERLAPPED):
        out[number + 1 : number + 1 + num_frames] += parts[:, number]
    return (out.ravel()[WINDOW_SAMPLES:][: len(wave)] / HANN[::FRAME_SAMPLES].sum()).astype(np.float32)


def said_by(who: Speaker, clip: Clip, wave: Wave, seen: Survey) -> Wave:
    """The wave of a parallel clip as the speaker would say it, as loud as before."""
    if clip.track is None:
        raise ValueError(f"a clip of the voice {clip.info.voice} has no track; only parallel clips have one.")
    nepers = moves_of(who, clip.track, seen) @ filter_shapes()
    heard = filtered(wave, np.exp(np.clip(nepers, -MOST_NEPERS, MOST_NEPERS)))
    loudness = np.sqrt((wave**2).mean() / ((heard**2).mean() + 1e-9))
    return (heard * min(LOUDEST, loudness)).astype(np.float32)
