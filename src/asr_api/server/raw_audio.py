"""Raw audio: samples without a header, before which a WAV header is put, so that the decoder knows what they are."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

RawEncoding = Literal["linear16", "linear32", "mulaw", "alaw"]

# Format tag of WAV, and bytes of a sample.
FORMATS: dict[RawEncoding, tuple[int, int]] = {"linear16": (1, 2), "linear32": (3, 4), "mulaw": (7, 1), "alaw": (6, 1)}
UNKNOWN_LENGTH = 0xFFFFFFFF  # up to the end of the file
# How the usual files begin: clients give an encoding for these, too.
FILE_MAGICS = (b"RIFF", b"RF64", b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3")
MAGIC_BYTES = 4


@dataclass(frozen=True, slots=True)
class RawFormat:
    """Little-endian; linear16 is whole numbers, linear32 floats."""

    encoding: RawEncoding
    sample_rate_hz: int
    num_channels: int = 1


def wav_header(raw: RawFormat) -> bytes:
    """Of samples that reach to the end of the file."""
    tag, sample_bytes = FORMATS[raw.encoding]
    frame_bytes = raw.num_channels * sample_bytes
    bytes_per_s = raw.sample_rate_hz * frame_bytes
    form = struct.pack("<HHIIHH", tag, raw.num_channels, raw.sample_rate_hz, bytes_per_s, frame_bytes, sample_bytes * 8)
    return b"".join((
        struct.pack("<4sI4s", b"RIFF", UNKNOWN_LENGTH, b"WAVE"),
        struct.pack("<4sI", b"fmt ", len(form)) + form,
        struct.pack("<4sI", b"data", UNKNOWN_LENGTH),
    ))  # fmt: skip


async def as_wav(raw: RawFormat, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks behind a WAV header; a file that has a header of its own, and an empty body, stay as they are."""
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) >= MAGIC_BYTES:
            break
    if head and not head.startswith(FILE_MAGICS):
        yield wav_header(raw)
    yield bytes(head)
    async for chunk in chunks:
        yield chunk
