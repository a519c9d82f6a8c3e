"""Where a media file ends: whether it lacks its end, and whether its writer knew where that would be.

In: the file and the name of its format. Out: claims, read from its own bytes, of formats in which they can be seen.
"""

from __future__ import annotations

import os
import struct

from asr_api.audio.decoding.worker.media import Media

TAIL_BYTES = 2**17  # an Ogg page has at most 65,307
OGG_HEADER_BYTES = 27
MAX_CHUNKS = 1000
UNKNOWN_LENGTH_BYTES = 0x7FFFF000  # from here on it is a placeholder of a writer that could not seek
# Where the first chunk is, how a chunk begins (name, length), and what its length is rounded up to.
CHUNKS = {"wav": (12, struct.Struct("<4sI"), 2), "caf": (8, struct.Struct(">4sq"), 1)}


def breaks_off(media: Media, format_name: str) -> bool:
    """Whether the file lacks its end, for formats of which that can be seen."""
    return {"wav": _wav_breaks_off, "ogg": _ogg_breaks_off}.get(format_name, lambda _: False)(media)


def _wav_breaks_off(media: Media) -> bool:
    """Whether the data chunk promises more bytes than there are."""
    at, length_bytes = _sound(media, "wav")
    return length_bytes < UNKNOWN_LENGTH_BYTES and at + length_bytes > media.size_bytes


def has_open_end(media: Media, format_name: str) -> bool:
    """Whether the writer did not know how long the sound would be, as into a pipe: it ends where the file does."""
    if format_name not in CHUNKS or os.pread(media.fd, 4, 0) == b"RF64":
        return False
    at, length_bytes = _sound(media, format_name)
    is_placeholder = length_bytes <= 0 or (
        length_bytes >= UNKNOWN_LENGTH_BYTES and at + length_bytes > media.size_bytes
    )
    return is_placeholder and at < media.size_bytes


def _sound(media: Media, format_name: str) -> tuple[int, int]:
    """Where it begins in a file of chunks, and the length that is promised, in bytes; the file's end without any."""
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


def _ogg_breaks_off(media: Media) -> bool:
    """Whether the last page lacks its end, or the mark that it is the last (RFC 3533)."""
    start = max(0, media.size_bytes - TAIL_BYTES)
    tail = os.pread(media.fd, TAIL_BYTES, start)
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < OGG_HEADER_BYTES or len(page) < OGG_HEADER_BYTES + page[26]:
        return True
    body_at = OGG_HEADER_BYTES + page[26]
    length_bytes = body_at + sum(page[OGG_HEADER_BYTES:body_at])
    return len(page) < length_bytes or not page[5] & 4
