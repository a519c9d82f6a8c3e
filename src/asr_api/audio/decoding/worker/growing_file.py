"""Growing file: a media file that still arrives, as a file object without seeking that waits for bytes."""

from __future__ import annotations

import contextlib
import json
import socket
import sys

from asr_api.audio.decoding import protocol
from asr_api.audio.decoding.worker.channel import send
from asr_api.audio.decoding.worker.header_corrections import Corrections


class Arrival:
    """What the server says about the arrival of the file. See protocol.py."""

    def __init__(self, channel: socket.socket, *, is_complete: bool) -> None:
        self._channel = channel
        self._is_complete = is_complete

    @property
    def is_complete(self) -> bool:
        if not self._is_complete:
            with contextlib.suppress(BlockingIOError):
                self._is_complete = not self._channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        return self._is_complete

    def wait_beyond(self, size_bytes: int) -> None:
        """Returns when the file has more bytes, or is complete."""
        if not self.is_complete:
            send(self._channel, protocol.WAIT, json.dumps({"beyond_bytes": size_bytes}).encode())
            self._is_complete = not self._channel.recv(1)

    def wait_for_all(self) -> None:
        self.wait_beyond(sys.maxsize)

    def confirm(self) -> None:
        """Tells the server that everything it got so far is right for the complete file."""
        send(self._channel, protocol.SAME)


class GrowingFile:
    """What has arrived of the descriptor, as a file object for PyAV.

    It ends where the file becomes complete, wherever that is, and at `ends_at`: then `has_ended`, and what FFmpeg makes
    of this end is wrong.
    """

    def __init__(self, fd: int, arrival: Arrival, corrections: Corrections, ends_at: int = sys.maxsize) -> None:
        self.fd = fd
        self.has_ended = False
        self._arrival, self._corrections, self._ends_at = arrival, corrections, ends_at
        self._position = 0

    def read(self, num_bytes: int) -> bytes:
        while not self.has_ended:
            self.has_ended = self._arrival.is_complete or self._position >= self._ends_at
            wanted = min(num_bytes, self._ends_at - self._position)
            if not self.has_ended and (data := self._corrections.read(self.fd, self._position, wanted)):
                self._position += len(data)
                return data
            if not self.has_ended:
                self._arrival.wait_beyond(self._position)
        return b""

    def rewind(self) -> None:
        self._position = 0

    def reopened(self) -> GrowingFile:
        return GrowingFile(self.fd, self._arrival, self._corrections, self._ends_at)
