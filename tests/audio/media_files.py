"""Media files for tests, encoded on the fly: one speech-like signal in every container that users send.

Builds of FFmpeg differ: a test that needs an encoder or a muxer which this build lacks is skipped, with the reason.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Final

import av
import numpy as np
import pytest
from numpy.typing import NDArray

Samples = NDArray[np.float64]  # (n_samples, n_channels) in [-1, 1]


@cache
def signal(length_s: float = 3.0, rate_hz: int = 16_000, num_channels: int = 1) -> Samples:
    """Syllables of harmonics below 2 kHz, the same at every rate and in every channel."""
    time_s = np.arange(round(length_s * rate_hz)) / rate_hz
    rng = np.random.default_rng(7)
    mono = np.zeros_like(time_s)
    for start_s in np.arange(0.05, length_s, 0.2):
        inside = (time_s >= start_s) & (time_s < start_s + 0.15)
        local = time_s[inside] - start_s
        pitch_hz = rng.uniform(90, 250)
        voice = sum(np.sin(2 * np.pi * pitch_hz * k * local) / k for k in range(1, 9))
        mono[inside] = 0.3 * voice * np.sin(np.pi * local / 0.15) ** 2
    return np.repeat(mono[:, None], num_channels, axis=1)


def reference_pcm(length_s: float = 3.0) -> NDArray[np.int16]:
    """The PCM that every container of `signal` should decode to."""
    return np.round(signal(length_s)[:, 0] * 32767).astype(np.int16)


def wav(samples: Samples, rate_hz: int, sample_format: str = "s16") -> bytes:
    """sample_format: u8, s16, s24, s32, f32 or f64."""
    bits = int(sample_format[1:])
    if sample_format == "u8":
        data = (np.round(samples * 127) + 128).astype(np.uint8).tobytes()
    elif sample_format == "s24":
        data = np.round(samples * (2**31 - 2**8)).astype("<i4").reshape(-1, 1).view(np.uint8)[:, 1:].tobytes()
    elif sample_format[0] == "s":
        data = np.round(samples * (2 ** (bits - 1) - 1)).astype(f"<i{bits // 8}").tobytes()
    else:
        data = samples.astype(f"<f{bits // 8}").tobytes()
    tag = 3 if sample_format[0] == "f" else 1
    return wav_header(len(data), rate_hz, samples.shape[1], bits, tag) + data


def wav_header(data_bytes: int, rate_hz: int, num_channels: int = 1, bits: int = 16, tag: int = 1) -> bytes:
    """A header with these claims, true or not; the `wave` module writes only true ones, and no float formats."""
    frame_bytes = num_channels * bits // 8 & 0xFFFF
    rate_bytes = rate_hz * frame_bytes & 0xFFFFFFFF
    riff_bytes = min(36 + data_bytes, 0xFFFFFFFF)
    form = struct.pack("<IHHIIHH", 16, tag, num_channels, rate_hz, rate_bytes, frame_bytes, bits)
    return struct.pack("<4sI8s", b"RIFF", riff_bytes, b"WAVEfmt ") + form + struct.pack("<4sI", b"data", data_bytes)


@dataclass(frozen=True)
class Recipe:
    """How to write a container: muxer and encoder names of FFmpeg, and the streams beside the audio."""

    muxer: str
    encoder: str
    rate_hz: int = 44_100
    layout: str = "stereo"
    sample_format: str = "s16"
    bit_rate: int = 128_000
    options: tuple[tuple[str, str], ...] = ()
    video: bool = False
    cover: bool = False
    is_seekable: bool = True


LIVE = (("live", "1"),)
SEGMENTED = (("movflags", "empty_moov+default_base_moof"), ("frag_duration", "500000"))
BARE = (("write_xing", "0"), ("id3v2_version", "0"))
RECIPES = {
    "mp3": Recipe("mp3", "libmp3lame", sample_format="s16p"),
    "mp3-bare": Recipe("mp3", "libmp3lame", 48_000, "mono", sample_format="s16p", options=BARE),
    "mp3-cover": Recipe("mp3", "libmp3lame", sample_format="s16p", cover=True),
    "ogg-vorbis": Recipe("ogg", "vorbis", sample_format="fltp", options=(("strict", "experimental"),)),
    "ogg-opus": Recipe("ogg", "libopus", 48_000),
    "webm-recorder": Recipe("webm", "libopus", 48_000, "mono", options=LIVE, is_seekable=False),
    "mka": Recipe("matroska", "libopus", 48_000),
    "flac": Recipe("flac", "flac"),
    "m4a-index-last": Recipe("ipod", "aac", sample_format="fltp"),
    "m4a-index-first": Recipe("ipod", "aac", sample_format="fltp", options=(("moov_size", "20000"),)),
    "m4a-fragments": Recipe("mp4", "aac", sample_format="fltp", options=(("movflags", "frag_keyframe+empty_moov"),)),
    "m4a-segments": Recipe("mp4", "aac", sample_format="fltp", options=SEGMENTED),
    "m4a-alac": Recipe("ipod", "alac", sample_format="s16p"),
    "mp4-video": Recipe("mp4", "aac", sample_format="fltp", video=True),
    "mov-pcm": Recipe("mov", "pcm_s16le"),
    "mkv-recorder-video": Recipe("matroska", "libopus", 48_000, "mono", options=LIVE, video=True, is_seekable=False),
    "mkv-video": Recipe("matroska", "aac", sample_format="fltp", video=True),
    "aiff": Recipe("aiff", "pcm_s16be"),
    "au": Recipe("au", "pcm_s16be"),
    "caf": Recipe("caf", "pcm_s16be"),
    "w64": Recipe("w64", "pcm_s16le"),
    "rf64": Recipe("wav", "pcm_s16le", options=(("rf64", "always"),)),
    "wav": Recipe("wav", "pcm_s16le"),
    "wav-alaw": Recipe("wav", "pcm_alaw", 8_000, "mono"),
    "wav-adpcm": Recipe("wav", "adpcm_ms", 16_000, "mono"),
    "wav-ima": Recipe("wav", "adpcm_ima_wav", 16_000, "mono"),
    "wav-yamaha": Recipe("wav", "adpcm_yamaha", 16_000, "mono"),
    "wav-g722": Recipe("wav", "g722", 16_000, "mono", bit_rate=64_000),
    "wav-g723": Recipe("wav", "g723_1", 8_000, "mono", bit_rate=6_300),
    "wav-g726": Recipe("wav", "g726", 8_000, "mono", bit_rate=32_000),
    "au-g722": Recipe("au", "g722", 16_000, "mono", bit_rate=64_000),
    "au-g726": Recipe("au", "g726le", 8_000, "mono", bit_rate=32_000),
    "caf-mulaw": Recipe("caf", "pcm_mulaw", 8_000, "mono"),
    "mov-ima": Recipe("mov", "adpcm_ima_qt", 16_000, "mono", sample_format="s16p"),
    "flv-nellymoser": Recipe("flv", "nellymoser", 16_000, "mono", sample_format="flt"),
    "rm": Recipe("rm", "real_144", 8_000, "mono", bit_rate=8_000),
    "3gp": Recipe("3gp", "libopencore_amrnb", 8_000, "mono", bit_rate=12_200),
    "amr": Recipe("amr", "libopencore_amrnb", 8_000, "mono", bit_rate=12_200),
    "wma": Recipe("asf", "wmav2", sample_format="fltp"),
    "ac3": Recipe("ac3", "ac3", 48_000, sample_format="fltp"),
    "aac": Recipe("adts", "aac", sample_format="fltp"),
    "ts": Recipe("mpegts", "aac", sample_format="fltp"),
    "loas": Recipe("latm", "aac", sample_format="fltp"),
    "mpeg": Recipe("mpeg", "mp2"),
    "vob": Recipe("vob", "ac3", 48_000, sample_format="fltp"),
    "tta": Recipe("tta", "tta"),
    "voc": Recipe("voc", "pcm_s16le"),
    "avi": Recipe("avi", "libmp3lame", sample_format="s16p"),
    "flv": Recipe("flv", "libmp3lame", sample_format="s16p"),
    "wv": Recipe("wv", "wavpack", sample_format="s16p"),
}


VIDEO_ENCODER: Final = "mpeg4"
COVER_ENCODER: Final = "png"


def missing_in_ffmpeg(muxer: str, *encoders: str) -> list[str]:
    """Those of them that this build of FFmpeg lacks."""
    missing = []
    wanted = [(f"muxer {muxer}", av.format.ContainerFormat, muxer)]
    for label, kind, name in [*wanted, *((f"encoder {encoder}", av.codec.Codec, encoder) for encoder in encoders)]:
        try:
            kind(name, "w")
        except ValueError:
            missing.append(label)
    return missing


def need_ffmpeg(muxer: str, *encoders: str) -> None:
    """Skips the test if this build of FFmpeg lacks one of them."""
    if missing := missing_in_ffmpeg(muxer, *encoders):
        pytest.skip(f"this build of FFmpeg has no {', '.join(missing)}")


def encoders_of(recipe: Recipe, *, video: bool) -> list[str]:
    video_encoders = [VIDEO_ENCODER] if video or recipe.video else []
    return [recipe.encoder, *video_encoders, *([COVER_ENCODER] if recipe.cover else [])]


def encodable(*names: str, video: bool = False) -> list[str]:
    """Those recipes, of `names` or of all, that this build of FFmpeg can write; skips the test if there are none."""
    wanted = {name: RECIPES[name] for name in names or RECIPES}
    needs = {name: (recipe.muxer, *encoders_of(recipe, video=video)) for name, recipe in wanted.items()}
    if not (found := [name for name, needed in needs.items() if not missing_in_ffmpeg(*needed)]):
        pytest.skip(f"this build of FFmpeg cannot write any of {', '.join(wanted)}")
    return found


class _Pipe(io.BytesIO):
    """Cannot seek, so the length is not written into the headers afterwards, as in a browser's recorder."""

    def seekable(self) -> bool:
        return False


