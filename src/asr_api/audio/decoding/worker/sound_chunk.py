"""Sound chunk of WAV, RIFX, RF64, W64, AIFF, AU and CAF: where it is, and whether the length in the header was counted.

A writer that cannot go back to its header, as into a pipe, writes a length that it made up: 0 (ffmpeg for AIFF, and
recorders that crashed), all ones (ffmpeg, opusdec, AU), 2^31 less a header, a page or 64 KiB (sox, espeak, arecord,
GStreamer), 2^31 less 2^24 (sox for AIFF), 2,000,000,000 (pocket-tts). All but 0 are round numbers, chosen to be longer
than what follows. A length that was counted is near a round one by accident: one in a hundred of those above 1 GB.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

MAX_CHUNKS = 1000
MIN_PLACEHOLDER_BYTES = 10**9
ROUND_BYTES = (10**8, 2**24)  # a placeholder is near a multiple of one of them
ROUNDING_BYTES = 2**16  # how near: it leaves room for a header, and is a whole number of frames or pages
DS64_MAGICS = {b"RF64", b"BW64"}  # WAV whose first chunk, ds64, has the lengths in 64 bits
DS64_NUMBER = struct.Struct("<Q")
DS64_TOTAL_AT, DS64_SOUND_AT, DS64_FRAMES_AT = 20, 28, 36


class SoundEnd(Enum):
    """What a header and the size of the file say about the end of the sound."""

    PRESENT = auto()
    MISSING = auto()
    UNKNOWN = auto()  # the length was never known: the sound ends where the file does


@dataclass(frozen=True, slots=True)
class Extent:
    """A part of the file that begins at one offset, and whose length is written at another."""

    begins_at: int
    length_at: int
    number: struct.Struct
    length_bytes: int

    @property
    def ends_at(self) -> int:
        return self.begins_at + self.length_bytes

    @property
    def is_counted(self) -> bool:
        """Whether its length may be one that a writer has counted, and is no placeholder."""
        if self.length_bytes < MIN_PLACEHOLDER_BYTES - ROUNDING_BYTES:
            return self.length_bytes > 0
        distances = ((self.length_bytes + ROUNDING_BYTES) % step for step in ROUND_BYTES)
        return all(distance > 2 * ROUNDING_BYTES for distance in distances)


@dataclass(frozen=True, slots=True)
class FileChunk:
    name: bytes
    head_at: int
    extent: Extent


@dataclass(frozen=True, slots=True)
class SoundFile:
    """sound: of the sound chunk; total: of all chunks, where the format declares it"""

    magic: bytes
    sound: Extent
    total: Extent | None = None
    chunks: tuple[FileChunk, ...] = ()

    def end(self, size_bytes: int) -> SoundEnd:
        """The end is missing only if both lengths say so; a total of 0 says nothing."""
        if self.sound.length_bytes > 0 and self.sound.ends_at <= size_bytes:
            return SoundEnd.PRESENT
        extents = [self.sound, self.total] if self.total is not None and self.total.length_bytes else [self.sound]
        is_missing = all(extent.is_counted and extent.ends_at > size_bytes for extent in extents)
        is_missing &= self.sound.length_bytes != size_bytes  # some writers count the header, too
        return SoundEnd.MISSING if is_missing else SoundEnd.UNKNOWN


@dataclass(frozen=True, slots=True)
class ChunkLayout:
    """How a format is divided into chunks, each with its name and its length before it.

    number: type of a length; name_bytes, head_bytes: before the length, and before what it counts;
    total_at, total_begins_at: where the length of all chunks is written, if it is, and where it begins to count
    """

    sound: bytes
    number: struct.Struct
    first_at: int = 12
    name_bytes: int = 4
    head_bytes: int = 8
    alignment: int = 2
    total_at: int | None = 4
    total_begins_at: int = 8

    def chunks(self, fd: int, size_bytes: int) -> Iterator[FileChunk]:
        at, num_chunks = self.first_at, 0
        while at < size_bytes and num_chunks < MAX_CHUNKS:
            name = os.pread(fd, self.name_bytes, at)
            extent = _extent(fd, at + self.name_bytes, self.number, at + self.head_bytes)
            if extent is None:
                break
            yield FileChunk(name, at, extent)
            num_chunks += 1
            if extent.length_bytes < 0 or (name == self.sound and extent.length_bytes == 0):
                break  # the sound follows, not a chunk
            at += self.head_bytes + -(-extent.length_bytes // self.alignment) * self.alignment


RIFF = ChunkLayout(b"data", struct.Struct("<I"))
RIFX = ChunkLayout(b"data", struct.Struct(">I"))
AIFF = ChunkLayout(b"SSND", struct.Struct(">I"))
CAF = ChunkLayout(b"data", struct.Struct(">q"), first_at=8, head_bytes=12, alignment=1, total_at=None)
W64_SOUND = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"  # names are GUIDs, lengths include them
W64 = ChunkLayout(
    W64_SOUND,
    struct.Struct("<Q"),
    first_at=40,
    name_bytes=16,
    head_bytes=0,
    alignment=8,
    total_at=16,
    total_begins_at=0,
)
LAYOUTS = {b"RIFF": RIFF, b"RIFX": RIFX, b"RF64": RIFF, b"BW64": RIFF, b"riff": W64, b"FORM": AIFF, b"caff": CAF}


def find_sound(fd: int, size_bytes: int) -> SoundFile | None:
    """None for other formats, and for files without a sound chunk."""
    magic = os.pread(fd, 4, 0)
    if magic == b".snd":
        begins_at = int.from_bytes(os.pread(fd, 4, 4), "big")
        sound = _extent(fd, 8, struct.Struct(">I"), begins_at)
        return None if sound is None else SoundFile(magic, sound)
    if magic not in LAYOUTS:
        return None
    layout = LAYOUTS[magic]
    chunks = tuple(layout.chunks(fd, size_bytes))
    sound = next((chunk.extent for chunk in chunks if chunk.name == layout.sound), None)
    total = None if layout.total_at is None else _extent(fd, layout.total_at, layout.number, layout.total_begins_at)
    if sound is not None and magic in DS64_MAGICS:
        sound = _extent(fd, DS64_SOUND_AT, DS64_NUMBER, sound.begins_at)
        total = _extent(fd, DS64_TOTAL_AT, DS64_NUMBER, layout.total_begins_at)
    return None if sound is None else SoundFile(magic, sound, total, chunks)


def _extent(fd: int, length_at: int, number: struct.Struct, begins_at: int) -> Extent | None:
    """None where the file ends before the length."""
    field = os.pread(fd, number.size, length_at)
    return Extent(begins_at, length_at, number, number.unpack(field)[0]) if len(field) == number.size else None
