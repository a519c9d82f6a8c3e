"""The program of one sandboxed process: one media file in (a descriptor), PCM out (frames on a socket).

Started by decode.py as a file, so it imports nothing of ours. It confines itself before it reads a byte of the media:
no new descriptor, file, process or network, bounded memory and CPU. Speaks on the socket that is its standard input:
a JSON job with the descriptor comes in; frames of (kind, length, payload) go out. Knows nothing about requests.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import pkgutil
import resource
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from typing import TypedDict

import av
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

RATE_HZ = 16_000
SAMPLE_BYTES = 2
GROUP_S = 0.5  # frames are resampled in groups: a crossing into the library for each of 26 ms is half of the cost
FRAME_HEADER = struct.Struct("<cI")
TAIL_BYTES = 2**17  # an Ogg page has at most 65,307
PARSER_DELAY_PACKETS = 1  # trouble with reading shows up this much before the packet that suffers
TRUNCATION_S = 0.5  # headers and decoders disagree by a frame or two

# Containers by demuxer name. Playlists and manifests are not among them and cannot be reached from those that are.
DEMUXERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,asf,au,avi,caf,eac3,flac,flv,matroska,webm,mov,mp4,m4a,mp3,mpegts,ogg,w64,wav,wv"
)
# Decoders by name, all of sound, so pictures and subtitles are never decoded, not even to probe them.
DECODERS = ",".join((
    *("aac", "aac_latm", "ac3", "alac", "amrnb", "amrwb", "dca", "eac3", "flac", "g726", "gsm", "gsm_ms", "libopus"),
    *("libopencore_amrnb", "libopencore_amrwb", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "nellymoser"),
    *("opus", "speex", "vorbis", "wavpack", "wmalossless", "wmapro", "wmav1", "wmav2", "wmavoice"),
    *(f"adpcm_{name}" for name in ("ima_qt", "ima_wav", "ms", "swf", "yamaha")),
    *(f"pcm_{name}" for name in ("alaw", "bluray", "dvd", "mulaw", "s8", "u8", "s8_planar", "s16le_planar")),
    *(f"pcm_{kind}{bits}{end}" for kind in "su" for bits in (16, 24, 32) for end in ("le", "be")),
    *("pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_s64le", "pcm_s64be"),
))  # fmt: skip
# Where the declared length is a count of samples and not an estimate from the bit rate.
EXACT_DEMUXERS = {"aiff", "au", "caf", "flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "w64", "wav"}
MAGIC = {
    0: (b"RIFF", b"RF64", b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3", b"FORM", b".snd", b"caff", b"#!AMR", b"riff",
        b"0&\xb2u", b"\x0bw", b"FLV", b"wvpk", b"\xff\xfb", b"\xff\xf3", b"\xff\xf1", b"\xff\xf9"),
    4: (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"),
}  # fmt: skip
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38


class Job(TypedDict):
    max_audio_s: float
    min_audio_s: float
    max_memory_bytes: int
    max_cpu_s: int
    min_rate_hz: int
    max_rate_hz: int
    max_channels: int


class Refused(Exception):
    """This media cannot be transcribed; `code` is one of errors.py, `reason` selects the sentence."""

    def __init__(self, code: str, reason: str = "", value: float = 0) -> None:
        super().__init__(code)
        self.code, self.reason, self.value = code, reason, value


class Media:
    """The descriptor as the file object that PyAV reads; its position is its own."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size_bytes = os.fstat(fd).st_size
        self.position = 0

    def read(self, num_bytes: int) -> bytes:
        data = os.pread(self.fd, num_bytes, self.position)
        self.position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.size_bytes}[whence]
        self.position = max(0, base + offset)
        return self.position

    def tell(self) -> int:
        return self.position

    def has_magic(self) -> bool:
        head = os.pread(self.fd, 16, 0)
        is_transport_stream = head[:1] == b"\x47" and os.pread(self.fd, 1, 188) == b"\x47"
        return is_transport_stream or any(
            head.startswith(magic, at) for at, magics in MAGIC.items() for magic in magics
        )


class Health:
    """What goes wrong on the way without being the end: FFmpeg often only logs it."""

    def __init__(self, messages: list[tuple[int, str, str]]) -> None:
        self.num_errors = 0
        self._num_good = PARSER_DELAY_PACKETS + 1  # packets since the latest trouble
        self._messages = messages  # (level, source, text), which the library goes on filling

    @property
    def is_bad_at_the_end(self) -> bool:
        return self._num_good <= PARSER_DELAY_PACKETS

    def note(self, *, is_packet: bool, has_failed: bool) -> None:
        """Once for every packet, and once for the end."""
        has_complained = any(level <= av.logging.ERROR or "corrupt" in text for level, _, text in self._messages)
        self._messages.clear()
        if has_failed or has_complained:
            self.num_errors += 1
            self._num_good = 0
        else:
            self._num_good += is_packet


