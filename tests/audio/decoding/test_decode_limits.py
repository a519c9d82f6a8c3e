"""Limits of decoding: the length of the audio, the memory and number of workers, and how long a worker may stall."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import numpy as np
import psutil
import pytest

from asr_api.audio.decoding.decoder import Decoder
from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.errors import InvalidAudio
from tests.audio.decoding.decode_media import Decoded, decode, decode_all, decode_whole, decoding, spool_of
from tests.audio.media_files import encoded, silent_flac, wav
from tests.audio.media_files import signal as speech

pytestmark = pytest.mark.anyio


async def test_a_compressed_hour_is_refused_within_seconds() -> None:
    hour = silent_flac(3600)
    unknown = bytearray(hour)
    unknown[21] &= 0xF0  # the number of samples is 36 bits from the middle of byte 21 on; zero means unknown
    unknown[22:26] = bytes(4)
    false = bytearray(unknown)
    false[24:26] = b"\xff\xff"  # 4 s
    started_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    media = {"true": hour, "unknown": bytes(unknown), "false": bytes(false)}
    results = await decode_all(media, DecodeLimits(max_audio_s=600))
    assert results == dict.fromkeys(media, "audio_too_long")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - started_s < 3  # of CPU, starts included


async def test_audio_of_exactly_the_limit_is_accepted() -> None:
    media = {"at": wav(speech(2.0), 16_000), "over": wav(speech(2.1), 16_000)}
    results = await decode_all(media, DecodeLimits(max_audio_s=2.0))
    assert isinstance(results["at"], Decoded)
    assert results["over"] == "audio_too_long"


async def test_the_worker_pauses_without_a_timeout_while_pcm_is_not_read() -> None:
    async with decoding(DecodeLimits(max_stall_s=1.0)) as decoder, spool_of(wav(speech(60.0), 16_000)) as spool:
        (worker,) = psutil.Process().children()[0].children()
        async with decoder.decode(spool) as pcm:
            num_samples = len(await anext(pcm))
            await asyncio.sleep(1.3)
            assert worker.is_running()
            assert worker.status() == psutil.STATUS_SLEEPING  # it has not decoded all 60 s
            num_samples += sum([len(block) async for block in pcm])
    assert num_samples == 60 * 16_000


async def test_at_most_max_workers_run_at_once() -> None:
    data = encoded("flac")
    num_open = 0

    async def request(decoder: Decoder) -> int:
        nonlocal num_open
        async with spool_of(data) as spool, decoder.decode(spool) as pcm:
            num_open += 1
            assert num_open <= 2
            num_samples = sum([len(block) async for block in pcm])
            num_open -= 1
            return num_samples

    async with decoding(DecodeLimits(max_workers=2)) as decoder:
        assert await asyncio.gather(*(request(decoder) for _ in range(6))) == [48_000] * 6


async def test_media_that_take_too_much_memory_are_refused_with_the_limit() -> None:
    async with decoding(DecodeLimits(max_memory_bytes=2**20), is_started=False) as decoder:
        with pytest.raises(InvalidAudio, match="more memory than 1 MiB, the limit"):
            await decode(decoder, encoded("flac"))


async def test_the_highest_rate_with_the_most_channels_takes_little_memory() -> None:
    media = {"7.1": wav(np.repeat(speech(4.0, 384_000), 8, axis=1), 384_000, "s32")}
    results = await decode_whole(media, DecodeLimits(max_memory_bytes=160 * 2**20))
    assert results["7.1"].length_s == pytest.approx(4.0)


async def test_the_kernel_ends_decoders_first_when_memory_runs_out() -> None:
    async with decoding():
        (fork_server,) = psutil.Process().children()
        (worker,) = fork_server.children()
        assert Path(f"/proc/{worker.pid}/oom_score_adj").read_text() == "1000\n"  # noqa: ASYNC240
