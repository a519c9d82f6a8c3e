"""Truncated, damaged and hostile media: the part that can be decoded, or the right error."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from asr_api.pcm import AudioEnd
from tests.audio.decoding.decode_media import Decoded, decode_all, decode_whole
from tests.audio.media_files import encodable, encoded, wav, wav_header
from tests.audio.media_files import signal as speech

pytestmark = pytest.mark.anyio

# Cut in half, these lose their index or have not reached their audio yet.
USELESS_WHEN_CUT = {"m4a-index-last", "m4a-alac", "mp4-video", "mov-pcm", "mov-ima", "3gp", "mp3-cover"}
# Made to be cut anywhere, or without a length.
NOT_DETECTED_AS_CUT = {"ts", "flv", "flv-nellymoser", "mpeg", "mp3-bare", "rm"}


def truncated(results: dict[str, Decoded]) -> set[str]:
    return {name for name, result in results.items() if result.end.is_truncated}


def no_audio() -> dict[str, bytes]:
    rng = np.random.default_rng(3)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("a.wav", wav(speech(1.0), 16_000))
    return {
        "random": rng.bytes(1024),
        "text": b"the quick brown fox " * 100,
        "html": b"<!doctype html><html><body>not found</body></html>",
        "zip": archive.getvalue(),
        "pdf": b"%PDF-1.7\n" + rng.bytes(2000),
        "png": b"\x89PNG\r\n\x1a\n" + rng.bytes(2000),
        "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n",
        "ffconcat": b"ffconcat version 1.0\nfile /etc/hostname\n",
        "dash": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
        "sdp": b"v=0\r\no=- 0 0 IN IP4 127.0.0.3\r\ns=x\r\nc=IN IP4 127.0.0.3\r\nm=audio 9 RTP/AVP 0\r\n",
    }


def invalid_audio() -> dict[str, bytes]:
    rng = np.random.default_rng(3)
    second, flac, m4a = wav(speech(1.0), 16_000), encoded("flac"), encoded("m4a-index-last")
    return {
        **{f"{rate_hz} Hz": wav_header(32_000, rate_hz) + bytes(32_000) for rate_hz in (0, 1, 0xFFFFFFFF)},
        **{f"{n} channels": wav_header(32_000, 16_000, n) + bytes(32_000) for n in (0, 9, 64, 255, 65535)},
        "flac header damaged": flac[:4] + bytes(byte ^ 0xFF for byte in flac[4:200]) + bytes(3000),
        "m4a without index": m4a[: len(m4a) // 2],
        "wav format unknown": second[:20] + b"\x77\x77" + second[22:],
        "webm header only": encoded("webm-recorder")[:40],
        **{f"{name} damaged": encoded(name)[:16] + rng.bytes(3000) for name in encodable("mpeg", "tta", "voc", "loas")},
        "nist damaged": b"NIST_1A\n   1024\n" + rng.bytes(3000),
        "dts damaged": b"\x7f\xfe\x80\x01" + rng.bytes(3000),
    }


async def test_hostile_media_have_their_error_codes() -> None:
    expected = dict.fromkeys(no_audio(), "unsupported_format") | dict.fromkeys(invalid_audio(), "invalid_audio")
    empty = {"empty": b"", "header only": wav_header(0, 16_000)}
    short = {f"{n} samples": wav(speech(1.0)[:n], 16_000) for n in (1, 1584)}
    expected |= dict.fromkeys(empty, "empty_audio") | dict.fromkeys(short, "audio_too_short")
    results = await decode_all(no_audio() | invalid_audio() | empty | short)
    assert {name: result if isinstance(result, str) else "decoded" for name, result in results.items()} == expected


async def test_truncated_media_are_decoded_as_far_as_possible() -> None:
    names = set(encodable()) - USELESS_WHEN_CUT
    results = await decode_whole({name: encoded(name)[: len(encoded(name)) * 2 // 3] for name in names})
    assert {name: result for name, result in results.items() if not 0.9 <= result.length_s <= 2.1} == {}
    assert truncated(results) >= names - NOT_DETECTED_AS_CUT


async def test_a_wav_that_breaks_off_between_two_samples_is_truncated() -> None:
    data = encoded("wav-alaw")
    results = await decode_whole({str(cut): data[:-cut] for cut in (2, 4, 20_000, 20_002)})
    assert truncated(results) == set(results)


async def test_damaged_frames_in_the_middle_are_skipped_and_reported() -> None:
    # Without a lost unit of the container.
    min_lengths_s = {"mp3": 2.7, "flac": 2.3, "m4a-index-first": 2.7, "ogg-opus": 1.9, "mka": 1.4}
    damaged = {}
    for name in encodable(*min_lengths_s):
        data = bytearray(encoded(name))
        middle = len(data) // 2
        data[middle : middle + 1500] = b"\x55" * 1500
        damaged[name] = bytes(data)
    results = await decode_whole(damaged)
    assert {name for name, result in results.items() if result.end == AudioEnd()} == set()
    assert {name for name, result in results.items() if result.length_s < min_lengths_s[name]} == set()


async def test_false_lengths_in_headers_are_ignored() -> None:
    second = wav(speech(1.0), 16_000)[44:]
    media = {str(size): wav_header(size, 16_000) + second for size in (2**31, 0xFFFFFFFF)}
    assert {len(result.pcm) for result in (await decode_whole(media)).values()} == {16_000}
