"""A spool → a stream of PCM blocks, decoded by a sandboxed process that lives for one file.

`Decoder` owns the processes: it keeps one spare started, so that a short clip does not wait for a start, and lets
only so many work at once. Reads no faster than its caller: a file of any length costs the memory of a few seconds.
The program of the process is in decode_worker/; PyAV is loaded there and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import numpy as np

from asr_api.audio.decoding.fork_server_client import DecoderProcess, ForkServerClient, unavailable
from asr_api.audio.decoding.protocol import Job
from asr_api.audio.sources.spool import Spool, spool_chunks
from asr_api.errors import (
    AsrError,
    AudioTooLong,
    AudioTooShort,
    DecoderUnavailable,
    EmptyAudio,
    InvalidAudio,
    NoAudioStream,
    RequestError,
    UnsupportedFormat,
)
from asr_api.pcm import SAMPLE_RATE_HZ, Pcm

log = logging.getLogger(__name__)


_SAMPLE_BYTES = 2
_SILENCE_BYTES = SAMPLE_RATE_HZ * _SAMPLE_BYTES
_WAV_HEADER = struct.pack(
    "<4sI8sIHHIIHH4sI",
    *(b"RIFF", 36 + _SILENCE_BYTES, b"WAVEfmt ", 16, 1, 1, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ * _SAMPLE_BYTES),
    *(_SAMPLE_BYTES, 8 * _SAMPLE_BYTES, b"data", _SILENCE_BYTES),
)


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Bounds of one decoding, and how many run at once.

    max_stall_s: how long a worker may keep us waiting beyond real time; our own pauses do not count
    max_workers: a paused one costs little but its memory (some 40 MB, most of it shared), so this is generous
    """

    max_audio_s: float = 4 * 3600.0
    min_audio_s: float = 0.1
    max_stall_s: float = 20.0
    max_workers: int = 64
    max_memory_bytes: int = 2**30
    min_rate_hz: int = 4_000
    max_rate_hz: int = 384_000
    max_channels: int = 8


class PcmStream:
    """Yields (n_samples,) int16 blocks of about two seconds, 16 kHz mono, timed by the clock of the file: silence is
    where nothing was recorded.

    duration_hint_ms: declared by the file, or measured where it declares none; None if neither is possible
    is_truncated:     known after the last block: the file broke off, and this was the part that could be decoded
    is_damaged:       likewise: on the way there was something that could not be decoded
    Errors while iterating: InvalidAudio, EmptyAudio, AudioTooShort, AudioTooLong, DecodeTimeout.
    """

    def __init__(self, worker: DecoderProcess, limits: DecodeLimits) -> None:
        self.duration_hint_ms: int | None = None
        self.is_truncated = self.is_damaged = False
        self._worker = worker
        self._limits = limits
        self._num_samples = 0
        self._is_finished = False

    def __aiter__(self) -> PcmStream:
        return self

    async def __anext__(self) -> Pcm:
        if self._is_finished:
            raise StopAsyncIteration
        kind, payload = await self._next_frame()
        if kind != b"P":
            self._is_finished = True
            ending = json.loads(payload)
            self.is_truncated, self.is_damaged = bool(ending["is_truncated"]), bool(ending["is_damaged"])
            raise StopAsyncIteration
        pcm: Pcm = np.frombuffer(payload, dtype="<i2")
        self._num_samples += len(pcm)
        if self._num_samples > self._limits.max_audio_s * SAMPLE_RATE_HZ + SAMPLE_RATE_HZ:
            raise _error("audio_too_long", "", 0, self._limits)  # the worker should have said so
        return pcm

    async def open(self) -> None:
        """Waits until the worker has read the headers. Errors: UnsupportedFormat, NoAudioStream, InvalidAudio, …"""
        _, payload = await self._next_frame()
        duration_ms = json.loads(payload)["duration_ms"]
        self.duration_hint_ms = None if duration_ms is None else int(duration_ms)

    async def _next_frame(self) -> tuple[bytes, bytes]:
        """The next frame that is no error. A worker slower than real time for `max_stall_s` is taken for stuck."""
        patience_s = self._limits.max_stall_s + self._num_samples / SAMPLE_RATE_HZ - self._worker.waited_s
        kind, payload = await self._worker.receive(patience_s)
        if kind == b"E" and "code" in (report := json.loads(payload)):
            self._is_finished = True
            raise _error(report["code"], report.get("reason", ""), report.get("value", 0), self._limits)
        return kind, payload


