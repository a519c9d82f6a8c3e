"""Corrections of headers that FFmpeg misreads: lengths that were never known, and big-endian WAV (RIFX).

FFmpeg takes such a length for the true one, or refuses the file, and RIFX for noise. The file itself stays as it is.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
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
PCM_TAGS = frozenset({1, 3})  # whole numbers and floats
MAX_SAMPLE_BYTES = 8
EXTENSIBLE_TAG = b"\xff\xfe"
FORM = struct.Struct(">HHIIH")  # tag, channels, frames and bytes a second, bytes a frame
GUID_AT = 24  # which begins with the tag proper
# Bytes of the numbers of a WAVEFORMATEXTENSIBLE: those of FORM and the bits of a sample; then how many bytes follow,
# the bits of a sample that are used, the channel mask and three numbers of the GUID.
FORM_FIELD_BYTES = (2, 2, 4, 4, 2, 2)
EXTENSION_FIELD_BYTES = (2, 2, 4, 4, 2, 2)
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
class SwappedSamples:
    """Samples whose bytes are to be read in reverse order."""

    begins_at: int
    ends_at: int
    sample_bytes: int

    def apply(self, fd: int, data: bytearray, data_at: int) -> None:
        first, last = max(self.begins_at, data_at), min(self.ends_at, data_at + len(data))
        if first >= last:
            return
        skipped = (first - self.begins_at) % self.sample_bytes
        missing = (self.begins_at - last) % self.sample_bytes
        whole = os.pread(fd, skipped + last - first + missing, first - skipped)
        whole = whole[: len(whole) // self.sample_bytes * self.sample_bytes]
        swapped = bytearray(len(whole))
        for place in range(self.sample_bytes):
            swapped[place :: self.sample_bytes] = whole[self.sample_bytes - 1 - place :: self.sample_bytes]
        part = swapped[skipped : skipped + last - first]
        data[first - data_at : first - data_at + len(part)] = part


@dataclass(frozen=True, slots=True)
class Corrections:
    patches: tuple[Patch, ...] = ()
    samples: SwappedSamples | None = None

    def read(self, fd: int, at: int, num_bytes: int) -> bytes:
        """The bytes of the file as FFmpeg is to see them."""
        data = os.pread(fd, num_bytes, at)
        if not self.patches:
            return data
        corrected = bytearray(data)
        if self.samples is not None:
            self.samples.apply(fd, corrected, at)
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
    if file.magic != b"RIFX":
        return Corrections(lengths)
    ends_at = size_bytes if is_unknown else min(size_bytes, file.sound.ends_at)
    return Corrections(tuple(_little_endian(fd, file, lengths)), _swapped_samples(fd, file, ends_at))


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


def _little_endian(fd: int, file: SoundFile, lengths: Sequence[Patch]) -> Iterator[Patch]:
    """Patches that make RIFX RIFF; `lengths` are patches in big-endian order. What is no sound is hidden."""
    known = {patch.at: patch.data for patch in lengths}
    yield Patch(0, b"RIFF")
    for chunk in file.chunks:
        if chunk.name not in {b"fmt ", b"fact", b"data"}:
            yield Patch(chunk.head_at, b"JUNK")
    for at, num_bytes in _numbers(fd, file):
        yield Patch(at, (known.get(at) or os.pread(fd, num_bytes, at))[::-1])


def _numbers(fd: int, file: SoundFile) -> Iterator[tuple[int, int]]:
    """(offset, size) of every number in the headers of RIFX."""
    yield 4, 4
    for chunk in file.chunks:
        yield chunk.extent.length_at, 4
        if chunk.name == b"fact":
            yield chunk.extent.begins_at, 4
        if chunk.name == b"fmt ":
            yield from _form_numbers(fd, chunk.extent)


def _form_numbers(fd: int, form: Extent) -> Iterator[tuple[int, int]]:
    is_extensible = os.pread(fd, 2, form.begins_at) == EXTENSIBLE_TAG
    at = form.begins_at
    for num_bytes in FORM_FIELD_BYTES + (EXTENSION_FIELD_BYTES if is_extensible else EXTENSION_FIELD_BYTES[:1]):
        if at + num_bytes <= form.ends_at:
            yield at, num_bytes
        at += num_bytes


def _swapped_samples(fd: int, file: SoundFile, ends_at: int) -> SwappedSamples | None:
    """None for samples of one byte, and for codecs that are no PCM."""
    form_at = next((chunk.extent.begins_at for chunk in file.chunks if chunk.name == b"fmt "), None)
    form = b"" if form_at is None else os.pread(fd, GUID_AT + 4, form_at)
    if len(form) < FORM.size:
        return None
    tag, num_channels, _, _, frame_bytes = FORM.unpack_from(form)
    if form[:2] == EXTENSIBLE_TAG:
        tag = int.from_bytes(form[GUID_AT : GUID_AT + 4], "big")
    sample_bytes = frame_bytes // max(1, num_channels)
    if tag not in PCM_TAGS or not 2 <= sample_bytes <= MAX_SAMPLE_BYTES:
        return None
    return SwappedSamples(file.sound.begins_at, ends_at, sample_bytes)
