"""Every container gives the PCM of its WAV twin; hostile media gives its error, and nothing else happens."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from asr_api.audio import decode_process
from asr_api.audio.decode import DecodeLimits, Decoder
from asr_api.audio.spool import Spool
from asr_api.errors import AsrError, DecoderUnavailable, DecodeTimeout, InvalidAudio
from tests.audio.media import RECIPES, encoded, signal as speech, twin, wav, wav_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asr_api.engines.protocol import Pcm

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Decoded:
    pcm: Pcm
    duration_hint_ms: int | None
    is_truncated: bool


def spool_of(data: bytes) -> Spool:
    file = tempfile.TemporaryFile()
    file.write(data)
    file.flush()
    return Spool(file, len(data))


async def decode(decoder: Decoder, data: bytes) -> Decoded:
    with spool_of(data) as spool:
        async with decoder.open(spool) as stream:
            blocks = [block async for block in stream]
            pcm = np.concatenate(blocks)
            return Decoded(pcm, stream.duration_hint_ms, stream.is_truncated)


async def decode_all(media: Mapping[str, bytes], limits: DecodeLimits | None = None) -> dict[str, Decoded | str]:
    """What each becomes: PCM, or the code of an error. Four at a time, by one decoder."""
    decoder = Decoder(limits or DecodeLimits(max_workers=4))
    await decoder.start()

    async def outcome(data: bytes) -> Decoded | str:
        try:
            return await decode(decoder, data)
        except AsrError as error:
            assert "/" not in str(error).replace("M4A/MP4", "")
            return error.code

    try:
        return dict(zip(media, await asyncio.gather(*map(outcome, media.values())), strict=True))
    finally:
        await decoder.aclose()
        assert not psutil.Process().children()


def likeness(pcm: Pcm, reference: Pcm) -> float:
    """Correlation at the best shift of up to 3 ms, which filters and encoders may cause; 0 if lengths differ by 60 ms."""
    if abs(len(pcm) - len(reference)) > 960:
        return 0.0
    size = min(len(pcm), len(reference)) - 96
    middle = reference[48 : 48 + size].astype(np.float64)
    return max(float(np.corrcoef(middle, pcm[shift : shift + size])[0, 1]) for shift in range(97))


async def test_every_container_gives_the_pcm_of_its_wav_twin() -> None:
    results = await decode_all({name: encoded(name) for name in RECIPES})
    unlike = {
        name: result if isinstance(result, str) else (likeness(result.pcm, twin()), result)
        for name, result in results.items()
        if isinstance(result, str) or result.is_truncated or likeness(result.pcm, twin()) < 0.97
    }
    assert unlike == {}
    hints = {name: result.duration_hint_ms for name, result in results.items() if isinstance(result, Decoded)}
    assert {name: hint for name, hint in hints.items() if hint is None or abs(hint - 3000) > 60} == {}


async def test_every_kind_of_wav_gives_the_same_pcm() -> None:
    media = {kind: wav(speech(3.0, 44_100), 44_100, kind) for kind in ("u8", "s16", "s24", "s32", "f32", "f64")}
    media |= {f"{rate} Hz": wav(speech(3.0, rate), rate) for rate in (8_000, 11_025, 16_000, 48_000, 96_000, 192_000)}
    media |= {f"{n} channels": wav(speech(3.0, 16_000, n), 16_000) for n in range(1, 9)}
    results = await decode_all(media)
    wrong = {}
    for name, result in results.items():
        if isinstance(result, str) or likeness(result.pcm, twin()) < 0.99:
            wrong[name] = result
        elif not 0.9 < np.abs(result.pcm).max() / np.abs(twin()).max() < 1.1:
            wrong[name] = result
    assert wrong == {}


async def test_mixing_down_does_not_clip() -> None:
    loud = np.sign(speech(1.0, 16_000, 6)) * 0.99
    result = (await decode_all({"loud": wav(loud, 16_000)}))["loud"]
    assert isinstance(result, Decoded)
    assert np.mean(np.abs(result.pcm.astype(int)) >= 32_767) < 0.01


MP4_WITHOUT_SOUND = "video only"


def hostile() -> dict[str, tuple[str, bytes]]:
    """name → expected code, bytes."""
    rng = np.random.default_rng(3)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("a.wav", wav(speech(1.0), 16_000))
    one_second = wav(speech(1.0), 16_000)
    flac = encoded("flac")
    m4a = encoded("m4a-index-last")
    return {
        "random": ("unsupported_format", rng.bytes(1024)),
        "text": ("unsupported_format", b"the quick brown fox " * 100),
        "html": ("unsupported_format", b"<!doctype html><html><body>not found</body></html>"),
        "zip": ("unsupported_format", archive.getvalue()),
        "pdf": ("unsupported_format", b"%PDF-1.7\n" + rng.bytes(2000)),
        "png": ("unsupported_format", b"\x89PNG\r\n\x1a\n" + rng.bytes(2000)),
        "hls": ("unsupported_format", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n"),
        "ffconcat": ("unsupported_format", b"ffconcat version 1.0\nfile /etc/hostname\n"),
        "dash": ("unsupported_format", b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>'),
        "sdp": (
            "unsupported_format",
            b"v=0\r\no=- 0 0 IN IP4 127.0.0.3\r\ns=x\r\nc=IN IP4 127.0.0.3\r\nm=audio 9 RTP/AVP 0\r\n",
        ),
        "empty": ("empty_audio", b""),
        "header only": ("empty_audio", wav_header(0, 16_000)),
        "one sample": ("audio_too_short", wav(speech(1.0)[:1], 16_000)),
        "99 ms": ("audio_too_short", wav(speech(1.0)[:1584], 16_000)),
        "0 Hz": ("invalid_audio", wav_header(32_000, 0) + bytes(32_000)),
        "1 Hz": ("invalid_audio", wav_header(32_000, 1) + bytes(32_000)),
        "4294967295 Hz": ("invalid_audio", wav_header(32_000, 0xFFFFFFFF) + bytes(32_000)),
        "0 channels": ("invalid_audio", wav_header(32_000, 16_000, 0) + bytes(32_000)),
        "9 channels": ("invalid_audio", wav_header(32_000, 16_000, 9) + bytes(32_000)),
        "64 channels": ("invalid_audio", wav_header(32_000, 16_000, 64) + bytes(32_000)),
        "255 channels": ("invalid_audio", wav_header(32_000, 16_000, 255) + bytes(32_000)),
        "65535 channels": ("invalid_audio", wav_header(32_000, 16_000, 65535) + bytes(32_000)),
        "flac header damaged": ("invalid_audio", flac[:4] + bytes(b ^ 0xFF for b in flac[4:200]) + bytes(3000)),
        "m4a without index": ("invalid_audio", m4a[: len(m4a) // 2]),
        "wav format unknown": ("invalid_audio", one_second[:20] + b"\x77\x77" + one_second[22:]),
        "webm header only": ("invalid_audio", encoded("webm-recorder")[:40]),
    }


async def test_hostile_media_get_their_errors() -> None:
    cases = hostile()
    results = await decode_all({name: data for name, (_, data) in cases.items()})
    codes = {name: result if isinstance(result, str) else "decoded" for name, result in results.items()}
    assert codes == {name: code for name, (code, _) in cases.items()}


async def test_damaged_media_give_the_good_part_and_say_so() -> None:
    cut = {
        name: encoded(name)[: len(encoded(name)) * 2 // 3] for name in RECIPES if name not in {"m4a-index-last", "avi"}
    }
    cut = {
        name: data for name, data in cut.items() if RECIPES[name].container not in {"ipod", "mov"} or "first" in name
    }
    results = await decode_all(cut)
    lengths = {name: r if isinstance(r, str) else round(len(r.pcm) / 16_000, 1) for name, r in results.items()}
    flags = {name: r if isinstance(r, str) else r.is_truncated for name, r in results.items()}
    print(lengths, flags)
    assert 0
