"""Limits of decoding: the length of the audio, the number of workers, and how long a worker may stall."""

from __future__ import annotations

import asyncio
import resource

import pytest

from asr_api.audio.decoding.decoder import DecodeLimits
from tests.audio.decoding.decode_media import Decoded, decode_all, decoding, spool_of
from tests.audio.media_files import encoded, silent_flac, wav
from tests.audio.media_files import signal as speech

pytestmark = pytest.mark.anyio


async def test_a_compressed_hour_is_refused_within_seconds_whatever_its_header_claims() -> None:
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


async def test_the_time_in_which_pcm_is_not_read_does_not_count_and_the_worker_pauses() -> None:
    data = wav(speech(60.0), 16_000)
    async with (
        decoding(DecodeLimits(max_stall_s=1.0)) as decoder,
        spool_of(data) as spool,
        decoder.decode(spool) as pcm,
    ):
        num_samples = len(await anext(pcm))
        await asyncio.sleep(1.3)
        assert pcm._worker is not None
        num_ahead_bytes = len(vars(pcm._worker._reader)["_buffer"])
        async for block in pcm:
            num_samples += len(block)
    assert num_samples == 60 * 16_000
    assert num_ahead_bytes < 2**19  # 16 s of the 60


async def test_at_most_max_workers_run_at_once_and_the_others_wait() -> None:
    data = encoded("flac")
    order: list[int] = []
    num_open = 0

    async with decoding(DecodeLimits(max_workers=2)) as decoder:

        async def request(index: int) -> None:
            nonlocal num_open
            async with spool_of(data) as spool, decoder.decode(spool) as pcm:
                order.append(index)
                num_open += 1
                assert num_open <= 2
                _ = [block async for block in pcm]
                num_open -= 1

        await asyncio.gather(*map(request, range(6)))
    assert sorted(order) == list(range(6))