def main() -> None:
    """Waits for one job, does it, ends. Every way out but a crash is a frame."""
    channel = socket.socket(fileno=0)
    load_everything()
    av.logging.set_level(av.logging.WARNING)
    av.logging.set_skip_repeated(False)
    confine_process()
    send(channel, b"R", b"")
    message, fds, _, _ = socket.recv_fds(channel, 4096, 1)
    if not fds:  # the server went away, or never needed us
        return
    job: Job = json.loads(message)
    confine_resources(job)
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
    """Sends the PCM as it is decoded; returns how the media ended."""
    hint_s = declared_s(media, job)
    send(channel, b"H", json.dumps({"duration_ms": round(hint_s * 1000) if hint_s else None}).encode())
    with open_media(media) as container:
        stream = audio_stream(container, job)
        num_samples = 0
        held = bytearray()  # until it is certain that there is enough
        for block in resampled(frames(container, stream, health), job):
            num_samples += len(block) // SAMPLE_BYTES
            if num_samples > job["max_audio_s"] * RATE_HZ:
                raise Refused("audio_too_long")
            held += block
            if num_samples >= job["min_audio_s"] * RATE_HZ:
                send(channel, b"P", held)
                held.clear()
        demuxer = container.format.name
    check_length(num_samples, job, health)
    is_exact = demuxer in EXACT_DEMUXERS or (demuxer == "mp3" and counts_frames(media))
    is_short = is_exact and hint_s is not None and num_samples / RATE_HZ < hint_s - TRUNCATION_S
    is_cut_ogg = demuxer == "ogg" and ogg_breaks_off(media)
    return {"is_truncated": health.is_bad_at_the_end or is_short or is_cut_ogg}


def check_length(num_samples: int, job: Job, health: Health) -> None:
    if num_samples == 0:
        raise Refused("invalid_audio", "damaged") if health.num_errors else Refused("empty_audio")
    if num_samples < job["min_audio_s"] * RATE_HZ:
        raise Refused("audio_too_short", value=num_samples / RATE_HZ)


# -- opening -----------------------------------------------------------------------------------------------------------


def open_media(media: Media) -> InputContainer:
    media.seek(0)
    try:
        return av.open(
            media,
            mode="r",
            metadata_errors="ignore",
            buffer_size=2**16,
            options={
                "format_whitelist": DEMUXERS,
                "codec_whitelist": DECODERS,
                "protocol_whitelist": "none",
                "max_streams": "64",
            },
        )
    except (av.FFmpegError, ValueError, UnicodeError) as error:
        raise Refused(*("invalid_audio", "damaged") if media.has_magic() else ("unsupported_format",)) from error


def audio_stream(container: InputContainer, job: Job) -> AudioStream:
    """The first audio stream, with bounds checked; the others are never decoded."""
    if not container.streams.audio:
        raise Refused("no_audio_stream")
    stream = container.streams.audio[0]
    context = stream.codec_context
    if context is None or context.name not in DECODERS.split(","):
        raise Refused("invalid_audio", "codec")
    check_bounds(context.sample_rate, context.channels, job)
    context.thread_count = 1
    return stream


def check_bounds(rate_hz: int, num_channels: int, job: Job) -> None:
    if not job["min_rate_hz"] <= rate_hz <= job["max_rate_hz"]:
        raise Refused("invalid_audio", "rate", rate_hz)
    if not 1 <= num_channels <= job["max_channels"]:
        raise Refused("invalid_audio", "channels", num_channels)


def declared_s(media: Media, job: Job) -> float | None:
    """The length, read off the headers; measured where they are silent or claim more than is allowed."""
    with open_media(media) as container:
        stream = audio_stream(container, job)
        if stream.duration and stream.time_base:
            length_s = float(stream.duration * stream.time_base)
        else:
            length_s = (container.duration or 0) / av.time_base
        if 0 < length_s <= job["max_audio_s"]:
            return length_s
        return measured_s(container, stream, job)


