"""Media files: opens one with the formats that are allowed, and finds its clock and length."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.audio.decoding.worker.formats import DECODERS, DEMUXERS, has_known_magic
from asr_api.audio.decoding.worker.media_clock import MAX_GAP_S, Clock, Timeline, with_next_pts
from asr_api.audio.decoding.worker.media_file import MediaFile, ReadableMedia

ID3_HEADER_BYTES = 10
FIRST_FRAME_BYTES = 2048  # at least the first frame of an MP3
OPEN_OPTIONS = {
    "format_whitelist": DEMUXERS,
    "codec_whitelist": ",".join(DECODERS),
    "protocol_whitelist": "none",
    "max_streams": "64",
}
# For files whose audio begins too late for the first probe: formats that list no streams, at high bit rates.
PATIENT_OPTIONS = OPEN_OPTIONS | {"probesize": str(2**26), "analyzeduration": str(600 * av.time_base)}
BUFFER_BYTES = 2**16
MAX_PACKET_S = 60.0  # a longer one is damaged; if it is not, the next timestamp makes up for it
# PyAV 18, the last for Python 3.11, accepts tags that are not UTF-8 only with this option; PyAV 19 always does.
TAG_OPTIONS: Any = {"metadata_errors": "ignore"} if hasattr(InputContainer, "metadata_errors") else {}
# Where the declared length is a count of samples and not an estimate from the bit rate.
MATROSKA, MOV = "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2"
EXACT_DEMUXERS = {"aiff", "au", "caf", "flac", MATROSKA, MOV, "nistsphere", "tta", "w64", "wav"}
PER_TRACK_DEMUXERS = {MOV, "mpeg", "mpegts"}  # the length of a stream counts from the start of that stream
LOOSE_DEMUXERS = {"act", "dss"}  # read on until an error, behind the last packet
COUNTING_DEMUXERS = {"amr", "amrnb", "amrwb"}  # damage makes packets of one byte, each with the duration of a full one


class Refused(Exception):
    """This media cannot be decoded; `reason` is one of ERRORS in decoder.py."""

    def __init__(self, reason: str, value: float = 0) -> None:
        super().__init__(reason)
        self.reason, self.value = reason, value


def decoding_error(media: ReadableMedia) -> Refused:
    """For a file that cannot be decoded: it is damaged if it has the magic number of a format, else no audio."""
    return Refused("damaged" if has_known_magic(media) else "unsupported_format")


def open_media(media: ReadableMedia) -> InputContainer:
    """Raises Refused. Where the first probe finds no audio, a second one reads more of the file."""
    container = _open(media, OPEN_OPTIONS)
    if any(stream.codec_context is not None and stream.codec_context.sample_rate for stream in container.streams.audio):
        return container
    container.close()
    return _open(media, PATIENT_OPTIONS)


def _open(media: ReadableMedia, options: dict[str, str]) -> InputContainer:
    media.rewind()
    try:
        container: InputContainer = av.open(media, mode="r", buffer_size=BUFFER_BYTES, options=options, **TAG_OPTIONS)
    except (av.FFmpegError, ValueError) as error:
        raise decoding_error(media) from error
    return container


def audio_stream(container: InputContainer, index: int) -> AudioStream:
    """The stream with this index among the streams of all kinds; decoded in one thread, as the sandbox wants it."""
    stream = next(stream for stream in container.streams.audio if stream.index == index)
    stream.codec_context.thread_count = 1
    return stream


def check_bounds(rate_hz: int, num_channels: int, limits: DecodeLimits) -> None:
    if not limits.min_rate_hz <= rate_hz <= limits.max_rate_hz:
        raise Refused("rate", rate_hz)
    if not 1 <= num_channels <= limits.max_channels:
        raise Refused("channels", num_channels)


def timeline(container: InputContainer, stream: AudioStream) -> Timeline:
    """The clock of a file begins with the first of its streams, or at zero where its headers say so."""
    is_counting = container.format.name in COUNTING_DEMUXERS or not stream.time_base
    tick_s = None if is_counting else float(stream.time_base or 0)
    start_s = (container.start_time or 0) / av.time_base
    length_s = (container.duration or 0) / av.time_base
    is_indexed = container.format.name == MOV and stream.frames > 0  # fragments may be cut out of a stream
    counts_from_zero = is_indexed or (container.format.name == MATROSKA and length_s > start_s)
    if not counts_from_zero or start_s > MAX_GAP_S:
        return Timeline(tick_s, start_s)
    return Timeline(tick_s, 0.0, length_s + start_s)


def declared_s(container: InputContainer, stream: AudioStream, clock: Timeline) -> float:
    """The length in the headers, from the start of the file's clock; 0 where they have none."""
    if stream.duration and stream.time_base:
        is_per_track = container.format.name in PER_TRACK_DEMUXERS
        begins_s = float((stream.start_time or 0) * stream.time_base) - clock.start_s if is_per_track else 0.0
        return max(0.0, begins_s) + float(stream.duration * stream.time_base)
    length_s = (container.duration or 0) / av.time_base
    is_end = container.format.name == MATROSKA and length_s > clock.start_s  # counted from zero, wherever it begins
    return length_s - clock.start_s if is_end else length_s


