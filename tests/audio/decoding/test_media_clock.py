"""Media clock: audio keeps its time in the file, with unrecorded pauses, late starts and wrong timestamps."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.audio.decoding.worker.media import Media, measured_s
from asr_api.audio.decoding.worker.media_clock import Clock, Timeline
from tests.audio.decoding.decode_media import Decoded, correlation, decode_all, decode_whole
from tests.audio.media_files import Pause, amr, encodable, encoded, need_ffmpeg, reference_pcm

pytestmark = pytest.mark.anyio

DELAY = Pause(0.0, 5.0)
GAP = Pause(1.63, 5.0)  # between two syllables
RATE_HZ = 16_000


def silences_s(times_s: list[float | None], length_s: float = 0.02, timeline: Timeline | None = None) -> list[float]:
    """The silence before each of some frames of one length, with timestamps in milliseconds."""
    clock = Clock(timeline or Timeline(0.001))
    all_pts = [None if at_s is None else round(at_s * 1000) for at_s in times_s]
    pairs = zip(all_pts, [*all_pts[1:], None], strict=True)
    silences = [clock.place(pts, length_s, next_pts) for pts, next_pts in pairs]
    assert clock.length_s == pytest.approx(sum(silences) + length_s * len(times_s))
    return [round(silence_s, 3) for silence_s in silences]


def test_silence_fills_gaps() -> None:
    assert silences_s([0, 0.02, 5.04, 5.06]) == [0, 0, 5, 0]
    assert silences_s([5, 5.02]) == [5, 0]
    assert silences_s([1005, 1005.02], timeline=Timeline(0.001, start_s=1000)) == [5, 0]
    assert silences_s([None, None, 5, 5.02]) == [0, 0, 4.96, 0]


def test_delays_of_encoders_and_rounding_change_nothing() -> None:
    assert silences_s([0.13, 0.15]) == [0, 0]
    assert silences_s([-0.05, -0.03, -0.01]) == [0, 0, 0]
    frames = [round(index * 1024 / 44_100, 3) for index in range(10_000)]
    assert not any(silences_s([*frames], 1024 / 44_100))


def test_a_faster_clock_adds_no_silence() -> None:
    assert not any(silences_s([index * 0.021 for index in range(10_000)]))


def test_small_losses_are_filled_together() -> None:
    silences = silences_s([index * 0.02 for index in range(1000) if index % 20])  # the second of all is the first
    assert sum(silences) == pytest.approx(1.0, abs=0.21)
    assert min(silence_s for silence_s in silences if silence_s) >= 0.2


def test_delays_of_packets_with_arrival_times_do_not_add_up() -> None:
    bursts = [second + index * 0.001 for second in range(100) for index in range(50)]  # a second's, once a second
    assert sum(silences_s([*bursts])) < 1.0


def test_overlaps_are_kept_and_shorten_the_next_gap() -> None:
    assert silences_s([0, 1, 1.5, 2.5, 6.5], 1.0) == [0, 0, 0, 0, 2.5]


@pytest.mark.parametrize("jump_s", [-90_000, -1.1, 601, 95_443])
def test_a_jump_to_another_clock_is_no_gap(jump_s: float) -> None:
    begins_s = 100_000.0
    timeline = Timeline(0.001, begins_s)
    after_s = begins_s + 10 + jump_s
    times_s = [*np.arange(begins_s, begins_s + 10), after_s, after_s + 1, after_s + 5]
    assert silences_s(times_s, 1.0, timeline) == [0] * 12 + [3]


@pytest.mark.parametrize("damaged_s", [-300, -2, 2, 300, 1e6])
def test_a_damaged_timestamp_shifts_nothing(damaged_s: float) -> None:
    assert silences_s([0, 0.02, damaged_s, 0.06, 0.08, 5.10, 5.12]) == [0, 0, 0, 0, 0, 5, 0]


def test_the_declared_end_overrides_the_largest_gap() -> None:
    assert silences_s([0, 3000], 1.0, Timeline(0.001, 0, 3001)) == [0, 2999]
    assert silences_s([0, 300], 1.0, Timeline(0.001, 0, 200)) == [0, 0]


def test_timestamps_that_count_packets_are_ignored() -> None:
    assert silences_s([0, 7], timeline=Timeline(None)) == [0, 0]


def check(result: Decoded, pause: Pause, slack_s: float = 0.0) -> None:
    """Asserts that it is the signal with silence in its pause and nowhere else, but for `slack_s` around the pause."""
    assert not result.end.is_truncated
    assert abs(result.length_s - 3 - pause.length_s) < 0.1
    at, end, slack = (round(at_s * RATE_HZ) for at_s in (pause.at_s, pause.at_s + pause.length_s, slack_s))
    assert np.abs(result.pcm[at + slack : end - slack - 480]).max(initial=0) < 200
    for pcm, reference in (
        (result.pcm[:at], reference_pcm()[:at]),
        (result.pcm[end + slack :], reference_pcm()[at + slack :]),
    ):
        assert not len(reference) or correlation(pcm, reference) > 0.98


async def test_audio_that_begins_after_the_video_keeps_its_time() -> None:
    names = encodable("mp4-video", "mkv-video", "mov-pcm", "m4a-fragments", "ts", "mpeg", "wma", video=True)
    for name, result in (await decode_whole({name: encoded(name, 3.0, DELAY, video=True) for name in names})).items():
        assert (name, abs((result.duration_hint_ms or 0) - 8000) < 120) == (name, True)
        if name != "wma":  # its first packets decode to nothing
            check(result, DELAY)


async def test_a_file_without_video_begins_where_its_headers_say() -> None:
    late = encodable("mka", "m4a-index-first", "m4a-alac", "mov-pcm")
    early = encodable(
        "webm-recorder", "m4a-fragments", "ts", "mpeg", "flv", "ogg-opus"
    )  # may be cut out of a longer stream
    for result in (await decode_whole({name: encoded(name, 3.0, DELAY) for name in late})).values():
        check(result, DELAY)
    for result in (await decode_whole({name: encoded(name, 3.0, DELAY) for name in early})).values():
        check(result, Pause(3.0, 0.0))


async def test_a_segment_of_a_stream_begins_at_its_own_start() -> None:
    """As when a player's segments are put behind their header."""
    data = encoded("m4a-segments")
    first, *_, later, _ = (at - 4 for at in range(len(data)) if data.startswith(b"moof", at))
    result = (await decode_whole({"segments": data[:first] + data[later:]}))["segments"]
    assert not result.end.is_truncated
    assert 0.4 < result.length_s < 1.2


