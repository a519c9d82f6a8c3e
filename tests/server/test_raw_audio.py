"""Raw audio behind a WAV header is decoded to the samples that it holds."""

from __future__ import annotations

import numpy as np
import pytest

from asr_api.pcm import AudioEnd
from asr_api.server.raw_audio import RawFormat, as_wav
from tests.audio.decoding.decode_media import decode_whole
from tests.audio.media_files import signal, wav
from tests.server.fakes import pieces_of

pytestmark = pytest.mark.anyio
RATE_HZ = 8000
SAMPLES = signal(2.0, RATE_HZ)
WAV_HEADER_BYTES = 44
# Companded silence and full scale, by the tables of G.711.
QUIET_AND_LOUD = {"mulaw": (b"\xff", b"\x80", 32_124), "alaw": (b"\xd5", b"\xaa", 32_256)}


async def file_of(raw: RawFormat, body: bytes, piece_bytes: int = 3) -> bytes:
    return b"".join([chunk async for chunk in as_wav(raw, pieces_of(body, piece_bytes))])


async def test_samples_behind_a_header_are_those_of_a_wav_file_of_the_same_format() -> None:
    stereo = np.stack([SAMPLES, SAMPLES], axis=1)
    files = {
        "linear16": wav(SAMPLES, RATE_HZ),
        "linear32": wav(SAMPLES, RATE_HZ, "f32"),
        "stereo": wav(stereo, RATE_HZ),
    }
    formats = {
        "linear16": RawFormat("linear16", RATE_HZ),
        "linear32": RawFormat("linear32", RATE_HZ),
        "stereo": RawFormat("linear16", RATE_HZ, num_channels=2),
    }
    raw = {name: await file_of(formats[name], file[WAV_HEADER_BYTES:], 4000) for name, file in files.items()}
    expected, decoded = await decode_whole(files), await decode_whole(raw)
    for name, recording in decoded.items():
        assert np.array_equal(recording.pcm, expected[name].pcm), name
        assert (recording.length_s, recording.end) == (pytest.approx(2.0, abs=0.01), AudioEnd()), name


async def test_companded_samples_have_the_levels_of_their_tables() -> None:
    quiet_then_loud = {
        name: await file_of(RawFormat(name, RATE_HZ), quiet * RATE_HZ + (loud + loud) * RATE_HZ)  # type: ignore[arg-type]
        for name, (quiet, loud, _) in QUIET_AND_LOUD.items()
    }
    for name, recording in (await decode_whole(quiet_then_loud)).items():
        assert recording.length_s == pytest.approx(3.0, abs=0.01), name
        assert abs(recording.pcm[4000:12_000]).max() < 16, name
        assert np.median(abs(recording.pcm[20_000:44_000])) == pytest.approx(QUIET_AND_LOUD[name][2], abs=8), name


@pytest.mark.parametrize("body", [b"RIFF1234WAVE", b"fLaC....", b"ID3\x04....", b"OggS....", b""])
async def test_a_file_and_an_empty_body_stay_as_they_are(body: bytes) -> None:
    assert await file_of(RawFormat("linear16", RATE_HZ), body, 1) == body
