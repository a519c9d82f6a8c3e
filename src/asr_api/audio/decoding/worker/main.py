"""Main program of a decoder worker: receives one job, decodes the media, sends frames of protocol.py, and exits."""

from __future__ import annotations

import importlib
import json
import pkgutil
import socket
from collections.abc import Iterator

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from asr_api.audio.decoding import protocol
from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.audio.decoding.worker import media
from asr_api.audio.decoding.worker.audio_tracks import open_track
from asr_api.audio.decoding.worker.media_clock import Clock
from asr_api.audio.decoding.worker.media_file import MediaFile
from asr_api.audio.decoding.worker.resampling import resampled
from asr_api.audio.decoding.worker.sandbox import confine_resources, confine_worker
from asr_api.audio.decoding.worker.sound_chunk import SoundEnd
from asr_api.audio.decoding.worker.truncation import sound_end
from asr_api.pcm import SAMPLE_BYTES, SAMPLE_RATE_HZ

PARSER_DELAY_PACKETS = 1  # a read error is reported this many packets before the packet that it affects
TRUNCATION_S = 0.5  # headers and decoders disagree by a frame or two


class Health:
    """Counts errors that do not stop the decoding; FFmpeg often reports them in its log alone."""

    def __init__(self, messages: list[tuple[int, str, str]]) -> None:
        self.has_bad_headers = False
        self.num_errors = 0  # behind the headers
        self.has_recovered = False  # good packets came after an error
        self._num_good = PARSER_DELAY_PACKETS + 1  # packets since the latest error
        self._messages = messages  # (level, source, text); the library appends to it

    def note_headers(self) -> None:
        """Call it once after the headers: errors in them, in pictures or in other tracks, lose no audio."""
        self.has_bad_headers = self._has_new_error()

    def note(self, *, is_packet: bool, has_failed: bool) -> None:
        """Call it once for each packet, and once for the end."""
        if self._has_new_error() or has_failed:
            self.num_errors += 1
            self._num_good = 0
        else:
            self.has_recovered |= is_packet and self._num_good == PARSER_DELAY_PACKETS
            self._num_good += is_packet

    @property
    def has_errors(self) -> bool:
        return self.has_bad_headers or self.num_errors > 0

    @property
    def is_bad_at_the_end(self) -> bool:
        return self._num_good <= PARSER_DELAY_PACKETS

    def _has_new_error(self) -> bool:
        has_error = any(level <= av.logging.ERROR or "corrupt" in text for level, _, text in self._messages)
        self._messages.clear()
        return has_error


def work(channel: socket.socket) -> None:
    """Waits for one job and does it. Unless the worker crashes, the last frame is END or protocol.ERROR."""
    av.logging.set_level(av.logging.WARNING)
    av.logging.set_skip_repeated(False)
    confine_worker()
    send(channel, protocol.READY)
    message, fds, _, _ = socket.recv_fds(channel, protocol.MAX_JOB_BYTES, 1)
    if not fds:  # the server exited, or closed a spare worker
        return
    limits = DecodeLimits(**json.loads(message))
    confine_resources(limits.max_memory_bytes, limits.max_cpu_s)
    try:
        with av.logging.Capture() as messages:
            end = decode(MediaFile(fds[0]), limits, channel, Health(messages))
        send(channel, protocol.END, json.dumps(end).encode())
    except media.Refused as refused:
        send(channel, protocol.ERROR, json.dumps({"reason": refused.reason, "value": refused.value}).encode())
    except MemoryError:
        send(channel, protocol.ERROR, b'{"reason": "memory", "value": 0}')


def decode(file: MediaFile, limits: DecodeLimits, channel: socket.socket, health: Health) -> dict[str, bool]:
    """Sends the length, then the PCM as it is decoded; returns the payload of protocol.END."""
    with media.open_media(file) as container:
        stream = open_track(container, file, limits)
        file_clock = media.timeline(container, stream)
        length_s, clock = media.declared_s(container, stream, file_clock), Clock(file_clock)
        is_certain = media.is_exact(container, stream, file)
        if not 0 < length_s <= limits.max_audio_s:  # nothing is declared, or a length that has to be checked
            length_s, is_certain = media.measured_s(MediaFile(file.fd), stream.index, limits), False
        health.note_headers()
        send(channel, protocol.HEADERS, json.dumps({"duration_ms": round(length_s * 1000) or None}).encode())
        blocks = resampled(frames(container, stream, health), clock, limits)
        num_samples = send_pcm(blocks, limits, channel)
        end = sound_end(file, container.format.name)
        has_loose_end = container.format.name in media.LOOSE_DEMUXERS
    if num_samples == 0:
        raise media.decoding_error(file) if health.has_errors else media.Refused("empty_audio")
    gaps_s = clock.gaps_s if health.num_errors else 0.0  # silence in place of damage is no decoded audio
    is_short = is_certain and end is None and num_samples / SAMPLE_RATE_HZ - gaps_s < length_s - TRUNCATION_S
    is_bad = health.is_bad_at_the_end and not has_loose_end
    is_truncated = end is SoundEnd.MISSING or (end is not SoundEnd.UNKNOWN and (is_bad or is_short))
    return {"is_truncated": is_truncated, "is_damaged": health.has_recovered}


def send_pcm(blocks: Iterator[bytes], limits: DecodeLimits, channel: socket.socket) -> int:
    """Sends nothing before `min_audio_s` is decoded, nothing beyond `max_audio_s`; returns the number of samples."""
    num_samples = 0
    held = bytearray()
    for block in blocks:
        num_samples += len(block) // SAMPLE_BYTES
        if num_samples > limits.max_audio_s * SAMPLE_RATE_HZ:
            raise media.Refused("audio_too_long")
        held += block
        if held and num_samples >= limits.min_audio_s * SAMPLE_RATE_HZ:
            send(channel, protocol.PCM, held)
            held.clear()
    if held:
        raise media.Refused("audio_too_short", num_samples / SAMPLE_RATE_HZ)
    return num_samples


def frames(container: InputContainer, stream: AudioStream, health: Health) -> Iterator[AudioFrame]:
    """Decoded frames. A packet that cannot be decoded is skipped, as players do; a read error ends the stream."""
    try:
        for packet in media.packets(container, stream):
            decoded, has_failed = [], False
            try:
                decoded = stream.decode(packet)
            except av.FFmpegError:
                has_failed = True
            health.note(is_packet=packet.size > 0, has_failed=has_failed)  # the last packet is empty and only flushes
            yield from decoded
    except av.FFmpegError:
        health.note(is_packet=False, has_failed=True)


def load_everything() -> None:
    """PyAV imports some of its modules on first use, which the sandbox would not allow."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if module.name not in {"av.__main__", "av.datasets"}:
            importlib.import_module(module.name)


def send(channel: socket.socket, kind: bytes, payload: bytes | bytearray = b"") -> None:
    channel.sendall(protocol.FRAME_HEADER.pack(kind, len(payload)) + payload)