async def test_audio_after_a_gap_keeps_its_time() -> None:
    names = encodable("mka", "webm-recorder", "m4a-index-first", "ts", "mpeg", "vob", "flv")
    for name, result in (await decode_whole({name: encoded(name, 3.0, GAP) for name in names})).items():
        check(result, GAP, 0.1 if name in {"mpeg", "vob"} else 0.0)  # one timestamp for several frames
        assert (name, abs((result.duration_hint_ms or 0) - 8000) < 120) == (name, True)


async def test_silence_counts_for_the_length_limit() -> None:
    media = {name: encoded(name, 3.0, GAP) for name in encodable("mka", "webm-recorder", "ts")}
    media["delayed"] = encoded("m4a-index-first", 3.0, DELAY)
    assert set((await decode_all(media, DecodeLimits(max_audio_s=7.5))).values()) == {"audio_too_long"}
    assert len(await decode_whole(media, DecodeLimits(max_audio_s=8.5))) == len(media)
    hours = {name: encoded(name, 3.0, Pause(1.63, 1e4)) for name in ("mka", "m4a-index-first", "ts")}
    results = await decode_all(hours, DecodeLimits(max_audio_s=600))
    assert (results["mka"], results["m4a-index-first"]) == ("audio_too_long", "audio_too_long")
    assert isinstance(ts := results["ts"], Decoded)
    assert ts.length_s < 3.1


