"""Takes one job, decodes, ends. A JSON `Job` and a descriptor come in on a socket; frames of (kind, length, payload) go
out on it:

    R  ready for a job          H  the headers are read: {"duration_ms"}
    P  PCM, s16le 16 kHz mono   E  the end: {"is_truncated", "is_damaged"}, or {"code", "reason",
                               "value"} of an error
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import socket
import struct
from collections.abc import Iterator

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from asr_api.audio.decoding.protocol import Job
from asr_api.audio.decoding.worker.media import (
    Media,
    Refused,
    audio_stream,
    declared_s,
    is_exact,
    measured_s,
    open_media,
    packets,
    timeline,
)
from asr_api.audio.decoding.worker.media_clock import Clock
from asr_api.audio.decoding.worker.resampling import RATE_HZ, SAMPLE_BYTES, resampled
from asr_api.audio.decoding.worker.sandbox import confine_resources, confine_worker
from asr_api.audio.decoding.worker.truncation import breaks_off, has_open_end

FRAME_HEADER = struct.Struct("<cI")
PARSER_DELAY_PACKETS = 1  # trouble with reading shows up this much before the packet that suffers
TRUNCATION_S = 0.5  # headers and decoders disagree by a frame or two


class Health:
    """What goes wrong on the way without being the end: FFmpeg often only logs it."""

    def __init__(self, messages: list[tuple[int, str, str]]) -> None:
        self.num_errors = 0
        self.has_recovered = False  # after trouble good packets came again
        self._num_good = PARSER_DELAY_PACKETS + 1  # packets since the latest trouble
        self._messages = messages  # (level, source, text), which the library goes on filling

    @property
    def is_bad_at_the_end(self) -> bool:
        return self._num_good <= PARSER_DELAY_PACKETS

    def note_headers(self) -> None:
        """Once when they are read: what was said of them, or of pictures, is no lost sound."""
        self.num_errors += self._has_complained()

    def note(self, *, is_packet: bool, has_failed: bool) -> None:
        """Once for every packet, and once for the end."""
        if self._has_complained() or has_failed:
            self.num_errors += 1
            self._num_good = 0
        else:
            self.has_recovered |= is_packet and self._num_good == PARSER_DELAY_PACKETS
            self._num_good += is_packet

    def _has_complained(self) -> bool:
        has_complained = any(level <= av.logging.ERROR or "corrupt" in text for level, _, text in self._messages)
        self._messages.clear()
        return has_complained


def work(channel: socket.socket) -> None:
    """Waits for one job, does it, ends. Every way out but a crash is a frame."""
    av.logging.set_level(av.logging.WARNING)
    av.logging.set_skip_repeated(False)
    confine_worker()
    send(channel, b"R", b"")
    message, fds, _, _ = socket.recv_fds(channel, 4096, 1)
    if not fds:  # the server went away, or never needed us
        return
    job = Job(**json.loads(message))
    confine_resources(job.max_memory_bytes, job.max_cpu_s)
    try:
        with av.logging.Capture() as messages:
            ending = decode(Media(fds[0]), job, channel, Health(messages))
        send(channel, b"E", json.dumps(ending).encode())
    except Refused as refused:
        report = {"code": refused.code, "reason": refused.reason, "value": refused.value}
        send(channel, b"E", json.dumps(report).encode())
    except MemoryError:
        send(channel, b"E", b'{"code": "invalid_audio", "reason": "memory"}')


def decode(media: Media, job: Job, channel: socket.socket, health: Health) -> dict[str, bool]:
    """Sends the length, then the PCM as it is decoded; returns whether that was all of the media."""
    with open_media(media) as container:
        stream = audio_stream(container, job)
        file_clock = timeline(container, stream)
        length_s, clock = declared_s(container, stream, file_clock), Clock(file_clock)
        is_certain = is_exact(container, stream, media)
        if not 0 < length_s <= job.max_audio_s:  # silent headers, or a claim that has to be checked
            length_s, is_certain = measured_s(Media(media.fd), job), False
        health.note_headers()
        send(channel, b"H", json.dumps({"duration_ms": round(length_s * 1000) or None}).encode())
        blocks = resampled(frames(container, stream, health), clock, job)
        num_samples = send_pcm(blocks, job, channel)
        is_cut = breaks_off(media, container.format.name)
        is_open = has_open_end(media, container.format.name)
    if num_samples == 0:
        raise media.blame() if health.num_errors else Refused("empty_audio")
    heard_s = num_samples / RATE_HZ - (clock.gaps_s if health.num_errors else 0.0)  # silence for damage is no sound
    is_short = is_certain and heard_s < length_s - TRUNCATION_S
    is_truncated = not is_open and (health.is_bad_at_the_end or is_short or is_cut)
    return {"is_truncated": is_truncated, "is_damaged": health.has_recovered}


def send_pcm(blocks: Iterator[bytes], job: Job, channel: socket.socket) -> int:
    """Sends nothing before there is enough to transcribe, and nothing beyond what is allowed; returns the samples."""
    num_samples = 0
    held = bytearray()
    for block in blocks:
        num_samples += len(block) // SAMPLE_BYTES
        if num_samples > job.max_audio_s * RATE_HZ:
            raise Refused("audio_too_long")
        held += block
        if held and num_samples >= job.min_audio_s * RATE_HZ:
            send(channel, b"P", held)
            held.clear()
    if held:
        raise Refused("audio_too_short", value=num_samples / RATE_HZ)
    return num_samples


def frames(container: InputContainer, stream: AudioStream, health: Health) -> Iterator[AudioFrame]:
    """Decoded frames; a packet that cannot be decoded is skipped, as players do, and where reading fails is the end."""
    try:
        for packet in packets(container, stream):
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
    """PyAV imports some of its parts when they are first needed, which the sandbox would not let it do."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if module.name not in {"av.__main__", "av.datasets"}:
            importlib.import_module(module.name)


def send(channel: socket.socket, kind: bytes, payload: bytes | bytearray) -> None:
    channel.sendall(FRAME_HEADER.pack(kind, len(payload)) + payload)
