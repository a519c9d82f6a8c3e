"""The clip store: single spoken sentences as int16 PCM in a few large files, each with a JSON-lines index.

In go `Clip`s from any synthesiser or recording; out come the same clips, read lazily through memory maps. What a
synthesiser tells of each moment of a clip, its track, is kept in a file beside.
Knows nothing about voices, grammars or models.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
FRAME_SAMPLES = 80
TRIM_LEVEL = 10 ** (-42 / 20)
"""Frames this far below the loudest frame count as silence at both ends of a clip."""

Pcm = NDArray[np.int16]
Track = NDArray[np.void]
"""A row for every FRAME_SAMPLES of a clip."""


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """What is said, by whom; `words_ms` are (start, end) of each word, empty where the synthesiser gave none."""

    text: str
    family: str
    voice: str
    split: str
    words_ms: list[list[int]]


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance without silence at its ends; pcm: (n_samples,) int16, 16 kHz; track: where the shard has one."""

    info: ClipInfo
    pcm: Pcm
    track: Track | None = None


def trimmed(pcm: Pcm) -> tuple[Pcm, int]:
    """The utterance without the silence around it, and the samples removed in front."""
    n_frames = len(pcm) // FRAME_SAMPLES
    if n_frames == 0:
        return pcm, 0
    frames = pcm[: n_frames * FRAME_SAMPLES].reshape(n_frames, FRAME_SAMPLES).astype(np.float32)
    level = np.sqrt((frames**2).mean(axis=1))
    loud = np.flatnonzero(level > level.max() * TRIM_LEVEL)
    start, end = int(loud[0]) * FRAME_SAMPLES, int(loud[-1] + 1) * FRAME_SAMPLES
    return pcm[start:end], start


def trimmed_clip(info: ClipInfo, pcm: Pcm, track: Track | None = None) -> Clip:
    """A clip without the silence around it, its word times and its track moved along and kept inside."""
    speech, cut = trimmed(pcm)
    length_ms, cut_ms = len(speech) * 1000 // SAMPLE_RATE, cut * 1000 // SAMPLE_RATE
    words = [[min(max(t - cut_ms, 0), length_ms) for t in word] for word in info.words_ms]
    if track is not None:
        track = track[cut // FRAME_SAMPLES :][: len(speech) // FRAME_SAMPLES]
    return Clip(ClipInfo(info.text, info.family, info.voice, info.split, words), speech, track)


def write_shard(folder: Path, name: str, clips: Iterable[Clip]) -> None:
    """Write one shard; it appears under its name only when complete, so that a broken run leaves none.

    Either all its clips have a track or none has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index_path, part = folder / f"{name}.jsonl", folder / f"{name}.part"
    start, tracks = 0, list[Track]()
    with (folder / f"{name}.pcm").open("wb") as pcm_file, part.open("w") as index_file:
        for clip in clips:
            pcm_file.write(clip.pcm.astype("<i2").tobytes())
            row = {"start": start, "n_samples": len(clip.pcm), **asdict(clip.info)}
            index_file.write(json.dumps(row) + "\n")
            start += len(clip.pcm)
            if clip.track is not None:
                tracks.append(clip.track)
    if tracks:
        np.save(folder / f"{name}.npy", np.concatenate(tracks))
    part.rename(index_path)


class ClipStore:
    """All complete shards of a folder; a clip's PCM is read when asked for."""

    def __init__(self, folder: Path) -> None:
        self.infos: list[ClipInfo] = []
        self._places: list[tuple[int, int, int]] = []
        self._maps: list[NDArray[np.int16]] = []
        self._tracks: list[Track | None] = []
        for index_path in sorted(folder.glob("*.jsonl")):
            self._maps.append(np.memmap(index_path.with_suffix(".pcm"), dtype="<i2", mode="r"))
            track_path = index_path.with_suffix(".npy")
            self._tracks.append(np.load(track_path, mmap_mode="r") if track_path.exists() else None)
            for line in index_path.read_text().splitlines():
                row = json.loads(line)
                self._places.append((len(self._maps) - 1, row.pop("start"), row.pop("n_samples")))
                self.infos.append(ClipInfo(**row))

    def n_samples(self, index: int) -> int:
        """Length of a clip in samples."""
        return self._places[index][2]

    def clip(self, index: int) -> Clip:
        """One clip, its PCM and its track copied out of the map."""
        shard, start, length = self._places[index]
        pcm, track = np.array(self._maps[shard][start : start + length]), self._tracks[shard]
        if track is not None:
            track = np.array(track[start // FRAME_SAMPLES :][: length // FRAME_SAMPLES])
        return Clip(self.infos[index], pcm, track)

    def select(self, split: str, families: tuple[str, ...] = ()) -> list[int]:
        """Indices of a split, of some families only if named."""
        return [
            i for i, info in enumerate(self.infos) if info.split == split and (not families or info.family in families)
        ]