@dataclass(frozen=True)
class Pause:
    """Time in which nothing was recorded: timestamps from `at_s` on are `length_s` later."""

    at_s: float
    length_s: float


@cache
def encoded(
    name: str, length_s: float = 3.0, pause: Pause | None = None, *, video: bool = False, is_piped: bool = False
) -> bytes:
    """The signal in one of RECIPES; with video, which has no pause, if the recipe or `video` asks for it.

    is_piped: lengths in the headers stay as the writer made them up
    """
    recipe = RECIPES[name]
    need_ffmpeg(recipe.muxer, *encoders_of(recipe, video=video))
    sink = io.BytesIO() if recipe.is_seekable and not is_piped else _Pipe()
    with av.open(sink, "w", format=recipe.muxer, options=dict(recipe.options)) as container:
        options = dict(recipe.options) | ({"aac_coder": "fast"} if recipe.encoder == "aac" else {})
        stream = container.add_stream(recipe.encoder, rate=recipe.rate_hz, options=options)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.layout = recipe.layout
        stream.codec_context.bit_rate = recipe.bit_rate
        has_video = recipe.video or video
        video_stream = container.add_stream(VIDEO_ENCODER, rate=5, width=320, height=240) if has_video else None
        cover = container.add_stream(COVER_ENCODER, rate=1, width=1000, height=1000) if recipe.cover else None
        if cover is not None:
            cover.pix_fmt = "rgb24"
            cover.disposition = av.stream.Disposition.attached_pic
            noise = np.random.default_rng(1).integers(0, 255, (1000, 1000, 3), dtype=np.uint8)
            picture = av.VideoFrame.from_ndarray(noise, format="rgb24")
            container.mux(cover.encode(picture) + cover.encode(None))
        for frame in [*_frames(recipe, length_s, stream.codec_context.frame_size), None]:
            container.mux([_delayed(packet, pause) for packet in stream.encode(frame)])
        if video_stream is not None:
            container.mux(_pictures(video_stream, length_s + (pause.length_s if pause else 0)))
    return sink.getvalue()


