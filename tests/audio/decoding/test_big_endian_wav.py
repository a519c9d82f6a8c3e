"""Big-endian WAV (RIFX): every sample format gives the same PCM as in little-endian WAV."""

from __future__ import annotations

import os
import struct

import numpy as np
import pytest

from asr_api.audio.decoding.worker.media_file import MediaFile
from asr_api.pcm import AudioEnd
from tests.audio.decoding.decode_media import decode_one, decode_whole, spool_of
from tests.audio.media_files import encoded, need_ffmpeg, wav
from tests.audio.media_files import signal as speech

pytestmark = pytest.mark.anyio

RATE_HZ = 16_000
PCM_GUID = struct.Struct(">IHH").pack(1, 0, 0x10) + bytes.fromhex("800000aa00389b71")


def chunk(name: bytes, body: bytes, length_bytes: int | None = None) -> bytes:
    length_bytes = len(body) if length_bytes is None else length_bytes
    return struct.pack(">4sI", name, length_bytes) + body + bytes(len(body) % 2)


def rifx(little_endian: bytes, extension: bytes = b"", *, before: bytes = b"", after: bytes = b"") -> bytes:
    """The same recording in big-endian order.

    little_endian: WAV with a format chunk of 16 bytes; extension: of that chunk; before, after: chunks around the data
    """
    form = struct.unpack_from("<HHIIHH", little_endian, 20)
    data = little_endian[little_endian.index(b"data") + 8 :]
    tag, _, _, _, _, bits = form
    sample_bytes = bits // 8 if tag in {1, 3} else 1
    samples = np.frombuffer(data, np.uint8).reshape(-1, sample_bytes)[:, ::-1].tobytes()
    if len(extension) > 2:
        form = (0xFFFE, *form[1:])
    chunks = chunk(b"fmt ", struct.pack(">HHIIHH", *form) + extension) + before + chunk(b"data", samples) + after
    return struct.pack(">4sI", b"RIFX", 4 + len(chunks)) + b"WAVE" + chunks


def extensible(bits: int, channel_mask: int) -> bytes:
    return struct.pack(">HHI", 22, bits, channel_mask) + PCM_GUID


async def check(media: dict[str, tuple[bytes, bytes]]) -> None:
    """media: (big-endian, little-endian)"""
    results = await decode_whole({f"{name} {order}": data for name in media for order, data in enumerate(media[name])})
    for name in media:
        big, little = results[f"{name} 0"], results[f"{name} 1"]
        assert (name, big.end, big.duration_hint_ms) == (name, AudioEnd(), little.duration_hint_ms)
        assert np.array_equal(big.pcm, little.pcm), name


async def test_every_sample_format_and_layout() -> None:
    media = {}
    for kind in ("u8", "s16", "s24", "s32", "f32", "f64"):
        little = wav(speech(1.0), RATE_HZ, kind)
        media[kind] = rifx(little), little
        media[f"{kind}, WAVEFORMATEX"] = rifx(little, bytes(2)), little
    for num_channels, mask in ((2, 3), (6, 0x3F)):
        for kind in ("s16", "s24"):
            little = wav(speech(1.0, RATE_HZ, num_channels), RATE_HZ, kind)
            media[f"{num_channels} channels, {kind}"] = rifx(little), little
            media[f"{num_channels} channels, {kind}, extensible"] = (
                rifx(little, extensible(int(kind[1:]), mask)),
                little,
            )
    await check(media)


async def test_telephone_codecs() -> None:
    need_ffmpeg("wav", "pcm_alaw", "pcm_mulaw")
    little = encoded("wav-alaw")
    for tag in (6, 7):
        form = struct.pack("<HHIIHH", tag, 1, 8_000, 8_000, 1, 8)
        body = b"WAVE" + struct.pack("<4sI", b"fmt ", 16) + form + little[little.index(b"data") :]
        plain = struct.pack("<4sI", b"RIFF", len(body)) + body
        await check({str(tag): (rifx(plain), plain)})


async def test_other_chunks_do_no_harm() -> None:
    little = wav(speech(1.0), RATE_HZ)
    info = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"Title\0") + chunk(b"ISFT", b"Recorder"))
    around = chunk(b"fact", struct.pack(">I", RATE_HZ)) + info + chunk(b"odd ", b"x" * 301)
    await check(
        {"before": (rifx(little, before=around), little), "after": (rifx(little, after=around + around), little)}
    )


@pytest.mark.parametrize("length_bytes", [0, 0x7FFFF000, 0xFFFFFFFF, 2_000_000_000])
async def test_a_length_that_was_never_known(length_bytes: int) -> None:
    data = rifx(little := wav(speech(1.0), RATE_HZ))
    total = struct.pack(">I", min(0xFFFFFFFF, length_bytes + 36))
    await check({"piped": (data[:4] + total + data[8:40] + struct.pack(">I", length_bytes) + data[44:], little)})


@pytest.mark.parametrize("cut_bytes", [1, 2, 3, 9_999])
async def test_a_file_that_breaks_off(cut_bytes: int) -> None:
    little = wav(speech(1.0), RATE_HZ, "s24")
    result = await decode_one(rifx(little)[:-cut_bytes])
    assert result.end.is_truncated
    whole = await decode_one(little)
    num_samples = RATE_HZ - -(-cut_bytes // 3)
    assert len(result.pcm) == num_samples
    assert np.array_equal(result.pcm[:-100], whole.pcm[: num_samples - 100])


async def test_damaged_headers_are_no_crash() -> None:
    data = rifx(wav(speech(0.2), RATE_HZ))
    rng = np.random.default_rng(8)
    for _ in range(300):
        damaged = bytearray(data[: rng.integers(4, len(data))])
        for at in rng.integers(4, 60, 6):
            if at < len(damaged):
                damaged[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        async with spool_of(bytes(damaged)) as spool:
            file = MediaFile(spool.fd)
            assert len(file.read(10**6)) == len(damaged)


@pytest.mark.parametrize("kind", ["s16", "s24", "f64"])
async def test_any_piece_is_read_as_in_the_whole(kind: str) -> None:
    async with spool_of(rifx(wav(speech(0.1), RATE_HZ, kind), after=chunk(b"LIST", bytes(7)))) as spool:
        file = MediaFile(spool.fd)
        whole = file.read(10**6)
        rng = np.random.default_rng(6)
        for at, num_bytes in rng.integers(0, len(whole) + 20, (500, 2)):
            file.seek(int(at), os.SEEK_SET)
            assert file.read(int(num_bytes)) == whole[at : at + num_bytes]
            assert file.tell() == at + len(whole[at : at + num_bytes])
