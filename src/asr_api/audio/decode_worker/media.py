"""One media file: what it is, whether it may be decoded, how long it claims or turns out to be.

In: a descriptor. Out: an open container with one bounded audio stream, or `Refused`. Only containers and codecs on the
lists below exist for FFmpeg here, so a playlist or a picture cannot even be recognised.
"""

from __future__ import annotations

import contextlib
import os
import struct

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from asr_api.audio.decode_worker.job import Job

TAIL_BYTES = 2**17  # an Ogg page has at most 65,307
ID3_HEADER_BYTES = 10
OGG_HEADER_BYTES = 27
# Where the first chunk is, how a chunk begins (name, length), and what its length is rounded up to.
CHUNKS = {"wav": (12, struct.Struct("<4sI"), 2), "caf": (8, struct.Struct(">4sq"), 1)}
MAX_CHUNKS = 1000
UNKNOWN_LENGTH_BYTES = 0x7FFFF000  # from here on it is a placeholder of a writer that could not seek

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
OPEN_OPTIONS = {
    "format_whitelist": DEMUXERS,
    "codec_whitelist": DECODERS,
    "protocol_whitelist": "none",
    "max_streams": "64",
}
BUFFER_BYTES = 2**16
AV_MAJOR = int(av.__version__.split(".")[0])
LENIENT_AV_MAJOR = 19  # before it, PyAV had to be told to accept tags that are not UTF-8
# Where the declared length is a count of samples and not an estimate from the bit rate.
EXACT_DEMUXERS = {"aiff", "au", "caf", "flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "w64", "wav"}
MAGIC = {
    0: (b"RIFF", b"RF64", b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3", b"FORM", b".snd", b"caff", b"#!AMR", b"riff",
        b"0&\xb2u", b"\x0bw", b"FLV", b"wvpk", b"\xff\xfb", b"\xff\xf3", b"\xff\xf1", b"\xff\xf9"),
    4: (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"),
}  # fmt: skip


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

    def blame(self) -> Refused:
        """Why it cannot be decoded: what begins like a file that we read is damaged, anything else is none."""
        head = os.pread(self.fd, 16, 0)
        is_known = any(head.startswith(magic, at) for at, magics in MAGIC.items() for magic in magics)
        is_known |= head[:1] == b"\x47" and os.pread(self.fd, 1, 188) == b"\x47"  # MPEG transport stream
        return Refused("invalid_audio", "damaged") if is_known else Refused("unsupported_format")


def open_media(media: Media) -> InputContainer:
    media.seek(0)
    try:
        if AV_MAJOR < LENIENT_AV_MAJOR:
            return av.open(media, mode="r", metadata_errors="ignore", buffer_size=BUFFER_BYTES, options=OPEN_OPTIONS)
        return av.open(media, mode="r", buffer_size=BUFFER_BYTES, options=OPEN_OPTIONS)
    except (av.FFmpegError, ValueError, UnicodeError) as error:
        raise media.blame() from error


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
    if not job.min_rate_hz <= rate_hz <= job.max_rate_hz:
        raise Refused("invalid_audio", "rate", rate_hz)
    if not 1 <= num_channels <= job.max_channels:
        raise Refused("invalid_audio", "channels", num_channels)


def declared_s(container: InputContainer, stream: AudioStream) -> float:
    """What the headers say; 0 where they are silent."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def measured_s(media: Media, job: Job) -> float:
    """Sums up the packets without decoding them (some 15,000 times real time), so that no bomb is ever decoded."""
    length_s = 0.0
    with open_media(media) as container, contextlib.suppress(av.FFmpegError):  # a truncated file is that long
        for packet in container.demux(audio_stream(container, job)):
            length_s += float(packet.duration * packet.time_base) if packet.duration and packet.time_base else 0.0
            if length_s > job.max_audio_s:
                raise Refused("audio_too_long")
    return length_s


def is_exact(container: InputContainer, stream: AudioStream, media: Media) -> bool:
    """Whether the declared length is that of the sound, in samples, and not an estimate or that of a film."""
    if container.format.name == "mp3":
        return counts_frames(media)
    return container.format.name in EXACT_DEMUXERS and (stream.duration is not None or len(container.streams) == 1)


def counts_frames(media: Media) -> bool:
    """Whether an MP3 says how many frames it has, in a Xing or VBRI header in its first frame."""
    head = os.pread(media.fd, ID3_HEADER_BYTES, 0)
    tag_bytes = 0
    if head.startswith(b"ID3") and len(head) == ID3_HEADER_BYTES:  # sizes in ID3 are written in bytes of 7 bits
        tag_bytes = ID3_HEADER_BYTES + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    first_frame = os.pread(media.fd, 2048, tag_bytes)
    return any(mark in first_frame for mark in (b"Xing", b"Info", b"VBRI"))


def breaks_off(media: Media, format_name: str) -> bool:
    """Whether the file lacks its end, for formats of which that can be seen."""
    return {"wav": _wav_breaks_off, "ogg": _ogg_breaks_off}.get(format_name, lambda _: False)(media)


def _wav_breaks_off(media: Media) -> bool:
    """Whether the data chunk promises more bytes than there are."""
    at, length_bytes = _sound(media, "wav")
    return length_bytes < UNKNOWN_LENGTH_BYTES and at + length_bytes > media.size_bytes


def has_open_end(media: Media, format_name: str) -> bool:
    """Whether the writer did not know how long the sound would be, as into a pipe: it ends where the file does."""
    if format_name not in CHUNKS or os.pread(media.fd, 4, 0) == b"RF64":
        return False
    at, length_bytes = _sound(media, format_name)
    is_placeholder = length_bytes <= 0 or (
        length_bytes >= UNKNOWN_LENGTH_BYTES and at + length_bytes > media.size_bytes
    )
    return is_placeholder and at < media.size_bytes


def _sound(media: Media, format_name: str) -> tuple[int, int]:
    """Where it begins in a file of chunks, and the length that is promised, in bytes; the file's end without any."""
    at, head, step = CHUNKS[format_name]
    for _ in range(MAX_CHUNKS):
        begin = os.pread(media.fd, head.size, at) if 0 <= at < media.size_bytes else b""
        if len(begin) < head.size:
            break
        name, length_bytes = head.unpack(begin)
        at += head.size
        if name == b"data":
            return at, length_bytes
        at += -(-length_bytes // step) * step
    return media.size_bytes, 0


def _ogg_breaks_off(media: Media) -> bool:
    """Whether the last page lacks its end, or the mark that it is the last (RFC 3533)."""
    start = max(0, media.size_bytes - TAIL_BYTES)
    tail = os.pread(media.fd, TAIL_BYTES, start)
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < OGG_HEADER_BYTES or len(page) < OGG_HEADER_BYTES + page[26]:
        return True
    body_at = OGG_HEADER_BYTES + page[26]
    length_bytes = body_at + sum(page[OGG_HEADER_BYTES:body_at])
    return len(page) < length_bytes or not page[5] & 4
