"""Protocol between the server and a decoder worker: the `Job`, the frames of the reply, and the exit status.

A job is JSON with the descriptor of the media beside it. A reply is frames of (kind, length, payload):

    READY    the worker waits for a job
    HEADERS  the headers are read: {"duration_ms"}
    PCM      s16le, 16 kHz, mono
    END      the last frame: {"is_truncated", "is_damaged"}
    ERROR    the last frame instead: {"code", "reason", "value"}
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

FRAME_HEADER = struct.Struct("<cI")  # kind, bytes of payload
MAX_FRAME_BYTES = 2**22  # a compromised worker must not fill the server's memory
READY, HEADERS, PCM, END, ERROR = b"R", b"H", b"P", b"E", b"X"

MAX_JOB_BYTES = 4096
EXIT_STATUS = struct.Struct("<i")  # as in subprocess: the exit code, or the negative number of a signal


@dataclass(frozen=True, slots=True)
class Job:
    """Bounds of one decoding."""

    max_audio_s: float
    min_audio_s: float
    min_rate_hz: int
    max_rate_hz: int
    max_channels: int
    max_memory_bytes: int
    max_cpu_s: int


def pack_frame(kind: bytes, payload: bytes | bytearray = b"") -> bytes:
    return FRAME_HEADER.pack(kind, len(payload)) + payload
