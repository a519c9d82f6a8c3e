"""Truncation of media files, by their bytes: whether the end is missing, and whether the length was never known."""

from __future__ import annotations

import os
import struct

from asr_api.audio.decoding.worker.media import MediaFile

TAIL_BYTES = 2**17  # an Ogg page has at most 65,307
OGG_HEADER_BYTES = 27
MAX_CHUNKS = 1000
UNKNOWN_LENGTH_BYTES = 0x7FFFF000  # from here on it is a placeholder of a writer that could not seek
# Where the first chunk is, how a chunk begins (name, length), and what its length is rounded up to.
CHUNKS = {"wav": (12, struct.Struct("<4sI"), 2), "caf": (8, struct.Struct(">4sq"), 1)}


def breaks_off(media: MediaFile, format_name: str) -> bool:
    """Whether the end of the file is missing, for formats in which that can be seen."""
    return {"wav": _wav_breaks_off, "ogg": _ogg_breaks_off}.get(format_name, lambda _: False)(media)


def has_open_end(media: MediaFile, format_name: str) -> bool:
    """Whether the length was unknown when the file was written, as into a pipe: the sound ends where the file does."""
    if format_name not in CHUNKS or os.pread(media.fd, 4, 0) == b"RF64":
        return False
    at, length_bytes = _data_chunk(media, format_name)
    is_too_long = length_bytes >= UNKNOWN_LENGTH_BYTES and at + length_bytes > media.size_bytes
    return at < media.size_bytes and (length_bytes <= 0 or is_too_long)


def _wav_breaks_off(media: MediaFile) -> bool:
    """Whether the data chunk declares more bytes than there are."""
    at, length_bytes = _data_chunk(media, "wav")
    return length_bytes < UNKNOWN_LENGTH_BYTES and at + length_bytes > media.size_bytes


def _data_chunk(media: MediaFile, format_name: str) -> tuple[int, int]:
    """(start, declared length) of the sound, in bytes; (end of the file, 0) without a data chunk."""
    at, head, step = CHUNKS[format_name]
    for _ in range(MAX_CHUNKS):
        begin = os.pread(media.fd, head.size, at) if 0 <= at < media.size_bytes else b""
        if len(begin) < head.size:
            break
        name, length_bytes = head.unpack(begin)
        at += head.size
        if name == b"data":
            return at, length_bytes
        at += -(-length_bytes // step) * step
    return media.size_bytes, 0


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
