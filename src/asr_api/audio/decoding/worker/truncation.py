"""Truncation of media files, by their bytes: whether the end is missing, and whether the length was never known."""

from __future__ import annotations

import os

from asr_api.audio.decoding.worker.media_file import MediaFile
from asr_api.audio.decoding.worker.sound_chunk import SoundEnd, find_sound

TAIL_BYTES = 2**17  # an Ogg page has at most 65,307
OGG_HEADER_BYTES = 27
SOUND_CHUNK_FORMATS = {"aiff", "au", "caf", "qcp", "w64", "wav"}  # not ACT, which begins like WAV


def sound_end(media: MediaFile, format_name: str) -> SoundEnd | None:
    """Whether the end of the file is missing, for formats in which that can be seen; None for others."""
    if format_name == "ogg":
        return SoundEnd.MISSING if _ogg_breaks_off(media) else None
    if format_name not in SOUND_CHUNK_FORMATS:
        return None
    file = find_sound(media.fd, media.size_bytes)
    return None if file is None else file.end(media.size_bytes)


def _ogg_breaks_off(media: MediaFile) -> bool:
    """Whether the last page is incomplete or has no end-of-stream flag (RFC 3533)."""
    start = max(0, media.size_bytes - TAIL_BYTES)
    tail = os.pread(media.fd, TAIL_BYTES, start)
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < OGG_HEADER_BYTES or len(page) < OGG_HEADER_BYTES + page[26]:
        return True
    body_at = OGG_HEADER_BYTES + page[26]
    length_bytes = body_at + sum(page[OGG_HEADER_BYTES:body_at])
    return len(page) < length_bytes or not page[5] & 4
