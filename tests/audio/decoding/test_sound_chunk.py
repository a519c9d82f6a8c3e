"""Lengths in the headers of WAV and its relatives: placeholders of writers that cannot seek, and true ones."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from asr_api.audio.decoding.worker.media_file import MediaFile
from asr_api.audio.decoding.worker.sound_chunk import Extent, SoundEnd, find_sound
from asr_api.audio.decoding.worker.truncation import sound_end
from asr_api.pcm import AudioEnd
from tests.audio.decoding.decode_media import correlation, decode_whole, spool_of
from tests.audio.media_files import encodable, encoded, reference_pcm, wav
from tests.audio.media_files import signal as speech

pytestmark = pytest.mark.anyio

LENGTH_S = 1.0
PLACEHOLDERS = {
    "crashed recorder": 0,
    "ffmpeg": 0xFFFFFFFF,
    "sox, espeak": 0x7FFFF000,
    "sox, three bytes a frame": 0x7FFFF000 // 3 * 3,
    "sox, AIFF": 0x7F000000,
    "arecord": 0x80000000,
    "arecord, older": 0x7FFFFF00,
    "GStreamer": 0x7FFF0000,
    "pocket-tts": 2_000_000_000,
    "a thousand million frames": 4_000_000_000,
    "just below": 999_999_999,
    "largest int": 0x7FFFFFFF,
    "largest int, less a header": 0x7FFFFFFF - 36,
    "all ones, less a header": 0xFFFFFFFF - 44,
    "all ones, less a reserve": 0xFFFFFFFF - 100,
    "1 GiB": 2**30,
}
COUNTED = (1, 2, 96_000, 10**8, 2**28, 691_200_000, 1_036_800_000, 1_234_567_890, 2_073_600_000, 3_123_456_788)


@pytest.mark.parametrize("length_bytes", PLACEHOLDERS.values(), ids=PLACEHOLDERS)
def test_a_placeholder_is_known(length_bytes: int) -> None:
    assert not Extent(44, 40, struct.Struct("<I"), length_bytes).is_counted


@pytest.mark.parametrize("length_bytes", COUNTED)
def test_a_length_that_a_writer_has_counted_is_believed(length_bytes: int) -> None:
    assert Extent(44, 40, struct.Struct("<I"), length_bytes).is_counted


def test_a_counted_length_is_seldom_taken_for_a_placeholder() -> None:
    lengths = np.random.default_rng(5).integers(10**9 // 4, 2**30, 20_000) * 4
    taken = [int(length) for length in lengths if not Extent(44, 40, struct.Struct("<I"), int(length)).is_counted]
    assert len(taken) < len(lengths) / 50


def with_lengths(name: str, sound_bytes: int, total_bytes: int | None = None) -> bytes:
    """The signal with other lengths in the header: that of the sound, and in proportion that of all chunks."""
    data = encoded(name, LENGTH_S)
    total_bytes = min(sound_bytes + 36, 0xFFFFFFFF) if total_bytes is None else total_bytes
    long, short = struct.Struct("<Q"), struct.Struct(">I" if name in {"aiff", "au"} else "<I")
    places = {
        "rf64": [(20, long, total_bytes), (28, long, sound_bytes), (36, long, sound_bytes // 4)],
        "w64": [(16, long, total_bytes), (data.find(b"data\xf3") + 16, long, sound_bytes)],
        "au": [(8, short, sound_bytes)],
        "caf": [(data.find(b"data") + 4, struct.Struct(">Q"), sound_bytes)],
        "aiff": [
            (4, short, total_bytes),
            (data.find(b"SSND") + 4, short, sound_bytes),
            (data.find(b"COMM") + 10, short, sound_bytes // 4),
        ],
    }
    riff = [(4, short, total_bytes), (data.find(b"data") + 4, short, sound_bytes)]
    for at, number, value in places.get(name, riff):
        data = data[:at] + number.pack(value) + data[at + number.size :]
    return data


NAMES = ("wav", "wav-alaw", "wav-adpcm", "rf64", "w64", "aiff", "au", "caf")


@pytest.mark.parametrize("name", NAMES)
async def test_a_file_whose_length_was_never_known_is_whole(name: str) -> None:
    encodable(name)
    media = {writer: with_lengths(name, length_bytes) for writer, length_bytes in PLACEHOLDERS.items()}
    if name in {"rf64", "w64", "caf"}:
        media |= {f"{bits} bits": with_lengths(name, 2**bits - 1, 2**bits - 1) for bits in (63, 64)}
    for writer, result in (await decode_whole(media)).items():
        assert (writer, result.end) == (writer, AudioEnd())
        assert (writer, result.duration_hint_ms) == (writer, pytest.approx(LENGTH_S * 1000, abs=120))
        assert correlation(result.pcm, reference_pcm(LENGTH_S)) > 0.99, writer


async def test_what_ffmpeg_writes_into_a_pipe_is_whole() -> None:
    for name, result in (
        await decode_whole({name: encoded(name, is_piped=True) for name in encodable(*NAMES)})
    ).items():
        assert (name, result.end) == (name, AudioEnd())
        assert correlation(result.pcm, reference_pcm()) > 0.99, name


@pytest.mark.parametrize("name", NAMES)
async def test_a_file_that_is_shorter_than_its_true_length_is_truncated(name: str) -> None:
    encodable(name)
    data = encoded(name)
    media = {f"{cut} bytes": data[:-cut] for cut in (4_000, 20_000)}
    media |= {str(length_bytes): with_lengths(name, length_bytes) for length_bytes in COUNTED[5:]}
    assert {key for key, result in (await decode_whole(media)).items() if not result.end.is_truncated} == set()


async def test_two_lengths_that_contradict_each_other_prove_nothing() -> None:
    size_bytes = len(encoded("wav", LENGTH_S))
    media = {
        "the data chunk counts the header": with_lengths("wav", size_bytes, size_bytes - 8),
        "both count it": with_lengths("wav", size_bytes, size_bytes),
        "AU counts it": with_lengths("au", len(encoded("au", LENGTH_S))),
        "the file is whole": with_lengths("wav", 10**7, size_bytes - 8),
        "one is a placeholder": with_lengths("wav", 10**7, 0xFFFFFFFF),
    }
    assert {result.end for result in (await decode_whole(media)).values()} == {AudioEnd()}
    no_total = {"no total": with_lengths("wav", 10**7, 0)}
    assert [result.end.is_truncated for result in (await decode_whole(no_total)).values()] == [True]


async def test_a_wav_without_a_data_chunk_says_nothing() -> None:
    junk = b"RIFF\0\0\0\0WAVE" + b"junk\xff\xff\0\0" + bytes(1000)
    for data, end in ((junk, None), (b"RIFF", None), (b"", None), (wav(speech(1.0), 16_000), SoundEnd.PRESENT)):
        async with spool_of(data) as spool:
            found = find_sound(spool.fd, len(data))
            assert (None if found is None else found.end(len(data))) is end


@pytest.mark.parametrize("name", NAMES)
async def test_damaged_headers_are_read_without_an_error(name: str) -> None:
    encodable(name)
    head, rng = encoded(name, LENGTH_S)[:2000], np.random.default_rng(8)
    for _ in range(200):
        damaged = bytearray(head[: rng.integers(200, len(head))])
        for at in rng.integers(4, 120, 6):
            damaged[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        async with spool_of(bytes(damaged)) as spool:
            file = MediaFile(spool.fd)
            assert len(file.read(10**6)) == len(damaged)
            assert sound_end(file, "wav") in {None, *SoundEnd}
