"""Runs decoders over media for tests, and compares the PCM with its reference."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import psutil

from asr_api.audio.decoding.decoder import Decoder
from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.audio.sources.spool import Spool
from asr_api.errors import AsrError
from asr_api.pcm import SAMPLE_RATE_HZ, AudioEnd, Pcm


@dataclass(frozen=True)
class Decoded:
    pcm: Pcm
    duration_hint_ms: int | None
    end: AudioEnd

    @property
    def length_s(self) -> float:
        return len(self.pcm) / SAMPLE_RATE_HZ


def spool_of(data: bytes) -> Spool:
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # the spool owns it
    file.write(data)
    return Spool(file, len(data))


@asynccontextmanager
async def decoding(limits: DecodeLimits | None = None, *, is_started: bool = True) -> AsyncIterator[Decoder]:
    """A decoder that leaves no process behind."""
    decoder = Decoder(limits)
    try:
        if is_started:
            await decoder.start()
        yield decoder
    finally:
        await decoder.aclose()
    await wait_until(lambda: not psutil.Process().children())


async def wait_until(is_true: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.02)


def has_exited(process: psutil.Process) -> bool:
    """Whether it is gone, or a zombie."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def decode(decoder: Decoder, data: bytes) -> Decoded:
    async with spool_of(data) as spool, decoder.decode(spool) as source:
        blocks = [block async for block in source]
        return Decoded(np.concatenate(blocks), source.duration_hint_ms, source.end)


async def decode_whole(media: Mapping[str, bytes], limits: DecodeLimits | None = None) -> dict[str, Decoded]:
    """As decode_all, for media without errors."""
    results = await decode_all(media, limits)
    assert {name: result for name, result in results.items() if isinstance(result, str)} == {}
    return {name: result for name, result in results.items() if isinstance(result, Decoded)}


async def decode_one(data: bytes) -> Decoded:
    return (await decode_whole({"file": data}))["file"]


async def decode_all(media: Mapping[str, bytes], limits: DecodeLimits | None = None) -> dict[str, Decoded | str]:
    """The PCM of each file, or the code of its error. Decodes four at a time."""
    messages: list[str] = []

    async def outcome(decoder: Decoder, data: bytes) -> Decoded | str:
        try:
            return await decode(decoder, data)
        except AsrError as error:
            messages.append(str(error))
            return error.code

    async with decoding(limits or DecodeLimits(max_workers=4)) as decoder:
        outcomes = await asyncio.gather(*(outcome(decoder, data) for data in media.values()))
    assert not any(leak in message for message in messages for leak in ("Error", "errno", "av.", "0x", "'"))
    return dict(zip(media, outcomes, strict=True))


def correlation(pcm: Pcm, reference: Pcm) -> float:
    """At the best shift, for delays of encoders; 0 where lengths differ by 100 ms. Shifts above 60 ms are not tried."""
    if abs(len(pcm) - len(reference)) > 1600:
        return 0.0
    size = 2 ** (len(pcm) + len(reference)).bit_length()
    spectra = [np.fft.rfft(x.astype(np.float64), size) for x in (pcm, reference)]
    product = np.fft.irfft(spectra[0] * spectra[1].conj(), size)
    best = max(product[:960].max(), product[-960:].max())
    return float(best / np.sqrt(np.square(pcm.astype(float)).sum() * np.square(reference.astype(float)).sum()))