class Decoder:
    """Start it once, open any number of spools at a time, close it once; all on one event loop."""

    def __init__(self, limits: DecodeLimits | None = None) -> None:
        self.limits = limits or DecodeLimits()
        self._permits = asyncio.Semaphore(self.limits.max_workers)
        self._nursery = ForkServerClient()
        self._spare: asyncio.Task[DecoderProcess] | None = None
        self._is_closed = False

    async def start(self) -> None:
        """Decodes a moment of silence, and leaves a spare ready.

        Errors: DecoderUnavailable, so that an installation that cannot decode is known at start, and not taken for bad
        audio later.
        """
        try:
            with await spool_chunks(_silence(), len(_WAV_HEADER) + _SILENCE_BYTES) as spool:
                async with self.open(spool) as stream:
                    num_samples = sum([len(block) async for block in stream])
        except RequestError as error:
            raise unavailable() from error
        if num_samples * _SAMPLE_BYTES != _SILENCE_BYTES:
            raise unavailable()
        if self._spare is not None:
            await asyncio.shield(self._spare)

    @contextlib.asynccontextmanager
    async def open(self, spool: Spool) -> AsyncIterator[PcmStream]:
        """PCM of the spool, which stays the caller's. Waits in line where `max_workers` are at work.

        Errors: UnsupportedFormat, NoAudioStream, InvalidAudio, AudioTooLong, DecodeTimeout, DecoderUnavailable, and
        those of PcmStream. The process is gone when the block is left, however it is left.
        """
        if spool.size_bytes == 0:
            raise _error("empty_audio", "", 0, self.limits)
        async with self._permits:
            worker = await self._take_worker()
            try:
                worker.begin(spool.fd, _job(self.limits))
                stream = PcmStream(worker, self.limits)
                await stream.open()
                yield stream
            finally:
                await worker.close()

    async def aclose(self) -> None:
        self._is_closed = True
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.cancel()
            with contextlib.suppress(asyncio.CancelledError, DecoderUnavailable):
                await (await spare).close()
        await self._nursery.aclose()

    async def _take_worker(self) -> DecoderProcess:
        """The spare, or a new one where the spare is lost; the next spare is started meanwhile."""
        if self._is_closed:
            raise unavailable()
        spare, self._spare = self._spare, asyncio.create_task(self._nursery.start_process())
        if spare is not None:
            try:
                worker = await asyncio.shield(spare)
                if worker.is_alive:
                    return worker
                await worker.close()
            except asyncio.CancelledError:
                spare.add_done_callback(_discard)
                raise
            except DecoderUnavailable:
                log.warning("the spare decoder did not start; starting another")
        return await self._nursery.start_process()


async def _silence() -> AsyncIterator[bytes]:
    """A WAV file of one second."""
    yield _WAV_HEADER + bytes(_SILENCE_BYTES)


def _discard(spare: asyncio.Task[DecoderProcess]) -> None:
    """Its taker was cancelled while it started."""
    if not spare.cancelled() and spare.exception() is None:
        spare.result().kill()


def _job(limits: DecodeLimits) -> Job:
    return Job(
        max_audio_s=limits.max_audio_s,
        min_audio_s=limits.min_audio_s,
        min_rate_hz=limits.min_rate_hz,
        max_rate_hz=limits.max_rate_hz,
        max_channels=limits.max_channels,
        max_memory_bytes=limits.max_memory_bytes,
        max_cpu_s=60 + int(limits.max_audio_s / 20),  # the slowest codecs run at 200 times real time
    )


def _error(code: str, reason: str, value: float, limits: DecodeLimits) -> AsrError:
    """The error that a worker reports, in a sentence; anything unknown is taken for damage."""
    if code == "audio_too_long":
        return AudioTooLong(f"The audio is longer than {limits.max_audio_s:g} s, the limit here; split it.")
    if code == "audio_too_short":
        return AudioTooShort(f"The audio lasts {value:.3f} s; send at least {limits.min_audio_s:g} s.")
    if code == "empty_audio":
        return EmptyAudio("The file holds no sound; record it again.")
    if code == "no_audio_stream":
        return NoAudioStream("The file has no audio track; send one that has.")
    if code == "unsupported_format":
        return UnsupportedFormat(
            "The data is no audio file that can be read here; send WAV, FLAC, MP3, M4A/MP4, Ogg, WebM, AIFF or similar."
        )
    return InvalidAudio(_DAMAGE.get(reason, _DAMAGE["damaged"])(value, limits))


_DAMAGE: dict[str, Callable[[float, DecodeLimits], str]] = {
    "damaged": lambda _value, _limits: (
        "The audio cannot be decoded: it is damaged, incomplete or encrypted; send all of it, or re-encode it."
    ),
    "codec": lambda _value, _limits: "The audio is encoded in a way that this server does not read; re-encode it.",
    "memory": lambda _value, _limits: "The audio needs more memory to decode than is allowed; re-encode it.",
    "rate": lambda value, limits: (
        f"The audio claims a sample rate of {value:g} Hz; {limits.min_rate_hz} to {limits.max_rate_hz} are accepted."
    ),
    "channels": lambda value, limits: f"The audio has {value:g} channels; 1 to {limits.max_channels} are accepted.",
}