def _delayed(packet: av.Packet[av.AudioStream], pause: Pause | None) -> av.Packet[av.AudioStream]:
    assert packet.pts is not None
    if pause is not None and packet.pts * packet.time_base >= pause.at_s - 0.03:  # priming has timestamps before zero
        packet.pts += round(pause.length_s / packet.time_base)
        packet.dts = packet.pts
    return packet


def _pictures(video_stream: av.video.stream.VideoStream, length_s: float) -> list[av.Packet[av.VideoStream]]:
    packets = []
    for index in range(round(length_s * 5)):
        picture = av.VideoFrame.from_ndarray(np.full((240, 320, 3), index, np.uint8), format="rgb24")
        picture.pts, picture.time_base = index, Fraction(1, 5)
        packets += video_stream.encode(picture)
    return packets + video_stream.encode(None)


def _frames(recipe: Recipe, length_s: float, frame_size: int) -> list[av.AudioFrame]:
    samples = signal(length_s, recipe.rate_hz, 1 if recipe.layout == "mono" else 2)
    is_planar, is_float = recipe.sample_format.endswith("p"), recipe.sample_format.startswith("flt")
    frames = []
    step = frame_size or 1024
    for start in range(0, len(samples), step):
        block = samples[start : start + step]
        planes = np.ascontiguousarray(block.T if is_planar else block.reshape(1, -1))
        stored: NDArray[np.float32] | NDArray[np.int16] = (
            planes.astype(np.float32) if is_float else np.round(planes * 32767).astype(np.int16)
        )
        frame = av.AudioFrame.from_ndarray(stored, format=recipe.sample_format, layout=recipe.layout)
        frame.sample_rate, frame.pts, frame.time_base = recipe.rate_hz, start, Fraction(1, recipe.rate_hz)
        frames.append(frame)
    return frames


def silent_flac(length_s: int) -> bytes:
    need_ffmpeg("flac", "flac")
    sink = io.BytesIO()
    with av.open(sink, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16_000
        for second in range(length_s):
            frame.pts = second * 16_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return sink.getvalue()


def amr(length_s: float = 3.0) -> bytes:
    """AMR-NB at 12.2 kbit/s (RFC 4867), with random bits for speech: no encoder is needed."""
    frame_type, is_good = 7, 1
    header = bytes([frame_type << 3 | is_good << 2])
    rng = np.random.default_rng(5)
    return b"#!AMR\n" + b"".join(header + rng.bytes(31) for _ in range(round(length_s / 0.02)))