async def test_truncation_is_detected_with_a_pause_too() -> None:
    media = {}
    for pause in (DELAY, GAP):
        for name in encodable("mka", "m4a-index-first"):
            data = encoded(name, 3.0, pause)
            media[f"{name} {pause}"] = data[: len(data) * 3 // 4]
    assert {name: result.end.is_truncated for name, result in (await decode_whole(media)).items()} == dict.fromkeys(
        media, True
    )


def with_a_damaged_timestamp(flv: bytes) -> bytes:
    """The timestamp of the thirtieth tag is five minutes too late."""
    data, at = bytearray(flv), 13
    for _ in range(29):
        at += 11 + int.from_bytes(data[at + 1 : at + 4], "big") + 4
    data[at + 4 : at + 7] = (int.from_bytes(data[at + 4 : at + 7], "big") + 300_000).to_bytes(3, "big")
    return bytes(data)


async def test_a_damaged_timestamp_makes_no_file_longer(tmp_path: Path) -> None:
    (path := tmp_path / "a.flv").write_bytes(with_a_damaged_timestamp(encoded("flv")))
    result = (await decode_whole({"flv": path.read_bytes()}))["flv"]
    assert abs(result.length_s - 3.0) < 0.1
    with path.open("rb") as file:
        assert abs(measured_s(Media(file.fileno()), DecodeLimits()) - 3.0) < 0.1


async def test_silence_in_place_of_damage_is_no_decoded_audio() -> None:
    media = {}
    for name in encodable("flac", "mka", "m4a-index-first"):
        data = encoded(name, 60.0)
        media[name] = data[: len(data) // 5] + bytes(len(data) * 3 // 5) + data[len(data) * 4 // 5 :]
    assert {name: result.end.is_truncated for name, result in (await decode_whole(media)).items()} == dict.fromkeys(
        media, True
    )


async def test_video_may_continue_after_the_audio() -> None:
    results = await decode_whole(
        {"mkv": encoded("mkv-video", 3.0, Pause(3.5, 2.0)), "mp4": encoded("mp4-video", 3.0, Pause(3.5, 2.0))}
    )
    assert {
        name: (result.end.is_truncated, result.length_s < 3.1) for name, result in results.items()
    } == dict.fromkeys(results, (False, True))


async def test_concatenated_recordings_keep_their_length() -> None:
    names = encodable("mp3", "ogg-opus", "flac", "ts", "mpeg", "aac", "ac3")
    for name, result in (await decode_whole({name: encoded(name) * 2 for name in names})).items():
        assert (name, 5.9 < result.length_s < 6.2) == (name, True)


async def test_audio_is_found_behind_megabytes_of_video() -> None:
    await decode_whole({name: late_audio(name) for name in ("flv", "mpegts")})


async def test_damage_in_amr_adds_no_time() -> None:
    data = bytearray(amr())
    data[2000:3500] = b"\x55" * 1500
    result = (await decode_whole({"amr": bytes(data)}))["amr"]
    assert 1.4 < result.length_s < 3.1


def late_audio(container_name: str) -> bytes:
    """Seven seconds of video of a megabyte each, all zeros, before some audio."""
    video_encoder = "flv" if container_name == "flv" else "mpeg4"
    need_ffmpeg(container_name, video_encoder, "libmp3lame")
    sink = io.BytesIO()
    with av.open(sink, "w", format=container_name) as container:
        video = container.add_stream(video_encoder, rate=1, width=320, height=240)
        audio = container.add_stream("libmp3lame", rate=44_100, layout="stereo")
        for second in range(7):
            packet = av.Packet(bytes(10**6))
            packet.stream, packet.time_base, packet.pts, packet.dts = video, Fraction(1), second, second
            packet.is_keyframe = True
            container.mux(packet)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1152), np.int16), format="s16p", layout="stereo")
        frame.sample_rate = 44_100
        for index in range(100):
            frame.pts = 7 * 44_100 + index * 1152
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return sink.getvalue()
