"""Speakers drawn at random: parallel clips whose phones have their formants elsewhere.

What a model that learned from three voices of flite does not understand of a fourth is neither its pitch nor its
speed, but its spectra: each phone sounds a little different, always in the same way (docs/measurements.md). Most of
that is a bend of the frequency axis, one for the speaker and a little one for each phone, and some colour. So a drawn
speaker bends each phone's spectrum in a way of its own, without synthesis, and every window can have one.
"""

from __future__ import annotations

import random
from binascii import crc32
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.clips import Clip
from training.mceps import NUM_MCEPS, Curves, Mceps, Wave, angles, filtered, shapes
from training.parallel import PAUSE

NUM_KNOTS = 7
"""Of a bend: by how much the axis is moved there, in its angles; the ends stay."""
GRID = 128
SMOOTHING = np.array([1, 2, 3, 2, 1], np.float32) / 9
"""Over frames, since phones glide into each other."""
LOUDEST = 4.0
"""Factor by which a filtered sentence may be raised to its old loudness."""

TRACT_SPREAD, TRACT_SHAPE, FREE_SPREAD = 0.22, np.array([0, 0.5, 1, 1, 1, 0.4, 0]), 0.07
"""Of the speaker's bend: that of a vocal tract of another length, and what is added at each knot."""
OWN_SPREAD = np.array([0, 0.06, 0.15, 0.16, 0.2, 0.14, 0])
"""Of the phones' bends, as between the two statistical voices that may be heard."""
COLOUR_SPREAD = 0.5 * np.array([0.3, 0.25, *[0.2] * 10, *[0.12] * 13])
NUM_COLOURS, OWN_COLOUR = 3, 0.25
"""The coefficients in which phones have a colour of their own, and how much."""
STRENGTHS = (0.3, 1.3)
"""Of what phones do for themselves."""
PHONE_BEND, STATE_BEND, STATE_COLOUR = 0.8, 0.7, 0.6
"""Shares of that for each phone as a whole and for each of its states."""

Bends = NDArray[np.float32]
"""(n, NUM_KNOTS)."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """A drawn one. seed: of what its phones do, drawn when they are met; bend: (NUM_KNOTS,); colour: (NUM_MCEPS,)."""

    seed: int
    strength: float
    bend: NDArray[np.float64]
    colour: NDArray[np.float64]

    def state(self, name: bytes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How a state ("aa_1") is bent and coloured; a pause is neither."""
        phone = name.partition(b"_")[0]
        if phone == PAUSE:
            return np.zeros(NUM_KNOTS), np.zeros(NUM_MCEPS)
        of_phone, of_state = (np.random.default_rng((self.seed, crc32(part))) for part in (phone, name))
        own = PHONE_BEND * of_phone.standard_normal(NUM_KNOTS) + STATE_BEND * of_state.standard_normal(NUM_KNOTS)
        tint = of_phone.standard_normal(NUM_COLOURS) + STATE_COLOUR * of_state.standard_normal(NUM_COLOURS)
        colour = self.colour.copy()
        colour[:NUM_COLOURS] += self.strength * OWN_COLOUR * tint
        return self.bend + self.strength * OWN_SPREAD * own, colour


def any_speaker(rng: random.Random) -> Speaker:
    """A speaker; the same generator state gives the same."""
    seed = rng.getrandbits(48)
    drawn = np.random.default_rng(seed)
    bend = TRACT_SPREAD * drawn.standard_normal() * TRACT_SHAPE + FREE_SPREAD * drawn.standard_normal(NUM_KNOTS)
    bend[[0, -1]] = 0
    return Speaker(seed, drawn.uniform(*STRENGTHS), bend, COLOUR_SPREAD * drawn.standard_normal(NUM_MCEPS))


def smoothed(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """Over frames; (n_frames, n)."""
    padded = np.pad(rows, ((len(SMOOTHING) // 2,) * 2, (0, 0)), mode="edge")
    return sum(weight * padded[place:][: len(rows)] for place, weight in enumerate(SMOOTHING)).astype(np.float32)


def bent(mceps: Mceps, bends: Bends) -> Curves:
    """The logarithms of the spectra along bent axes, by linear interpolation."""
    knots = np.linspace(0, np.pi, NUM_KNOTS)
    hats = np.stack([np.interp(angles(), knots, row) for row in np.eye(NUM_KNOTS)])
    places = np.clip(angles() + bends @ hats, 0, np.pi) * ((GRID - 1) / np.pi)
    below = np.minimum(places.astype(np.int64), GRID - 2)
    curves = mceps @ shapes(np.linspace(0, np.pi, GRID, dtype=np.float32))
    low, high = (np.take_along_axis(curves, below + step, axis=1) for step in (0, 1))
    return (low + (places - below) * (high - low)).astype(np.float32)


def nepers_of(who: Speaker, states: NDArray[np.bytes_], mceps: Mceps) -> Curves:
    """By how much the speaker's spectrum is apart from these in each frame."""
    names, rows = np.unique(states, return_inverse=True)
    bends, colours = (np.stack(part) for part in zip(*(who.state(name) for name in names), strict=True))
    plain = shapes(angles())
    return bent(mceps, smoothed(bends[rows])) - mceps @ plain + smoothed(colours[rows]) @ plain


def said_by(who: Speaker, clip: Clip, wave: Wave) -> Wave:
    """The wave of a parallel clip as the speaker would say it, as loud as before."""
    if clip.track is None:
        raise ValueError(f"a clip of the voice {clip.info.voice} has no track; only parallel clips have one.")
    heard = filtered(wave, nepers_of(who, clip.track["state"], clip.track["spectrum"].astype(np.float32)))
    loudness = np.sqrt((wave**2).mean() / ((heard**2).mean() + 1e-9))
    return (heard * min(LOUDEST, loudness)).astype(np.float32)
