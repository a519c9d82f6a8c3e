"""Main program of a decoder worker: receives one job, decodes the media, sends frames of protocol.py, and exits."""

from __future__ import annotations

import contextlib
import importlib
import json
import pkgutil
import socket
from collections.abc import Iterator

import av
from av.audio.frame import AudioFrame

from asr_api.audio.decoding import protocol
from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.audio.decoding.worker import media
from asr_api.audio.decoding.worker.channel import send
from asr_api.audio.decoding.worker.decode_health import Health
from asr_api.audio.decoding.worker.growing_file import Arrival
from asr_api.audio.decoding.worker.media_clock import Clock
from asr_api.audio.decoding.worker.packet_source import DecodeJob, PacketSource, open_source
from asr_api.audio.decoding.worker.resampling import resampled
from asr_api.audio.decoding.worker.sandbox import confine_job, confine_worker
from asr_api.audio.decoding.worker.sound_chunk import SoundEnd
from asr_api.audio.decoding.worker.truncation import sound_end
from asr_api.pcm import SAMPLE_BYTES, SAMPLE_RATE_HZ

TRUNCATION_S = 0.5  # headers and decoders disagree by a frame or two


def work(channel: socket.socket, loaded_bytes: int) -> None:
    """Waits for one job and does it. Unless the worker crashes, the last frame is END or protocol.ERROR.

    loaded_bytes: address space that the process takes before any media
    """
    av.logging.set_level(av.logging.WARNING)
    av.logging.set_skip_repeated(False)
    confine_worker()
    send(channel, protocol.READY)
    message, fds, _, _ = socket.recv_fds(channel, protocol.MAX_JOB_BYTES, 1)
    if not fds:  # the server exited, or closed a spare worker
        return
    order = json.loads(message)
    limits = DecodeLimits(**order["limits"])
    confine_job(loaded_bytes + limits.max_memory_bytes, limits.max_cpu_s)
    try:
        with contextlib.ExitStack() as resources, av.logging.Capture() as messages:
            health = Health(messages)
            job = DecodeJob(fds[0], limits, Arrival(channel, is_complete=order["is_complete"]), health, resources)
            end = decode(open_source(job), limits, channel, health)
        send(channel, protocol.END, json.dumps(end).encode())
    except media.Refused as refused:
        send(channel, protocol.ERROR, json.dumps({"reason": refused.reason, "value": refused.value}).encode())
    except MemoryError:
        send(channel, protocol.ERROR, b'{"reason": "memory", "value": 0}')


def decode(source: PacketSource, limits: DecodeLimits, channel: socket.socket, health: Health) -> dict[str, bool]:
    """Sends the length, then the PCM as it is decoded; returns the payload of protocol.END."""
    clock = Clock(source.timeline)
    duration_ms = max(0, round(source.length_s * 1000)) or None  # headers may declare less than nothing
    send(channel, protocol.HEADERS, json.dumps({"duration_ms": duration_ms}).encode())
    num_samples = send_pcm(resampled(frames(source, health), clock, limits), limits, channel)
    complete = source.complete()
    if num_samples == 0:
        raise media.decoding_error(complete.file) if health.has_errors else media.Refused("empty_audio")
    end = sound_end(complete.file, complete.format_name)
    gaps_s = clock.gaps_s if health.num_errors else 0.0  # silence in place of damage is no decoded audio
    length_s = num_samples / SAMPLE_RATE_HZ - gaps_s
    is_short = complete.is_certain and end is None and length_s < complete.length_s - TRUNCATION_S
    is_bad = health.is_bad_at_the_end and complete.format_name not in media.LOOSE_DEMUXERS
    is_truncated = end is SoundEnd.MISSING or (end is not SoundEnd.UNKNOWN and (is_bad or is_short))
    return {"is_truncated": is_truncated, "is_damaged": health.has_recovered}


def send_pcm(blocks: Iterator[bytes], limits: DecodeLimits, channel: socket.socket) -> int:
    """Sends nothing before `min_audio_s` is decoded, nothing beyond `max_audio_s`; returns the number of samples.

    Short blocks, as around gaps, are joined.
    """
    num_samples = 0
    held = bytearray()
    for block in blocks:
        num_samples += len(block) // SAMPLE_BYTES
        if num_samples > limits.max_audio_s * SAMPLE_RATE_HZ:
            raise media.Refused("audio_too_long")
        held += block
        if len(held) >= protocol.MIN_BLOCK_BYTES and num_samples >= limits.min_audio_s * SAMPLE_RATE_HZ:
            send(channel, protocol.PCM, held)
            held.clear()
    if 0 < num_samples < limits.min_audio_s * SAMPLE_RATE_HZ:
        raise media.Refused("audio_too_short", num_samples / SAMPLE_RATE_HZ)
    if held:
        send(channel, protocol.PCM, held)
    return num_samples


def frames(source: PacketSource, health: Health) -> Iterator[AudioFrame]:
    """Decoded frames. A packet that cannot be decoded is skipped, as players do; a read error ends the stream."""
    try:
        for packet in source.packets():
            decoded, has_failed = [], False
            try:
                decoded = source.stream.decode(packet)
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
