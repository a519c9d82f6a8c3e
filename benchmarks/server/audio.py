"""Recordings from disk, and WAV files of any length that are never in memory as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from asr_api.audio.decoding.decoder import Decoder
from asr_api.audio.sources.open_reference import open_reference
from asr_api.audio.sources.policy import MediaPolicy
from asr_api.benchmark.speech import looped, read_pcm, wav_header
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm

BLOCK_SAMPLES = 2**19


async def read_recording(path: Path) -> Pcm:
    decoder = Decoder()
    policy = MediaPolicy(max_media_bytes=2**31)
    place = str(path.absolute())  # noqa: ASYNC240 – it reads no disk
    try:
        async with await open_reference(place, policy, is_local_client=True) as spool:
            return await read_pcm(decoder, spool)
    finally:
        await decoder.aclose()


async def streamed(pcm: Pcm, duration_s: float) -> AsyncIterator[bytes]:
    """The recording over and over."""
    num_samples = round(duration_s * SAMPLE_RATE_HZ)
    yield wav_header(num_samples)
    block = looped(pcm, max(1, BLOCK_SAMPLES // len(pcm)) * len(pcm))
    for start in range(0, num_samples, len(block)):
        yield block[: num_samples - start].tobytes()
