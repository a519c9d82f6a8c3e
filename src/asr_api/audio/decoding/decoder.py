"""Decoder: media files to 16 kHz PCM, each in its own sandboxed worker process. `Decoder.decode` gives a `PcmSource`.

`Decoder` keeps one spare worker started, so that a short clip does not wait for a fork, and bounds how many work at
once. A worker decodes no faster than its PCM is read: a file of any length costs the memory of a few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
import wave
from collections.abc import AsyncIterator, Callable

from asr_api.audio.decoding.fork_server_client import DecoderProcess, ForkServerClient, unavailable
from asr_api.audio.decoding.protocol import DecodeLimits
from asr_api.audio.decoding.refusals import refusal
from asr_api.audio.decoding.reply import End, Frame, Headers, PcmBlock, Refusal, Same, Wait
from asr_api.audio.sources.spool import Spool
from asr_api.errors import AudioTooLong, DecoderUnavailable, EmptyAudio, RequestError
from asr_api.pcm import SAMPLE_BYTES, SAMPLE_RATE_HZ, AudioEnd, Pcm

logger = logging.getLogger(__name__)

# Before the answer to a worker that waits for what is there already: one that was taken over may ask without end.
NEEDLESS_WAIT_S = 0.01

Confirm = Callable[[], None]
OpenWorker = Callable[[], contextlib.AbstractAsyncContextManager[DecoderProcess]]


class DecodedFile:
    """The `PcmSource` of a media file: blocks of about two seconds, with silence where nothing was recorded.

    Entering waits for a worker, hands it the file and reads the headers. Leaving always ends the worker.
    Errors on entering: UnsupportedFormat, NoAudioStream, InvalidAudio, EmptyAudio, AudioTooLong, DecodeTimeout,
    DecoderUnavailable. Errors while iterating: these, and AudioTooShort.

    A spool that grows is decoded while it arrives, with the same result as when it is complete, but that
    `duration_hint_ms` may be None. Entering waits for the headers, which some formats have at their end. More errors:
    that of a spool that failed, and DecodeAgain before it has confirmed.
    """

    def __init__(self, spool: Spool, limits: DecodeLimits, open_worker: OpenWorker, confirm: Confirm) -> None:
        self.duration_hint_ms: int | None = None
        self.end = AudioEnd()
        self._spool = spool
        self._limits = limits
        self._open_worker = open_worker
        self._confirm = confirm
        self._resources = contextlib.AsyncExitStack()
        self._worker: DecoderProcess | None = None
        self._num_samples = 0
        self._has_told_complete = False
        self._is_finished = False

    async def __aenter__(self) -> DecodedFile:
        await self._spool.wait_beyond(0)  # without a worker, which other files may need
        if self._spool.size_bytes == 0:
            raise refusal(EmptyAudio.code, self._limits)
        async with contextlib.AsyncExitStack() as resources:
            self._worker = await resources.enter_async_context(self._open_worker())
            self._has_told_complete = self._spool.is_complete
            self._worker.begin(self._spool.fd, self._limits, is_complete=self._spool.is_complete)
            headers = await self._next_frame()
            assert isinstance(headers, Headers), "frames are checked; this is a bug"  # noqa: S101
            self.duration_hint_ms = headers.duration_ms
            self._resources = resources.pop_all()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._is_finished = True
        await self._resources.aclose()

    def __aiter__(self) -> DecodedFile:
        return self

    async def __anext__(self) -> Pcm:
        if self._is_finished:
            raise StopAsyncIteration
        frame = await self._next_frame()
        if isinstance(frame, End):
            self._is_finished = True
            self.end = AudioEnd(frame.is_truncated, frame.is_damaged)
            raise StopAsyncIteration
        assert isinstance(frame, PcmBlock), "frames are checked; this is a bug"  # noqa: S101
        self._num_samples += len(frame.pcm)
        # The worker checks the limit too; this check also holds for a compromised worker.
        if self._num_samples > (self._limits.max_audio_s + 1) * SAMPLE_RATE_HZ:
            raise refusal(AudioTooLong.code, self._limits)
        return frame.pcm

    async def _next_frame(self) -> Frame:
        """The next frame of the audio; a refusal is raised.

        A worker counts as stuck that lags behind real time by `max_stall_s`, or that takes as long for one frame.

        The time in which a worker waits for the file does not count.
        """
        worker = self._worker
        assert worker is not None, "enter the source first; this is a bug"  # noqa: S101
        while True:
            if self._spool.is_complete and not self._has_told_complete:
                self._has_told_complete = True
                worker.tell_complete()
            timeout_s = self._limits.max_stall_s + min(0.0, self._num_samples / SAMPLE_RATE_HZ - worker.waited_s)
            frame = await worker.receive(timeout_s)
            if isinstance(frame, Same):
                self._confirm()
            elif isinstance(frame, Wait):
                await self._wait_beyond(frame.beyond_bytes)
                if not self._spool.is_complete:
                    worker.tell_more()
            elif isinstance(frame, Refusal):
                self._is_finished = True
                raise refusal(frame.reason, self._limits, frame.value)
            else:
                return frame

    async def _wait_beyond(self, size_bytes: int) -> None:
        if self._spool.size_bytes > size_bytes:
            await asyncio.sleep(NEEDLESS_WAIT_S)
        await self._spool.wait_beyond(size_bytes)


class Decoder:
    """Start it once, decode any number of files at a time, close it once; all on one event loop."""

    def __init__(self, limits: DecodeLimits | None = None) -> None:
        self.limits = limits or DecodeLimits()
        self._permits = asyncio.Semaphore(self.limits.max_workers)
        self._fork_server = ForkServerClient()
        self._spare: asyncio.Task[DecoderProcess] | None = None
        self._is_closed = False

    async def start(self) -> None:
        """Decodes one second of silence, and leaves a spare worker ready.

        Raises DecoderUnavailable where the installation cannot decode: later, its errors would look like damaged audio.
        """
        try:
            async with _silent_second() as spool, self.decode(spool) as source:
                num_samples = sum([len(block) async for block in source])
        except (RequestError, OSError) as error:
            raise unavailable() from error
        if num_samples != SAMPLE_RATE_HZ:
            raise unavailable()
        if self._spare is not None:
            await asyncio.shield(self._spare)

    def decode(self, spool: Spool, confirm: Confirm = lambda: None) -> DecodedFile:
        """The PCM of the file; the caller closes the spool. Entering waits while `max_workers` are at work.

        confirm: called once, when the spool is complete and all PCM so far is known to be that of the complete file
        """
        return DecodedFile(spool, self.limits, self._open_worker, confirm)

    async def aclose(self) -> None:
        self._is_closed = True
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.cancel()
        await self._fork_server.aclose()  # first: a fork server that is stuck would not end the spare worker
        if spare is not None:
            with contextlib.suppress(asyncio.CancelledError, DecoderUnavailable):
                await (await spare).close()

    @contextlib.asynccontextmanager
    async def _open_worker(self) -> AsyncIterator[DecoderProcess]:
        async with self._permits:
            worker = await self._take_worker()
            try:
                yield worker
            finally:
                await worker.close()

    async def _take_worker(self) -> DecoderProcess:
        """The spare worker, or a new one where the spare is lost; starts the next spare."""
        if self._is_closed:
            raise unavailable()
        spare, self._spare = self._spare, asyncio.create_task(self._fork_server.start_worker())
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
                logger.warning("the spare decoder did not start; starting another")
        return await self._fork_server.start_worker()


def _silent_second() -> Spool:
    file = tempfile.TemporaryFile()  # noqa: SIM115  # the spool owns it
    with wave.open(file, "wb") as writer:
        writer.setparams((1, SAMPLE_BYTES, SAMPLE_RATE_HZ, 0, "NONE", ""))
        writer.writeframes(bytes(SAMPLE_RATE_HZ * SAMPLE_BYTES))
    return Spool(file, file.tell())


def _discard(spare: asyncio.Task[DecoderProcess]) -> None:
    """Ends a spare worker whose request was cancelled while the worker started."""
    if not spare.cancelled() and spare.exception() is None:
        spare.result().kill()
