"""Formats: every container, sample format, rate and channel layout gives the PCM of the reference."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from asr_api.pcm import SAMPLE_RATE_HZ, AudioEnd
from tests.audio.decoding.decode_media import correlation, decode_one, decode_whole
from tests.audio.media_files import amr, encodable, encoded, reference_pcm, wav
from tests.audio.media_files import signal as speech
from tests.audio.voice_files import voice_files

pytestmark = pytest.mark.anyio

MIN_CORRELATION = {"amr": 0.5, "3gp": 0.5, "rm": 0.95}  # they model a voice, which our signal is not


async def test_every_container_gives_the_reference_pcm() -> None:
    for name, result in (await decode_whole({name: encoded(name) for name in encodable()})).items():
        assert (name, result.end) == (name, AudioEnd())
        assert (name, result.duration_hint_ms) == (name, pytest.approx(3000, abs=120))
        assert correlation(result.pcm, reference_pcm()) >= MIN_CORRELATION.get(name, 0.99), name


async def test_every_sample_format_rate_and_channel_count_of_wav_gives_the_same_pcm() -> None:
    media = {kind: wav(speech(3.0, 44_100), 44_100, kind) for kind in ("u8", "s16", "s24", "s32", "f32", "f64")}
    media |= {f"{rate} Hz": wav(speech(3.0, rate), rate) for rate in (8_000, 11_025, 16_000, 48_000, 96_000, 192_000)}
    media |= {f"{n} channels": wav(speech(3.0, 16_000, n), 16_000) for n in range(1, 9)}
    for name, result in (await decode_whole(media)).items():
        assert correlation(result.pcm, reference_pcm()) >= 0.99, name
        assert 0.9 < np.abs(result.pcm).max() / np.abs(reference_pcm()).max() < 1.1, name


async def test_nist_sphere() -> None:
    fields = ("channel_count -i 1", "sample_rate -i 16000", "sample_n_bytes -i 2", "sample_count -i 48000")
    lines = ("NIST_1A", "   1024", *fields, "sample_byte_format -s2 01", "sample_coding -s3 pcm", "end_head\n")
    data = "\n".join(lines).encode().ljust(1024) + reference_pcm().astype("<i2").tobytes()
    whole, cut = (await decode_whole({"whole": data, "cut": data[:-32_000]})).values()
    assert np.array_equal(whole.pcm, reference_pcm())
    assert (whole.end.is_truncated, cut.end.is_truncated, len(cut.pcm)) == (False, True, 32_000)


async def test_amr_without_an_encoder() -> None:
    assert (await decode_one(amr(3.0))).length_s == pytest.approx(3.0)


async def test_voice_codecs_without_an_encoder() -> None:
    files = voice_files()
    for name, result in (await decode_whole({name: file.data for name, file in files.items()})).items():
        assert (name, result.end) == (name, AudioEnd())
        assert (name, result.length_s) == (name, pytest.approx(files[name].length_s, abs=0.1))


async def test_tags_that_are_not_utf_8_are_ignored() -> None:
    title = "Übung".encode("latin-1") + b"\xff\xfe"
    tag = b"LIST" + struct.pack("<I", 4 + 8 + 8) + b"INFOINAM" + struct.pack("<I", 8) + title.ljust(8, b"\0")
    data = wav(speech(1.0), 16_000)
    assert len((await decode_one(data[:36] + tag + data[36:])).pcm) == SAMPLE_RATE_HZ


async def test_mixing_down_does_not_clip() -> None:
    loud = np.sign(speech(1.0, 16_000, 6)) * 0.99
    result = await decode_one(wav(loud, 16_000))
    assert np.mean(np.abs(result.pcm.astype(int)) >= 32_767) < 0.01


async def test_channels_that_cancel_each_other_out_are_not_lost() -> None:
    left = speech(9.0, 44_100)
    right = left.copy()
    right[3 * 44_100 : 7 * 44_100] *= -1  # the second group, and halves of others
    noise = np.random.default_rng(7).standard_normal((len(left), 2)) * 0.006
    stereo = {"all": np.hstack([left, -left]), "some": np.hstack([left, right])}
    stereo["nearly"] = np.clip(np.hstack([left, -0.95 * left]) + noise, -1, 1)
    results = await decode_whole({name: wav(samples, 44_100) for name, samples in stereo.items()})
    assert {len(results[name].pcm) for name in ("all", "some")} == {9 * 16_000}
    for name, part in (("all", slice(None)), ("nearly", slice(None)), ("some", slice(64_000, 96_000))):
        assert correlation(results[name].pcm[part], reference_pcm(9.0)[part]) > 0.98, name


async def test_nan_and_infinity_in_float_audio_are_harmless() -> None:
    samples = speech(1.0).copy()
    samples[4000:8000] = np.nan
    samples[8000:9000] = np.inf
    result = await decode_one(wav(samples, 16_000, "f32"))
    assert len(result.pcm) == 16_000
    assert np.corrcoef(result.pcm[9000:], reference_pcm(1.0)[9000:])[0, 1] > 0.99


async def test_the_format_may_change_within_the_file() -> None:
    result = await decode_one(encoded("mp3") + encoded("mp3-bare"))
    assert 5.9 < result.length_s < 6.2
    assert correlation(result.pcm[-48_000:], reference_pcm()) > 0.95
