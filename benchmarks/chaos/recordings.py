"""Recordings of the load: clips, samples, a file of ten minutes and one of an hour, each of which can be made unique.

The audio of a unique copy is the same, and so is its text, but no other request has the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_api.benchmark.speech import MINUTE, wav_bytes
from benchmarks.server.audio import cut_clips, read_recording, repeat

SAMPLES = Path(__file__).parents[2] / "samples"
NUM_CLIPS, CLIP_LENGTHS_S = 24, (3.0, 12.0)
TEN_MINUTES_S = 600.0
NUM_MINUTES = 79  # of the recording, which lasts 45.7 s: an hour
HOUR, TEN_MINUTES = "hour.mp3", "ten_minutes.wav"
RIFF_HEADER_BYTES = 8  # which the size in the header does not count


@dataclass(frozen=True, slots=True)
class Recording:
    name: str
    content: bytes

    def unique(self, number: int) -> bytes:
        """The same audio with this number behind it, as a chunk of WAV or a tag of mp3; other formats stay."""
        if self.name.endswith(".wav"):
            content = self.content + b"note" + struct.pack("<II", 4, number)
            return content[:4] + struct.pack("<I", len(content) - RIFF_HEADER_BYTES) + content[8:]
        if self.name.endswith(".mp3"):
            return self.content + b"TAG" + str(number).encode().ljust(125, b"\0")
        return self.content


def clip_names() -> list[str]:
    return [f"clip-{number:02}.wav" for number in range(NUM_CLIPS)]


def sample_names() -> list[str]:
    """Recordings of the repository, each of another format."""
    return sorted(path.name for path in SAMPLES.iterdir() if path.suffix not in {".tsv", ".md"})


async def make_recordings() -> dict[str, Recording]:
    pcm = await read_recording(MINUTE)
    clips = zip(clip_names(), cut_clips(pcm, NUM_CLIPS, CLIP_LENGTHS_S), strict=True)
    contents = {name: wav_bytes(clip) for name, clip in clips}
    contents |= {name: (SAMPLES / name).read_bytes() for name in sample_names()}
    contents[TEN_MINUTES] = wav_bytes(repeat(pcm, round(TEN_MINUTES_S * 16_000)))
    contents[HOUR] = MINUTE.read_bytes() * NUM_MINUTES  # frames of mp3 need no header
    return {name: Recording(name, content) for name, content in contents.items()}


def write_recordings(recordings: Mapping[str, Recording], folder: Path) -> None:
    for recording in recordings.values():
        (folder / recording.name).write_bytes(recording.content)


def read_recordings(folder: Path, names: Sequence[str]) -> dict[str, Recording]:
    return {name: Recording(name, (folder / name).read_bytes()) for name in names}
