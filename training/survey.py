"""What flite's statistical voices that may be heard sound like, state by state, and what makes one of the other.

In go parallel clips, out comes a `Survey`: mean spectra, and how much of the difference between the bases is one linear
map of all spectra, which is the most of it, and how much each phone's own. Knows nothing about drawn speakers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.clips import Clip, Track
from training.flite_library import NUM_MCEPS
from training.parallel import BASES, other_base

RIDGE = 0.3
MIN_FRAMES = 10
"""A state that was met less often tells nothing."""
PAUSE = b"pau"

Mceps = NDArray[np.float32]


def phone_of(state: bytes) -> bytes:
    """The phone in front of a state's number."""
    return state.partition(b"_")[0]


def root(rows: Mceps) -> Mceps:
    """A square root of the rows' second moments about zero; rows: (n, NUM_MCEPS)."""
    size, directions = np.linalg.eigh(rows.T @ rows / len(rows))
    return (directions * np.sqrt(np.maximum(size, 0.0))).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Map:
    """A spectrum → by how much another voice's is apart from it: (spectrum - centre) @ matrix + shift."""

    matrix: Mceps
    centre: Mceps
    shift: Mceps

    def __call__(self, spectra: Mceps) -> Mceps:
        """(n, NUM_MCEPS) → (n, NUM_MCEPS)."""
        return ((spectra - self.centre) @ self.matrix + self.shift).astype(np.float32)


def fitted(spectra: Mceps, others: Mceps) -> Map:
    """The map that leaves least unexplained, by ridge regression; both: (n_states, NUM_MCEPS)."""
    centre, shift = spectra.mean(axis=0), (others - spectra).mean(axis=0)
    rows, apart = spectra - centre, others - spectra - shift
    matrix = np.linalg.solve(rows.T @ rows + RIDGE * np.eye(NUM_MCEPS, dtype=np.float32), rows.T @ apart)
    return Map(matrix, centre, shift)


@dataclass(frozen=True, slots=True)
class Survey:
    """What the bases' sounds are, and how far apart.

    states: sorted, without pauses; phones: the number of each state's phone, then that of pauses; means: of each base,
    the mean spectrum of each state, then zeros, (n_states + 1, NUM_MCEPS); map_size, shift_size: of the entries of the
    maps between the bases; phone_root, state_root: (NUM_MCEPS, NUM_MCEPS), a standard normal vector times one of them
    is like what the maps leave of the phones, and of the states within a phone
    """

    states: NDArray[np.bytes_]
    phones: NDArray[np.int64]
    means: dict[str, Mceps]
    map_size: Mceps
    shift_size: Mceps
    phone_root: Mceps
    state_root: Mceps

    @property
    def num_phones(self) -> int:
        """With the pauses', which is the last."""
        return int(self.phones[-1]) + 1

    def numbers(self, track: Track) -> NDArray[np.int64]:
        """The number of each frame's state; pauses and what the survey did not meet have the last."""
        found = np.searchsorted(self.states, track["state"])
        known = self.states[np.minimum(found, len(self.states) - 1)] == track["state"]
        return np.where(known, found, len(self.states))

    def means_of(self, base: str, chosen: NDArray[np.int64]) -> tuple[Mceps, Mceps]:
        """The mean spectra of some phones' states, of a base and of the other."""
        rows = np.flatnonzero(np.isin(self.phones[:-1], chosen))
        return self.means[base][rows], self.means[other_base(base)][rows]


def survey(clips: Iterable[Clip]) -> Survey:
    """Of parallel clips."""
    tracks = [(clip.info.voice, clip.track) for clip in clips if clip.track is not None]
    names, counts = np.unique(np.concatenate([track["state"] for _, track in tracks]), return_counts=True)
    is_pause = np.array([phone_of(name) == PAUSE for name in names])
    states = names[~is_pause & (counts >= MIN_FRAMES)]
    phones = np.unique([phone_of(state) for state in states], return_inverse=True)[1]
    means = {base: state_means(states, tracks, base) for base in BASES}
    maps, left = [], []
    for base in BASES:
        own, other = means[base], means[other_base(base)]
        maps.append(fitted(own, other))
        left.append(other - own - maps[-1](own))
    of_phones = [np.stack([rows[phones == phone].mean(axis=0) for phone in range(phones.max() + 1)]) for rows in left]
    within = [rows - mean[phones] for rows, mean in zip(left, of_phones, strict=True)]
    return Survey(
        states,
        np.append(phones, phones.max() + 1),
        {base: np.pad(rows, ((0, 1), (0, 0))) for base, rows in means.items()},
        np.sqrt(np.mean([each.matrix**2 for each in maps], axis=0)),
        np.abs(maps[0].shift),
        root(np.concatenate(of_phones)),
        root(np.concatenate(within)),
    )


def state_means(states: NDArray[np.bytes_], tracks: list[tuple[str, Track]], base: str) -> Mceps:
    """The mean spectrum of each state as the base says it, heard or not, (n_states, NUM_MCEPS); tracks: with the voices
    that are heard.
    """
    sums, counts = np.zeros((len(states), NUM_MCEPS)), np.zeros(len(states))
    for voice, track in tracks:
        spoken = track[np.isin(track["state"], states)]
        numbers = np.searchsorted(states, spoken["state"])
        np.add.at(sums, numbers, spoken["own" if voice == base else "other"])
        np.add.at(counts, numbers, 1)
    return (sums / counts[:, None]).astype(np.float32)
