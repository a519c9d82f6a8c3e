"""Protocol between the server and a decoder worker: `DecodeLimits`, the frames of the reply, and the exit status.

A job is JSON, {"limits", "is_complete"}, with the descriptor of the media beside it. A reply is frames of (kind,
length, payload):

    READY    the worker waits for a job
    WAIT     the worker waits for the media to grow: {"beyond_bytes"}
    HEADERS  once, before PCM; the headers are read: {"duration_ms"}
    PCM      s16le, 16 kHz, mono
    SAME     once, before END; the media is complete, and all frames so far are those of the complete media
    END      the last frame: {"is_truncated", "is_damaged"}
    ERROR    the last frame instead: {"reason", "value"}

The server answers WAIT with MORE when the media is larger. It shuts its side of the channel down when the media is
complete, at any time.

The server checks all of this (reply.py). A worker that sends anything else counts as crashed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

FRAME_HEADER = struct.Struct("<cI")  # kind, bytes of payload
# A worker that was taken over must fill neither the server's memory nor its time.
MAX_FRAME_BYTES = 2**22  # of PCM
MAX_MESSAGE_BYTES = 256  # of any other kind
MIN_BLOCK_BYTES = 3200  # of PCM, 0.1 s; the last block may have less
READY, WAIT, HEADERS, PCM, SAME, END, ERROR = b"R", b"W", b"H", b"P", b"S", b"E", b"X"
MORE = b"M"

MAX_JOB_BYTES = 4096
EXIT_STATUS = struct.Struct("<i")  # as in subprocess: the exit code, or the negative number of a signal


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Bounds of one decoding, and how many run at once."""

    max_audio_s: float = 4 * 3600.0
    min_audio_s: float = 0.1
    max_stall_s: float = 20.0  # of a worker: for a frame, and behind real time; not while it waits for the server
    max_workers: int = 64  # generous: a paused worker costs only its memory (some 40 MB, most of it shared)
    max_memory_bytes: int = 2**29  # of one worker, for the media; four hours with video and three tracks take 421 MiB
    min_rate_hz: int = 4_000
    max_rate_hz: int = 384_000
    max_channels: int = 8

    @property
    def max_cpu_s(self) -> int:
        return 60 + int(self.max_audio_s / 20)  # the slowest codecs run at 200 times real time

    @property
    def max_memory_mib(self) -> int:
        return self.max_memory_bytes // 2**20
