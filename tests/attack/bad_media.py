"""Bad media, for each of two routes: what is no audio, lies about itself, breaks off, is too long, or is only odd."""

from __future__ import annotations

import io
import struct
from fractions import Fraction

import av
import numpy as np

from asr_api.benchmark.speech import wav_bytes
from tests.attack.watched_server import BadInput, Request, upload
from tests.audio.decoding.test_damage import invalid_audio, no_audio
from tests.audio.media_files import VIDEO_ENCODER, encodable, encoded, need_ffmpeg, silent_flac, wav, wav_header
from tests.audio.media_files import signal as speech

MAX_AUDIO_S = 60  # a setting of the attacked server
RATE_HZ = 16_000
MP4_HEAD = b"\0\0\0\x18ftypM4A \0\0\0\0M4A \0\0\0\0"
CUT_HEADER = "webm header only"  # without a zero byte, so that it looks like what curl -d sends
OPENAI = "/v1/audio/transcriptions"


def media_rows() -> list[BadInput]:
    good_s = good_media()
    rows = [row for name, (data, code, status) in refused_media().items() for row in _rows(name, data, status, code)]
    rows += [row for name, (data, length_s) in good_s.items() for row in _rows(name, data, 200, "", length_s)]
    return rows


def _rows(name: str, data: bytes, status: int, code: str, length_s: float | None = None) -> list[BadInput]:
    requests = {"/asr": Request("/asr", data), OPENAI: upload(data)}
    headers = {path: length_s if path == "/asr" else None for path in requests}
    return [
        BadInput(f"{name} ({path})", request, status, code, length_s=headers[path])
        for path, request in requests.items()
    ]


def refused_media() -> dict[str, tuple[bytes, str, int]]:
    """Data, code and status."""
    second = speech(1.0)
    m4a = encoded("m4a-index-last")
    noise = np.random.default_rng(4)
    unsupported = no_audio() | {
        "m3u": b"#EXTM3U\nhttp://127.0.0.3/a.mp3\n",
        "pls": b"[playlist]\nFile1=http://127.0.0.3/a.mp3\n",
        "hls with a link": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.3/a.ts\n#EXT-X-ENDLIST\n",
        "metadata of ffmpeg": b";FFMETADATA1\ntitle=x\n",
        "subtitles": b"1\n00:00:00,000 --> 00:00:01,000\nHello\n",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    }
    invalid = {name: data for name, data in invalid_audio().items() if name != CUT_HEADER} | {
        "encrypted m4p": encrypted(m4a, b"drms"),
        "encrypted m4a": encrypted(m4a, b"enca"),
        "boxes in boxes": nested_boxes(20_000),
        "1 Hz for a month": wav_header(5 * 2**20, 1) + bytes(5 * 2**20),
        **{f"random behind {magic!r}": magic + noise.bytes(4096) for magic in (b"fLaC", b"OggS", b"\x1aE\xdf\xa3")},
    }
    too_long = {
        "an hour of silent FLAC": silent_flac(3600),
        "longer than allowed by its header": wav_bytes(np.zeros((MAX_AUDIO_S + 1) * RATE_HZ, np.int16)),
    }
    short = {"one sample": wav(second[:1], RATE_HZ), "99 ms": wav(second[:1584], RATE_HZ)}
    no_track = {"video alone": video_alone(), "boxes without an end": MP4_HEAD + b"\0\0\0\x08moov" * 2000}
    found = {name: (data, "unsupported_format", 415) for name, data in unsupported.items()}
    found |= {name: (data, "invalid_audio", 400) for name, data in invalid.items()}
    found |= {name: (data, "audio_too_long", 413) for name, data in too_long.items()}
    found |= {name: (data, "audio_too_short", 400) for name, data in short.items()}
    found |= {name: (data, "no_audio_stream", 400) for name, data in no_track.items()}
    found["header only"] = (wav_header(0, RATE_HZ), "empty_audio", 400)
    # FFmpeg reads no sample of it within the limit of memory, and says nothing.
    found["an index of 20 million samples"] = (with_many_samples(m4a), "empty_audio", 400)
    return found


def good_media() -> dict[str, tuple[bytes, float | None]]:
    """Odd, but to be transcribed; data and length."""
    second = speech(1.0)
    pcm = wav(second, RATE_HZ)[44:]
    found: dict[str, tuple[bytes, float | None]] = {
        "claims 4 GiB": (wav_header(0xFFFFFFFF, RATE_HZ) + pcm, 1.0),
        "NaN": (wav(np.full_like(second, np.nan), RATE_HZ, "f32"), 1.0),
        "infinity": (wav(np.where(second > 0, np.inf, -np.inf), RATE_HZ, "f32"), 1.0),
        "NaN in float64": (wav(np.where(second > 0, np.nan, second), RATE_HZ, "f64"), 1.0),
        "silence": (wav_bytes(np.zeros(50 * RATE_HZ, np.int16)), 50.0),
        "full-scale noise": (
            wav_bytes(np.random.default_rng(1).integers(-32768, 32768, 5 * RATE_HZ).astype(np.int16)),
            5.0,
        ),
        "a constant": (wav_bytes(np.full(5 * RATE_HZ, 32767, np.int16)), 5.0),
        "20 Hz": (wav_bytes((np.sin(np.arange(5 * RATE_HZ) / RATE_HZ * 40 * np.pi) * 32767).astype(np.int16)), 5.0),
        "clicks": (wav_bytes(np.where(np.arange(5 * RATE_HZ) % 4000 == 0, 32767, 0).astype(np.int16)), 5.0),
        "a text behind the audio": (wav(second, RATE_HZ) + b"<script>" * 5000, 1.0),
    }
    for name in encodable("mp3-cover", "mp4-video", "mkv-video", "m4a-index-last"):
        found[name] = (encoded(name, 40.0 if name == "m4a-index-last" else 3.0), None)
    for name in encodable("mp3", "ogg-vorbis", "ogg-opus", "flac", "wav", "m4a-fragments"):
        found[f"{name} cut off"] = (encoded(name)[: len(encoded(name)) * 2 // 3], None)
    return found


def video_alone() -> bytes:
    need_ffmpeg("mp4", VIDEO_ENCODER)
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream = container.add_stream(VIDEO_ENCODER, rate=5, width=320, height=240)
        for index in range(10):
            picture = av.VideoFrame.from_ndarray(np.full((240, 320, 3), index, np.uint8), format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, 5)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return sink.getvalue()


def encrypted(m4a: bytes, codec: bytes) -> bytes:
    """Under the codec of a protected file, with its samples scrambled."""
    begin, end = m4a.index(b"mdat") + 4, m4a.index(b"moov") - 4
    noise = np.random.default_rng(2).bytes(end - begin)
    return m4a[:begin] + noise + m4a[end:].replace(b"mp4a", codec, 1)


def with_many_samples(m4a: bytes) -> bytes:
    """The table of sizes claims 20 million samples of one byte: 4 KB that asked for 726 MiB."""
    at = m4a.index(b"stsz") + 4
    return m4a[:at] + struct.pack(">III", 0, 1, 20_000_000) + m4a[at + 12 :]


def nested_boxes(depth: int) -> bytes:
    boxes = b""
    for _ in range(depth):
        boxes = struct.pack(">I4s", len(boxes) + 8, b"moov") + boxes[: 2**20]
    return MP4_HEAD + boxes
