"""Packet digest: whether two demuxers give the same packets."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from itertools import islice

import av
from av.audio.stream import AudioStream
from av.packet import Packet


class PacketDigest:
    """Of all that decides on the PCM of the packets: their bytes, times, and what of them is to be skipped."""

    def __init__(self) -> None:
        self._num_packets = 0
        self._hash = hashlib.blake2b()

    def add(self, packet: Packet[AudioStream]) -> None:
        self._num_packets += 1
        side_data = [(side.data_type, bytes(side)) for side in packet.iter_sidedata()]
        self._hash.update(repr((packet.pts, packet.dts, packet.duration, packet.size, side_data)).encode())
        self._hash.update(bytes(packet))

    def are_first_of(self, packets: Iterator[Packet[AudioStream]]) -> bool:
        """Whether `packets` begin with those that were added; takes them from it."""
        others = PacketDigest()
        with contextlib.suppress(av.FFmpegError):
            for packet in islice(packets, self._num_packets):
                others.add(packet)
        return others._hash.digest() == self._hash.digest()