def packets(container: InputContainer, stream: AudioStream) -> Iterator[Packet[AudioStream]]:
    """Packets of one stream; the last one is empty. Raises FFmpegError where reading fails."""
    # Where streams are added during reading, PyAV flushes some that it has no object for, after ours has ended.
    with contextlib.suppress(IndexError):
        yield from container.demux(stream)


def measured_s(media: MediaFile, index: int, limits: DecodeLimits) -> float:
    """Adds up the packets of a stream without decoding them (15,000 times real time): no bomb is ever decoded."""
    length_s = 0.0
    with open_media(media) as container, contextlib.suppress(av.FFmpegError):  # a truncated file is that long
        stream = audio_stream(container, index)
        clock = Clock(timeline(container, stream))
        for packet, next_pts in with_next_pts(packets(container, stream)):
            clock.place(packet.pts, duration_s(packet), next_pts)
            length_s = clock.length_s
            if length_s > limits.max_audio_s:
                raise Refused("audio_too_long")
    return length_s


def duration_s(packet: Packet[AudioStream]) -> float:
    claim_s = float(packet.duration * packet.time_base) if packet.duration and packet.time_base else 0.0
    return min(claim_s, MAX_PACKET_S)


def is_exact(container: InputContainer, stream: AudioStream, media: MediaFile) -> bool:
    """Whether the declared length is counted in samples of this audio: no estimate, nor the length of a video."""
    if container.format.name == "mp3":
        return counts_frames(media)
    if container.format.name == MATROSKA:  # declares the length of the file alone
        return len(container.streams) == 1
    if container.format.name == MOV and not stream.frames and container.start_time:  # cut out of a longer stream
        return False
    return container.format.name in EXACT_DEMUXERS and (stream.duration is not None or len(container.streams) == 1)


def counts_frames(media: MediaFile) -> bool:
    """Whether an MP3 has the number of its frames in a Xing or VBRI header in its first frame."""
    first_frame = os.pread(media.fd, FIRST_FRAME_BYTES, id3_bytes(os.pread(media.fd, ID3_HEADER_BYTES, 0)))
    return any(mark in first_frame for mark in (b"Xing", b"Info", b"VBRI"))


def id3_bytes(head: bytes) -> int:
    """The size of the ID3v2 tag at the beginning of a file, of which `head` are the first ID3_HEADER_BYTES."""
    if not head.startswith(b"ID3") or len(head) < ID3_HEADER_BYTES:
        return 0
    return ID3_HEADER_BYTES + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])  # in bytes of 7 bits
