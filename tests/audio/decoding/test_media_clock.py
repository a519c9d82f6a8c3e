"""Media clock: audio keeps its time in the file, with unrecorded pauses, late starts and wrong timestamps."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import av
import numpy as np
import pytest

from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.audio.decoding.worker.media import measured_s
from asr_api.audio.decoding.worker.media_clock import Clock, Timeline
from asr_api.audio.decoding.worker.media_file import MediaFile
from tests.audio.decoding.decode_media import Decoded, correlation, decode_all, decode_one, decode_whole, spool_of
from tests.audio.media_files import Pause, amr, encodable, encoded, need_ffmpeg, reference_pcm

pytestmark = pytest.mark.anyio

DELAY = Pause(0.0, 5.0)
GAP = Pause(1.63, 5.0)  # between two syllables
RATE_HZ = 16_000
MS = Timeline(0.001)


def silences_s(times_s: Sequence[float | None], length_s: float = 0.02, timeline: Timeline = MS) -> list[float]:
    """The silence before each of some frames of one length."""
    clock = Clock(timeline)
    all_pts = [None if at_s is None else round(at_s * 1000) for at_s in times_s]
    pairs = zip(all_pts, [*all_pts[1:], None], strict=True)
    silences = [clock.place(pts, length_s, next_pts) for pts, next_pts in pairs]
    assert clock.length_s == pytest.approx(sum(silences) + length_s * len(times_s))
    return [round(silence_s, 3) for silence_s in silences]


@pytest.mark.parametrize(
    ("times_s", "length_s", "timeline", "expected"),
    [
        pytest.param([0, 0.02, 5.04, 5.06], 0.02, MS, [0, 0, 5, 0], id="gap"),
        pytest.param([5, 5.02], 0.02, MS, [5, 0], id="late start"),
        pytest.param([1005, 1005.02], 0.02, Timeline(0.001, 1000), [5, 0], id="late start, declared beginning"),
        pytest.param([None, None, 5, 5.02], 0.02, MS, [0, 0, 4.96, 0], id="missing timestamps"),
        pytest.param([0.13, 0.15], 0.02, MS, [0, 0], id="delay of an encoder"),
        pytest.param([-0.05, -0.03, -0.01], 0.02, MS, [0, 0, 0], id="priming of an encoder"),
        pytest.param([0, 1, 1.5, 2.5, 6.5], 1.0, MS, [0, 0, 0, 0, 2.5], id="an overlap shortens the next gap"),
        pytest.param([0, 3000], 1.0, Timeline(0.001, 0, 3001), [0, 2999], id="within the declared end"),
        pytest.param([0, 300], 1.0, Timeline(0.001, 0, 200), [0, 0], id="beyond the declared end"),
        pytest.param([0, 7], 0.02, Timeline(None), [0, 0], id="timestamps that count packets"),
    ],
)
def test_silence_before_frames(
    times_s: list[float | None], length_s: float, timeline: Timeline, expected: list[float]
) -> None:
    assert silences_s(times_s, length_s, timeline) == expected


@pytest.mark.parametrize("damaged_s", [-300, -2, 2, 300, 1e6])
def test_a_damaged_timestamp_adds_no_silence(damaged_s: float) -> None:
    assert silences_s([0, 0.02, damaged_s, 0.06, 0.08, 5.10, 5.12]) == [0, 0, 0, 0, 0, 5, 0]


@pytest.mark.parametrize("jump_s", [-90_000, -1.1, 601, 95_443])
def test_a_jump_to_another_clock_adds_no_silence(jump_s: float) -> None:
    times_s = [*range(100_000, 100_010), *(100_010 + jump_s + at_s for at_s in (0, 1, 5))]
    assert silences_s(times_s, 1.0, Timeline(0.001, 100_000)) == [0] * 12 + [3]


def test_rounding_and_a_faster_clock_add_no_silence() -> None:
    assert not any(silences_s([round(index * 1024 / 44_100, 3) for index in range(10_000)], 1024 / 44_100))
    assert not any(silences_s([index * 0.021 for index in range(10_000)]))


def test_small_losses_are_filled_together() -> None:
    silences = silences_s([index * 0.02 for index in range(1000) if index % 20])  # the second of all is the first
    assert sum(silences) == pytest.approx(1.0, abs=0.21)
    assert min(silence_s for silence_s in silences if silence_s) >= 0.2


def test_delays_of_packets_with_arrival_times_do_not_add_up() -> None:
    bursts = [second + index * 0.001 for second in range(100) for index in range(50)]  # a second's, once a second
    assert sum(silences_s([*bursts])) < 1.0


async def decode_with(pause: Pause, *names: str, video: bool = False) -> dict[str, Decoded]:
    """The recordings in those containers that this build of FFmpeg can write."""
    return await decode_whole({name: encoded(name, 3.0, pause, video=video) for name in encodable(*names, video=video)})


def check(result: Decoded, pause: Pause, slack_s: float = 0.0) -> None:
    """Asserts that it is the signal with silence in its pause and nowhere else, but for `slack_s` around the pause."""
    assert not result.end.is_truncated
    assert abs(result.length_s - 3 - pause.length_s) < 0.1
    at, end, slack = (round(at_s * RATE_HZ) for at_s in (pause.at_s, pause.at_s + pause.length_s, slack_s))
    assert np.abs(result.pcm[at + slack : end - slack - 480]).max(initial=0) < 200
    halves = [(result.pcm[:at], reference_pcm()[:at]), (result.pcm[end + slack :], reference_pcm()[at + slack :])]
    assert all(correlation(pcm, reference) > 0.98 for pcm, reference in halves if len(reference))


async def test_audio_that_begins_after_the_video_keeps_its_time() -> None:
    names = ("mp4-video", "mkv-video", "mov-pcm", "m4a-fragments", "ts", "mpeg", "wma")
    for name, result in (await decode_with(DELAY, *names, video=True)).items():
        assert (name, result.duration_hint_ms) == (name, pytest.approx(8000, abs=120))
        if name != "wma":  # its first packets decode to nothing
            check(result, DELAY)


async def test_a_file_without_video_begins_where_its_headers_say() -> None:
    for result in (await decode_with(DELAY, "mka", "m4a-index-first", "m4a-alac", "mov-pcm")).values():
        check(result, DELAY)
    may_be_cut_out_of_a_longer_stream = ("webm-recorder", "m4a-fragments", "ts", "mpeg", "flv", "ogg-opus")
    for result in (await decode_with(DELAY, *may_be_cut_out_of_a_longer_stream)).values():
        check(result, Pause(3.0, 0.0))


async def test_a_segment_of_a_stream_begins_at_its_own_start() -> None:
    """As when a player's segments are put behind their header."""
    data = encoded("m4a-segments")
    first, *_, later, _ = (at - 4 for at in range(len(data)) if data.startswith(b"moof", at))
    result = await decode_one(data[:first] + data[later:])
    assert not result.end.is_truncated
    assert 0.4 < result.length_s < 1.2