def measured_s(container: InputContainer, stream: AudioStream, job: Job) -> float | None:
    """Sums up the packets without decoding them (some 15,000 times real time), so that no bomb is ever decoded."""
    length_s = 0.0
    with contextlib.suppress(av.FFmpegError):  # the part before is what will be decoded
        for packet in container.demux(stream):
            length_s += float(packet.duration * packet.time_base) if packet.duration and packet.time_base else 0.0
            if length_s > job["max_audio_s"]:
                raise Refused("audio_too_long")
    return length_s or None


# -- decoding ----------------------------------------------------------------------------------------------------------


def frames(container: InputContainer, stream: AudioStream, health: Health) -> Iterator[AudioFrame]:
    """Decoded frames; a packet that cannot be decoded is skipped, as players do, and where reading fails is the end."""
    try:
        for packet in container.demux(stream):
            decoded, has_failed = [], False
            try:
                decoded = stream.decode(packet)
            except av.FFmpegError:
                has_failed = True
            health.note(is_packet=packet.size > 0, has_failed=has_failed)  # the last packet is empty and only flushes
            yield from decoded
    except av.FFmpegError:
        health.note(is_packet=False, has_failed=True)


def resampled(source: Iterator[AudioFrame], job: Job) -> Iterator[bytes]:
    """PCM blocks of about GROUP_S; starts afresh where the format of the stream changes."""
    signature: tuple[str, str, int] | None = None
    group, resampler = AudioFifo(), new_resampler()
    for frame in source:
        current = (frame.format.name, frame.layout.name, frame.sample_rate)
        if current != signature:
            check_bounds(frame.sample_rate, len(frame.layout.channels), job)
            yield from drained(group, resampler)
            signature, group, resampler = current, AudioFifo(), new_resampler()
        frame.pts = None
        group.write(frame)
        if group.samples >= GROUP_S * frame.sample_rate:
            yield from converted(resampler, group.read())
    yield from drained(group, resampler)


def new_resampler() -> AudioResampler:
    """Mixes down with weights that add up to one, so that nothing clips; libswresample's default filter."""
    return AudioResampler(format="s16", layout="mono", rate=RATE_HZ)


def drained(group: AudioFifo, resampler: AudioResampler) -> Iterator[bytes]:
    if group.samples:
        yield from converted(resampler, group.read())
    yield from converted(resampler, None)


def converted(resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[bytes]:
    for mono in resampler.resample(frame):
        yield bytes(memoryview(mono.planes[0])[: mono.samples * SAMPLE_BYTES])


def counts_frames(media: Media) -> bool:
    """Whether an MP3 says how many frames it has, in a Xing or VBRI header in its first frame."""
    head = os.pread(media.fd, 10, 0)
    tag_bytes = 0
    if head.startswith(b"ID3") and len(head) == 10:  # sizes in ID3 are written in bytes of 7 bits
        tag_bytes = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    first_frame = os.pread(media.fd, 2048, tag_bytes)
    return any(mark in first_frame for mark in (b"Xing", b"Info", b"VBRI"))


def ogg_breaks_off(media: Media) -> bool:
    """Whether the last page lacks its end, or the mark that it is the last (RFC 3533)."""
    start = max(0, media.size_bytes - TAIL_BYTES)
    tail = os.pread(media.fd, TAIL_BYTES, start)
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    length_bytes = 27 + page[26] + sum(page[27 : 27 + page[26]])
    return len(page) < length_bytes or not page[5] & 4


# -- the sandbox -------------------------------------------------------------------------------------------------------


def load_everything() -> None:
    """PyAV imports some of its parts when they are first needed, which the sandbox would not let it do."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if module.name not in {"av.__main__", "av.datasets"}:
            importlib.import_module(module.name)


def confine_process() -> None:
    """Dies with the server, gains no privilege, sees no network. What a platform lacks is left out: see below."""
    libc = ctypes.CDLL(None)
    if sys.platform == "linux":
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)  # containers often forbid it; no socket can be opened anyway
    os.chdir("/")


def confine_resources(job: Job) -> None:
    """From here on nothing can be opened or started: the number of new descriptors and processes is zero."""
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: 0,
        resource.RLIMIT_AS: job["max_memory_bytes"],
    }
    for kind, bound in bounds.items():
        resource.setrlimit(kind, (bound, bound))
    # The soft limit tells by its signal what happened; the hard one would kill like anything else.
    resource.setrlimit(resource.RLIMIT_CPU, (job["max_cpu_s"], job["max_cpu_s"] + 5))


def send(channel: socket.socket, kind: bytes, payload: bytes | bytearray) -> None:
    channel.sendall(FRAME_HEADER.pack(kind, len(payload)) + payload)


if __name__ == "__main__":
    main()
