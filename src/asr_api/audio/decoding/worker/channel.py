"""Channel of a worker: sends frames of protocol.py to the server."""

from __future__ import annotations

import socket

from asr_api.audio.decoding.protocol import FRAME_HEADER


def send(channel: socket.socket, kind: bytes, payload: bytes | bytearray = b"") -> None:
    channel.sendall(FRAME_HEADER.pack(kind, len(payload)) + payload)
