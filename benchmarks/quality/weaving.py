"""Long recordings woven from clips of one loudness, with pauses and noise: the same every time, with known passages."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr_api.pcm import SAMPLE_RATE_HZ
from benchmarks.peers.audio import pcm
from benchmarks.quality.recording import Passage, Recording

Samples = NDArray[np.float32]

GROUP = "long"
LOUDNESS = 0.08  # root mean square of the louder half of the frames, of full scale
FRAME = SAMPLE_RATE_HZ // 50
MIN_CLIP_S = 1.5
ENGLISH = ("fleurs-en", "lj", "read")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Of which clips a recording is woven, and how.

    groups:  clips of these sets
    max_pause_s: the longest pause after a clip; the shortest is none
    noise:   standard deviation of white noise, of full scale
    """

    name: str
    groups: tuple[str, ...]
    language: str
    seconds: int
    max_pause_s: float
    noise: float


PATTERNS = (
    Pattern("en-5-min-pauses", ENGLISH, "en", 300, 3, 0.0005),
    Pattern("en-5-min-tight", ENGLISH, "en", 300, 0.15, 0.0002),
    Pattern("en-5-min-noise", ENGLISH, "en", 300, 1, 0.008),
    Pattern("de-4-min", ("fleurs-de",), "de", 240, 2, 0.0005),
    Pattern("fr-4-min", ("fleurs-fr",), "fr", 240, 2, 0.0005),
    Pattern("en-15-min", ENGLISH, "en", 900, 3, 0.0005),
)


def woven(recordings: Sequence[Recording], folder: Path) -> list[Recording]:
    """One for each pattern that has clips, as WAV files in the folder with the passages as JSON beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for seed, pattern in enumerate(PATTERNS):
        clips = [clip for clip in recordings if clip.group in pattern.groups and clip.seconds > MIN_CLIP_S]
        if clips:
            found.append(weave(pattern, clips, folder / f"{pattern.name}.wav", seed))
    return found


def weave(pattern: Pattern, clips: Sequence[Recording], path: Path, seed: int) -> Recording:
    random = np.random.default_rng(seed)
    parts: list[Samples] = []
    passages: list[Passage] = []
    num_samples = 0
    for clip in shuffled(clips, random):
        if num_samples >= pattern.seconds * SAMPLE_RATE_HZ:
            break
        samples = with_loudness(full_scale(pcm(clip.path)))
        pause = np.zeros(int(random.uniform(0, pattern.max_pause_s) * SAMPLE_RATE_HZ), np.float32)
        end = num_samples + len(samples)
        passages.append(Passage(num_samples / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, clip.text))
        parts += [samples, pause]
        num_samples = end + len(pause)
    noise = random.standard_normal(num_samples, np.float32) * np.float32(pattern.noise)
    write_wav(path, np.concatenate(parts) + noise)
    marks = json.dumps([asdict(passage) for passage in passages], ensure_ascii=False, indent=1)
    path.with_suffix(".passages.json").write_text(marks, encoding="utf-8")
    text = " ".join(passage.text for passage in passages)
    return Recording(GROUP, path, pattern.language, text, num_samples / SAMPLE_RATE_HZ, tuple(passages))


def shuffled(clips: Sequence[Recording], random: np.random.Generator) -> Iterator[Recording]:
    """All clips in random order, again and again; a clip never follows itself if there are others."""
    last = -1
    while True:
        order = random.permutation(len(clips)).tolist()
        if order[0] == last:
            order.reverse()
        yield from (clips[index] for index in order)
        last = order[-1]


def full_scale(samples: NDArray[np.int16]) -> Samples:
    """From -1 to 1."""
    return samples.astype(np.float32) / np.float32(32768)


def with_loudness(samples: Samples) -> Samples:
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    powers = np.sort((frames**2).mean(axis=1))
    loudness = np.sqrt(powers[len(powers) // 2 :].mean())
    return np.clip(samples * np.float32(LOUDNESS / loudness), -1, 1)


def write_wav(path: Path, samples: Samples) -> None:
    """Leaves a file as it is that has these samples: another run of the bench may read it."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes())
    if not path.exists() or path.read_bytes() != data.getvalue():
        path.write_bytes(data.getvalue())