async def test_audio_after_a_gap_keeps_its_time() -> None:
    names = ("mka", "webm-recorder", "m4a-index-first", "ts", "mpeg", "vob", "flv")
    for name, result in (await decode_with(GAP, *names)).items():
        check(result, GAP, 0.1 if name in {"mpeg", "vob"} else 0.0)  # one timestamp for several frames
        assert (name, result.duration_hint_ms) == (name, pytest.approx(8000, abs=120))


async def test_a_gap_beside_a_video_is_no_truncation() -> None:
    """Its codec is not among ours, which FFmpeg logs as an error."""
    for result in (await decode_with(GAP, "mp4-video", "mkv-video", "m4a-index-first", video=True)).values():
        check(result, GAP)


async def test_silence_counts_for_the_length_limit() -> None:
    media = {name: encoded(name, 3.0, GAP) for name in encodable("mka", "webm-recorder", "ts")}
    media["delayed"] = encoded("m4a-index-first", 3.0, DELAY)
    assert set((await decode_all(media, DecodeLimits(max_audio_s=7.5))).values()) == {"audio_too_long"}
    assert len(await decode_whole(media, DecodeLimits(max_audio_s=8.5))) == len(media)
    hours = {name: encoded(name, 3.0, Pause(1.63, 1e4)) for name in ("mka", "m4a-index-first", "ts")}
    mka, m4a, ts = (await decode_all(hours, DecodeLimits(max_audio_s=600))).values()
    assert (mka, m4a) == ("audio_too_long", "audio_too_long")
    assert isinstance(ts, Decoded)
    assert ts.length_s < 3.1


async def test_truncation_is_detected_with_pauses_and_beside_damage() -> None:
    media = {}
    for name, pause in product(encodable("mka", "m4a-index-first"), (DELAY, GAP)):
        data = encoded(name, 3.0, pause)
        media[f"{name} {pause}"] = data[: len(data) * 3 // 4]
    for name in encodable("flac", "mka", "m4a-index-first"):  # silence in place of damage is no decoded audio
        data = encoded(name, 60.0)
        media[name] = data[: len(data) // 5] + bytes(len(data) * 3 // 5) + data[len(data) * 4 // 5 :]
    assert {name for name, result in (await decode_whole(media)).items() if not result.end.is_truncated} == set()


async def test_a_damaged_timestamp_makes_no_file_longer() -> None:
    data, at = bytearray(encoded("flv")), 13
    for _ in range(29):
        at += 11 + int.from_bytes(data[at + 1 : at + 4], "big") + 4
    five_minutes_later = int.from_bytes(data[at + 4 : at + 7], "big") + 300_000
    data[at + 4 : at + 7] = five_minutes_later.to_bytes(3, "big")
    assert (await decode_one(bytes(data))).length_s == pytest.approx(3.0, abs=0.1)
    async with spool_of(bytes(data)) as spool:
        assert measured_s(MediaFile(spool.fd), 0, DecodeLimits()) == pytest.approx(3.0, abs=0.1)


async def test_video_may_continue_after_the_audio() -> None:
    for result in (await decode_with(Pause(3.5, 2.0), "mkv-video", "mp4-video")).values():
        assert not result.end.is_truncated
        assert result.length_s < 3.1


async def test_concatenated_recordings_keep_their_length() -> None:
    names = encodable("mp3", "ogg-opus", "flac", "ts", "mpeg", "aac", "ac3")
    for name, result in (await decode_whole({name: encoded(name) * 2 for name in names})).items():
        assert (name, result.length_s) == (name, pytest.approx(6.05, abs=0.15))


async def test_audio_is_found_behind_megabytes_of_video() -> None:
    await decode_whole({name: late_audio(name) for name in ("flv", "mpegts")})


async def test_damage_in_amr_adds_no_time() -> None:
    data = bytearray(amr())
    data[2000:3500] = b"\x55" * 1500
    result = await decode_one(bytes(data))
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
