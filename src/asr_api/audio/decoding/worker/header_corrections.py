"""Corrections of headers that FFmpeg misreads: lengths that were never known.

FFmpeg takes such a length for the true one, or refuses the file. The file itself stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from asr_api.audio.decoding.worker.sound_chunk import (
    DS64_FRAMES_AT,
    DS64_MAGICS,
    Extent,
    SoundEnd,
    SoundFile,
    find_sound,
)

MAX_SIGNED_BYTES = 2**31 - 1
AIFF_FRAMES_AT = 2  # in the COMM chunk, behind the channels


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes that stand in the place of others."""

    at: int
    data: bytes

    def apply(self, data: bytearray, data_at: int) -> None:
        first, last = max(self.at, data_at), min(self.at + len(self.data), data_at + len(data))
        if first < last:
            data[first - data_at : last - data_at] = self.data[first - self.at : last - self.at]


@dataclass(frozen=True, slots=True)
class Corrections:
    patches: tuple[Patch, ...] = ()

    def read(self, fd: int, at: int, num_bytes: int) -> bytes:
        """The bytes of the file as FFmpeg is to see them."""
        data = os.pread(fd, num_bytes, at)
        if not self.patches:
            return data
        corrected = bytearray(data)
        for patch in self.patches:
            patch.apply(corrected, at)
        return bytes(corrected)


def correct_headers(fd: int, size_bytes: int) -> Corrections:
    """No corrections for a file that FFmpeg reads as it is."""
    file = find_sound(fd, size_bytes)
    if file is None:
        return Corrections()
    is_unknown = file.end(size_bytes) is SoundEnd.UNKNOWN
    is_negative = file.magic == b".snd" and file.sound.length_bytes > MAX_SIGNED_BYTES  # as FFmpeg reads AU
    lengths = tuple(_true_lengths(file, size_bytes)) if is_unknown or is_negative else ()
    return Corrections(lengths)


def _true_lengths(file: SoundFile, size_bytes: int) -> Iterator[Patch]:
    """The lengths as if the file were whole; a number of frames beside them becomes 0, which is unknown to FFmpeg."""
    for extent in (file.sound, file.total):
        if extent is not None:
            yield Patch(extent.length_at, _number(extent, size_bytes - extent.begins_at))
    if file.magic in DS64_MAGICS:
        yield Patch(DS64_FRAMES_AT, bytes(8))
    for chunk in file.chunks:
        if file.magic == b"FORM" and chunk.name == b"COMM":
            yield Patch(chunk.extent.begins_at + AIFF_FRAMES_AT, bytes(4))


def _number(extent: Extent, length_bytes: int) -> bytes:
    """All ones, which is unknown to FFmpeg, for a length above 2 GiB in 4 bytes."""
    is_too_long = extent.number.size == 4 and length_bytes > MAX_SIGNED_BYTES
    return b"\xff" * 4 if is_too_long else extent.number.pack(max(0, length_bytes))
