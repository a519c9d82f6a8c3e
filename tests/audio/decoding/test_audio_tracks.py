"""Audio tracks: of several, the default one is decoded, then the one with most channels, then the first."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import av
import numpy as np
import pytest
from av.stream import Disposition

from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.pcm import SAMPLE_RATE_HZ, AudioEnd, Pcm
from tests.audio.decoding.decode_media import Decoded, decode_all, decode_whole
from tests.audio.media_files import VIDEO_ENCODER, need_ffmpeg

pytestmark = pytest.mark.anyio

RATE_HZ = 48_000
FRAME_SAMPLES = 960


@dataclass(frozen=True)
class Track:
    """A tone, by whose pitch a test knows which track was decoded; without a tone the track has no audio at all."""

    tone_hz: int
    layout: str = "mono"
    is_default: bool = False
    begins_s: float = 0.0
    is_damaged: bool = False
    encoder: str = ""  # "": that of the container


ENCODERS = {"matroska": "libopus", "mp4": "aac", "mov": "aac", "mpegts": "mp2", "ogg": "libopus", "avi": "mp2"}
FIRST, SECOND = Track(300), Track(700)


def multitrack(muxer: str, *tracks: Track, length_s: float = 1.0, video: bool = False) -> bytes:
    encoders = [track.encoder or ENCODERS[muxer] for track in tracks]
    need_ffmpeg(muxer, *encoders, *([VIDEO_ENCODER] if video else []))
    sink = io.BytesIO()
    options = {"default_mode": "passthrough"} if muxer == "matroska" else {}
    with av.open(sink, "w", format=muxer, options=options) as container:
        if video:
            container.add_stream(VIDEO_ENCODER, rate=5, width=320, height=240)
        streams = []
        for track, encoder in zip(tracks, encoders, strict=True):
            stream = container.add_stream(encoder, rate=RATE_HZ, layout=track.layout)
            assert isinstance(stream, av.AudioStream)
            stream.disposition = Disposition.default if track.is_default else Disposition(0)
            streams.append(stream)
        container.start_encoding()
        packets: list[av.Packet[av.AudioStream]] = []
        for track, encoder, stream in zip(tracks, encoders, streams, strict=True):
            if track.tone_hz:
                frames = tone_frames(track, length_s, is_float=encoder == "aac")
                encoded = [packet for frame in [*frames, None] for packet in stream.encode(frame)]
                packets += [noise(packet) for packet in encoded] if track.is_damaged else encoded
        for packet in sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base):
            container.mux(packet)
    return sink.getvalue()


def noise(packet: av.Packet[av.AudioStream]) -> av.Packet[av.AudioStream]:
    damaged: av.Packet[av.AudioStream] = av.Packet(np.random.default_rng(3).bytes(packet.size))  # type: ignore[assignment]
    damaged.stream, damaged.time_base, damaged.pts, damaged.dts = (
        packet.stream,
        packet.time_base,
        packet.pts,
        packet.dts,
    )
    return damaged


def tone_frames(track: Track, length_s: float, *, is_float: bool) -> list[av.AudioFrame]:
    """Planar floats, or 16-bit samples in turn."""
    frames = []
    num_channels = len(av.AudioLayout(track.layout).channels)
    for start in range(0, round(length_s * RATE_HZ), FRAME_SAMPLES):
        times_s = np.arange(start, start + FRAME_SAMPLES) / RATE_HZ
        tone = np.repeat(0.3 * np.sin(2 * np.pi * track.tone_hz * times_s)[None, :], num_channels, axis=0)
        if is_float:
            frame = av.AudioFrame.from_ndarray(tone.astype(np.float32), format="fltp", layout=track.layout)
        else:
            stored = np.round(tone.T * 32767).astype(np.int16).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(stored, format="s16", layout=track.layout)
        frame.sample_rate, frame.pts = RATE_HZ, start + round(track.begins_s * RATE_HZ)
        frames.append(frame)
    return frames


def pitch_hz(pcm: Pcm) -> int:
    """Of the loudest tone, to the nearest hundred."""
    spectrum = np.abs(np.fft.rfft(pcm.astype(float)))
    return round(int(spectrum.argmax()) * SAMPLE_RATE_HZ / len(pcm) / 100) * 100


async def pitches(media: dict[str, bytes]) -> dict[str, int]:
    """Which track of each file was decoded; each is whole."""
    results = await decode_whole(media)
    assert {name: result.end for name, result in results.items() if result.end != AudioEnd()} == {}
    return {name: pitch_hz(result.pcm) for name, result in results.items()}


async def test_the_default_track_is_decoded_wherever_it_is() -> None:
    by_default = replace(SECOND, is_default=True)
    media = {}
    for muxer in ("matroska", "mp4", "mov"):
        media[f"{muxer}, second"] = multitrack(muxer, FIRST, by_default)
        media[f"{muxer}, first"] = multitrack(muxer, by_default, FIRST)
        media[f"{muxer}, fewer channels"] = multitrack(muxer, replace(FIRST, layout="stereo"), by_default)
        media[f"{muxer}, behind a video"] = multitrack(muxer, FIRST, by_default, video=True)
        media[f"{muxer}, it begins late"] = multitrack(muxer, FIRST, replace(by_default, begins_s=0.5))
    assert await pitches(media) == dict.fromkeys(media, 700)


async def test_among_equals_the_most_channels_decide_and_then_the_order() -> None:
    stereo = replace(SECOND, layout="stereo")
    media, equal = {}, {}
    for muxer, is_default in ((muxer, muxer in {"mp4", "mov"}) for muxer in ENCODERS):  # there none makes the first one
        mono, wide, third = (replace(track, is_default=is_default) for track in (FIRST, stereo, Track(1100)))
        media[muxer] = multitrack(muxer, mono, wide, third)
        equal[muxer] = multitrack(muxer, mono, replace(third, tone_hz=700))
    media["matroska, all default"] = multitrack("matroska", *(replace(t, is_default=True) for t in (FIRST, stereo)))
    assert await pitches(media) == dict.fromkeys(media, 700)
    assert await pitches(equal) == dict.fromkeys(equal, 300)


async def test_a_track_that_cannot_be_decoded_gives_way_to_the_next_best() -> None:
    by_default, stereo = replace(SECOND, is_default=True), Track(1100, "stereo")
    mkv = multitrack("matroska", FIRST, by_default, stereo)
    mov = multitrack("mov", *(replace(track, encoder="pcm_s16le") for track in (FIRST, by_default, stereo)))
    opus_at, pcm_at = (data.index(name, data.index(name) + 4) for data, name in ((mkv, b"A_OPUS"), (mov, b"sowt")))
    many = Track(700, "hexadecagonal", is_default=True, encoder="pcm_s16le")
    media = {
        "unknown codec, mkv": mkv[:opus_at] + b"A_NEWS" + mkv[opus_at + 6 :],
        "unknown codec, mov": mov[:pcm_at] + b"news" + mov[pcm_at + 4 :],
        "damaged": multitrack("mp4", FIRST, replace(by_default, is_damaged=True), stereo),
        "too many channels": multitrack("matroska", FIRST, many, stereo),
        "empty, mkv": multitrack("matroska", FIRST, Track(0, is_default=True), stereo),
        "empty, mp4": multitrack("mp4", FIRST, Track(0, is_default=True), stereo),
        "empty, ts": multitrack("mpegts", FIRST, Track(0, "stereo"), stereo),
    }
    assert await pitches(media) == dict.fromkeys(media, 1100)


async def test_no_track_that_can_be_decoded_is_the_error_of_the_best() -> None:
    many = Track(700, "hexadecagonal", encoder="pcm_s16le")
    mkv = multitrack("matroska", FIRST, SECOND)
    media = {
        "unknown": mkv.replace(b"A_OPUS", b"A_NEWS"),
        "many": multitrack("matroska", many, many),
        "damaged": multitrack("mp4", *(replace(track, is_damaged=True) for track in (FIRST, SECOND))),
        "video": multitrack("mp4", video=True),
    }
    refused = dict.fromkeys(media, "invalid_audio") | {"video": "no_audio_stream"}
    assert await decode_all(media) == refused


async def test_limits_hold_for_the_track_that_is_decoded() -> None:
    long, short = Track(700, is_default=True), replace(FIRST, layout="stereo")
    data = multitrack("matroska", short, long, length_s=3.0)
    results = await decode_all({"mkv": data}, DecodeLimits(max_audio_s=2.0))
    assert results == {"mkv": "audio_too_long"}
    assert isinstance((await decode_all({"mkv": data}, DecodeLimits(max_audio_s=4.0)))["mkv"], Decoded)
