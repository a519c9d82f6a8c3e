"""Runs decoders over media for tests: what each file becomes, and how like that is to what it should be."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import psutil

from asr_api.audio.decoding.decoder import DecodeLimits, Decoder
from asr_api.audio.sources.spool import Spool
from asr_api.errors import AsrError
from tests.audio.media import twin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from asr_api.pcm import Pcm


@dataclass(frozen=True)
class Decoded:
    pcm: Pcm
    duration_hint_ms: int | None
    is_truncated: bool
    is_damaged: bool

    @property
    def is_whole(self) -> bool:
        return not (self.is_truncated or self.is_damaged)


def spool_of(data: bytes) -> Spool:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the spool owns it
    file.write(data)
    file.flush()
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


def are_gone(processes: Sequence[psutil.Process]) -> bool:
    return not any(each.is_running() for each in processes)


def are_over(processes: Sequence[psutil.Process]) -> bool:
    """Gone, or waiting for their parent to take note."""
    return all(not each.is_running() or each.status() == psutil.STATUS_ZOMBIE for each in processes)


async def decode(decoder: Decoder, data: bytes) -> Decoded:
    with spool_of(data) as spool:
        async with decoder.open(spool) as stream:
            blocks = [block async for block in stream]
            pcm = np.concatenate(blocks)
            return Decoded(pcm, stream.duration_hint_ms, stream.is_truncated, stream.is_damaged)


async def decode_all(media: Mapping[str, bytes], limits: DecodeLimits | None = None) -> dict[str, Decoded | str]:
    """What each becomes: PCM, or the code of an error. Four at a time, by one decoder."""
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


def likeness(pcm: Pcm, reference: Pcm) -> float:
    """Correlation at the best shift, as encoders delay; 0 where that is over 60 ms or lengths differ by 100 ms."""
    if abs(len(pcm) - len(reference)) > 1600:
        return 0.0
    size = 2 ** (len(pcm) + len(reference)).bit_length()
    spectra = [np.fft.rfft(x.astype(np.float64), size) for x in (pcm, reference)]
    product = np.fft.irfft(spectra[0] * spectra[1].conj(), size)
    best = max(product[:960].max(), product[-960:].max())
    return float(best / np.sqrt(np.square(pcm.astype(float)).sum() * np.square(reference.astype(float)).sum()))


def loudness(pcm: Pcm) -> float:
    """Against the twin's."""
    return float(np.abs(pcm).max() / np.abs(twin()).max())
