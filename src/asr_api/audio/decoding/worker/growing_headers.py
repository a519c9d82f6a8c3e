"""Growing headers: what the beginning of a file that still arrives says about how it can be read."""

from __future__ import annotations

import os
import sys

from asr_api.audio.decoding.worker.growing_file import Arrival, GrowingFile
from asr_api.audio.decoding.worker.header_corrections import Corrections, Patch
from asr_api.audio.decoding.worker.media import FIRST_FRAME_BYTES, ID3_HEADER_BYTES, id3_bytes
from asr_api.audio.decoding.worker.sound_chunk import DS64_MAGICS, LAYOUTS, find_sound

MAGIC_BYTES = 4
WAV_HEADERS_BYTES = 2**14  # a WAV whose sound begins later waits for its end
# The last frames of an MP3 that counts its bytes: whether their padding is cut off depends on the size of the file.
MP3_END_BYTES = 2**13
XING_SIZE, XING_FRAMES = 2, 1  # flags of the numbers that follow


def growing_file(fd: int, arrival: Arrival) -> GrowingFile | None:
    """None for formats that need the size of the file."""
    magic = _read(fd, arrival, 0, MAGIC_BYTES)
    if magic == b".snd" or magic in LAYOUTS:
        corrections = _wav_corrections(fd, arrival, magic)
        return None if corrections is None else GrowingFile(fd, arrival, corrections)
    ends_at = sys.maxsize
    if magic.startswith(b"ID3") or (magic[:1] == b"\xff" and magic[1:2] >= b"\xe0"):
        ends_at = _mp3_end(fd, arrival)
    return GrowingFile(fd, arrival, Corrections(), ends_at)


def _wav_corrections(fd: int, arrival: Arrival, magic: bytes) -> Corrections | None:
    """As `correct_headers` for little-endian WAV: a length that was never known is unknown to FFmpeg, too."""
    if magic != b"RIFF" and magic not in DS64_MAGICS:
        return None
    _read(fd, arrival, 0, WAV_HEADERS_BYTES)
    file = find_sound(fd, WAV_HEADERS_BYTES)
    if file is None:
        return None
    if file.sound.is_counted:
        return Corrections()
    return Corrections((Patch(file.sound.length_at, b"\xff" * 4),)) if magic == b"RIFF" else None


def _mp3_end(fd: int, arrival: Arrival) -> int:
    """Where the last frames begin by the size in a Xing header; sys.maxsize where there is none."""
    tag_bytes = id3_bytes(_read(fd, arrival, 0, ID3_HEADER_BYTES))
    frame = _read(fd, arrival, tag_bytes, FIRST_FRAME_BYTES)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    flags = int.from_bytes(frame[at + 4 : at + 8], "big") if at >= 0 else 0
    if not flags & XING_SIZE:
        return sys.maxsize
    size_at = at + 8 + (4 if flags & XING_FRAMES else 0)
    return max(0, tag_bytes + int.from_bytes(frame[size_at : size_at + 4], "big") - MP3_END_BYTES)


def _read(fd: int, arrival: Arrival, at: int, num_bytes: int) -> bytes:
    """Waits for the bytes; fewer where the file ends."""
    arrival.wait_beyond(at + num_bytes - 1)
    return os.pread(fd, num_bytes, at)
