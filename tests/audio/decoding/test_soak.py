"""Slow tests of the decoder: a thousand mutated files, hundreds of bad files at once, hours of audio."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest

from asr_api.audio.decoding.decoder import Decoder
from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.errors import AsrError
from tests.audio.decoding.decode_media import Decoded, decode, decode_all, decoding, spool_of
from tests.audio.media_files import encodable, encoded, silent_flac

pytestmark = [pytest.mark.anyio, pytest.mark.soak]

CLIENT_ERRORS = {"audio_too_short", "empty_audio", "invalid_audio", "no_audio_stream", "unsupported_format"}


def mutations(rng: random.Random) -> Iterator[bytes]:
    """Good files with bits flipped, ends cut off, heads replaced, or one continued as another."""
    while True:
        data = bytearray(encoded(rng.choice(encodable())))
        kind = rng.randrange(4)
        if kind == 0:
            for _ in range(rng.choice((1, 10, 100, 1000))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[rng.randrange(len(data)) :]
        elif kind == 2:
            data[: rng.choice((4, 50, 500))] = rng.randbytes(rng.choice((4, 50, 500)))
        else:
            other = encoded(rng.choice(encodable()))
            data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :]
        yield bytes(data)


async def test_a_thousand_mutations_give_pcm_or_a_client_error() -> None:
    rng = random.Random(int(os.environ.get("PYTEST_SEED", "1")))
    media = {str(index): data for index, data in zip(range(1000), mutations(rng), strict=False)}
    results = await decode_all(media)
    codes = Counter("decoded" if isinstance(result, Decoded) else result for result in results.values())
    assert set(codes) <= {*CLIENT_ERRORS, "decoded"}
    assert len(codes) > 3


async def test_many_bad_files_do_not_affect_good_ones() -> None:
    async def bad(decoder: Decoder) -> str:
        with pytest.raises(AsrError) as caught:
            await decode(decoder, encoded("m4a-index-last")[:-5000])
        return caught.value.code

    async def good(decoder: Decoder) -> int:
        return len((await decode(decoder, encoded("flac"))).pcm)

    async with decoding(DecodeLimits(max_workers=8)) as decoder:
        requests = (good(decoder) if index % 10 == 0 else bad(decoder) for index in range(500))
        assert Counter(await asyncio.gather(*requests)) == {"invalid_audio": 450, 48_000: 50}


async def test_hours_of_audio_take_no_memory() -> None:
    own = psutil.Process()
    async with decoding() as decoder, spool_of(silent_flac(3 * 3600)) as spool:
        before_bytes, most_bytes, num_samples = own.memory_info().rss, 0, 0
        async with decoder.decode(spool) as pcm:
            async for block in pcm:
                num_samples += len(block)
                if num_samples % (600 * 16_000) < len(block):
                    worker_bytes = max(child.memory_full_info().uss for child in own.children(recursive=True))
                    most_bytes = max(most_bytes, own.memory_info().rss - before_bytes + worker_bytes)
    assert num_samples == 3 * 3600 * 16_000
    assert most_bytes < 64 * 2**20
