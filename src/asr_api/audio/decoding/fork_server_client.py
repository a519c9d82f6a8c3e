"""Decoder processes and the sockets to them: start, hand over a file, receive frames, end, whatever happens meanwhile.

In: a descriptor and bounds. Out: frames of (kind, payload), or an error of ours where the process died or hangs. All
are forks of one, the nursery, which is started once, and again should it be lost. Knows nothing about what the frames
say; decode.py does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import struct
import sys
from asyncio.subprocess import DEVNULL, Process
from dataclasses import asdict
from pathlib import Path

from asr_api.audio.decoding.protocol import Job
from asr_api.errors import AsrError, DecoderUnavailable, DecodeTimeout, InvalidAudio

log = logging.getLogger(__name__)

# Isolated from the user's site and environment, but with our own ways to find modules, however we were started.
PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from asr_api.audio.decoding.worker.fork_server import main; main()"
START_TIMEOUT_S = 20.0
RETRY_AFTER_S = 5
DEATH_S = 1.0  # from the end of its socket to the end of a process
_FRAME_HEADER = struct.Struct("<cI")
_STATUS = struct.Struct("<i")
_MAX_FRAME_BYTES = 2**22  # a worker that was taken over must not fill our memory
_STDERR_BYTES = 8 * 2**10


class DecoderProcess:
    """Made by `ForkServerClient.start_process`; whoever has one closes it.

    waited_s: how long it has kept us waiting since `begin`, all calls of `receive` together
    """

    def __init__(self, channel: socket.socket, lifeline: socket.socket, stderr_fd: int) -> None:
        self.waited_s = 0.0
        self._channel = channel
        self._lifeline = lifeline
        self._stderr_fd = stderr_fd
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()  # None: nobody knows
        asyncio.get_running_loop().add_reader(lifeline, self._note_end)

    @property
    def is_alive(self) -> bool:
        return not self._ended.done()

    async def connect(self) -> None:
        """Waits until the process is ready to work."""
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._channel)
        await self.receive(START_TIMEOUT_S)

    def begin(self, fd: int, job: Job) -> None:
        self.waited_s = 0.0  # the start was not the media's fault
        try:
            socket.send_fds(self._channel, [json.dumps(asdict(job)).encode()], [fd])
        except OSError as error:
            raise unavailable() from error

    async def receive(self, patience_s: float) -> tuple[bytes, bytes]:
        """The next frame.

        Errors: DecodeTimeout; InvalidAudio where the process died, of its media as a rule; DecoderUnavailable where
        the system ended it, or never let it begin
        """
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        reading = asyncio.ensure_future(self._read_frame())
        try:
            await asyncio.wait([reading], timeout=patience_s)  # wait_for of Python 3.11 may swallow a cancellation
            if not reading.done():
                raise _timeout()
            return reading.result()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise await self._post_mortem() from error
        finally:
            self.waited_s += loop.time() - started_s
            if not reading.cancel():
                reading.exception()  # looked at, should nobody wait for it any longer

    async def _read_frame(self) -> tuple[bytes, bytes]:
        assert self._reader is not None, "connect() comes first; this is a bug"  # noqa: S101
        kind, num_bytes = _FRAME_HEADER.unpack(await self._reader.readexactly(_FRAME_HEADER.size))
        if num_bytes > _MAX_FRAME_BYTES:
            raise ConnectionError
        return kind, await self._reader.readexactly(num_bytes)

    async def _post_mortem(self) -> AsrError:
        await asyncio.wait([self._ended], timeout=DEATH_S)
        was_ended = self._ended.done()
        self._signal_kill()
        status = await asyncio.shield(self._ended)
        with contextlib.suppress(OSError):
            last_words = os.read(self._stderr_fd, _STDERR_BYTES).decode(errors="replace").strip()
            log.warning("a decoder ended with status %s: %s", status, last_words or "no message")
        if status == -signal.SIGXCPU:
            return _timeout()
        if status is None or (was_ended and status == -signal.SIGKILL):  # by the system, when memory runs out
            return unavailable()
        return InvalidAudio("The audio is damaged so badly that the decoder failed; re-encode it.")

    def kill(self) -> None:
        self._signal_kill()
        if self._writer is not None:
            self._writer.close()
        self._channel.close()
        if self._stderr_fd >= 0:
            os.close(self._stderr_fd)
            self._stderr_fd = -1

    async def close(self) -> None:
        """Kills the process and waits until it is gone; a cancellation ends the waiting alone."""
        self.kill()
        await asyncio.shield(self._ended)

    def _signal_kill(self) -> None:
        if self.is_alive:
            with contextlib.suppress(OSError):
                self._lifeline.shutdown(socket.SHUT_WR)

    def _note_end(self) -> None:
        """The exit status, or the end of the nursery and so of all its workers."""
        try:
            status = self._lifeline.recv(_STATUS.size)
        except OSError:
            status = b""
        asyncio.get_running_loop().remove_reader(self._lifeline)
        self._lifeline.close()
        self._ended.set_result(_STATUS.unpack(status)[0] if len(status) == _STATUS.size else None)


class ForkServerClient:
    """Starts processes, as many as wanted; the first one costs a tenth of a second, the others a millisecond."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._process: Process | None = None
        self._control: socket.socket | None = None

    async def start_process(self) -> DecoderProcess:
        """Starts a process and waits until it is ready. Errors: DecoderUnavailable, the cause in the log."""
        try:
            try:
                worker = await self._start()
            except ConnectionError:  # it has just died; in another life it may work
                worker = await self._start()
        except (TimeoutError, OSError) as error:  # no memory, no descriptor, no process left
            log.warning("no decoder could be started: %s", error)
            raise unavailable() from error
        try:
            await worker.connect()
        except BaseException as error:
            await worker.close()
            if isinstance(error, AsrError | OSError):
                raise unavailable() from error
            raise
        return worker

    async def aclose(self) -> None:
        """Ends the nursery, and all workers with it."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _start(self) -> DecoderProcess:
        async with self._lock:
            if self._process is None or self._process.returncode is not None:
                if self._control is not None:
                    self._control.close()
                self._control, self._process = await _spawn()
            try:
                return self._fork()
            except ConnectionError:
                await self._process.wait()
                raise

    def _fork(self) -> DecoderProcess:
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as if_it_fails:
            ends: list[socket.socket] = []
            for _ in range(2):
                our_end, their_end = socket.socketpair()
                theirs.callback(their_end.close)
                if_it_fails.callback(our_end.close)
                our_end.setblocking(False)
                ends += [our_end, their_end]
            stderr_fd, their_stderr_fd = os.pipe()
            theirs.callback(os.close, their_stderr_fd)
            if_it_fails.callback(os.close, stderr_fd)
            os.set_blocking(stderr_fd, False)
            os.set_blocking(their_stderr_fd, False)  # a flood of messages is cut off and blocks nobody
            channel, their_channel, lifeline, their_lifeline = ends
            if self._control is None:
                raise OSError("the nursery is closed")
            socket.send_fds(self._control, [b"F"], [their_channel.fileno(), their_stderr_fd, their_lifeline.fileno()])
            if_it_fails.pop_all()
        return DecoderProcess(channel, lifeline, stderr_fd)


async def _spawn() -> tuple[socket.socket, Process]:
    """The nursery, ready, and the socket to it. Raises OSError."""
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as if_it_fails, theirs:
        if_it_fails.callback(ours.close)
        ours.setblocking(False)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", PROGRAM),
            *(path for path in sys.path if Path(path).is_absolute()),
            stdin=theirs.fileno(),
            stdout=DEVNULL,
            env={},
            start_new_session=True,
        )
        theirs.close()
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                is_ready = await asyncio.get_running_loop().sock_recv(ours, 1)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        if not is_ready:
            raise OSError(f"the parent of the decoders ended with {await process.wait()}")
        if_it_fails.pop_all()
    return ours, process


def unavailable() -> DecoderUnavailable:
    return DecoderUnavailable("The server has no working audio decoder now; try again.", retry_after_s=RETRY_AFTER_S)


def _timeout() -> DecodeTimeout:
    return DecodeTimeout("Decoding the audio took too long; convert it to WAV or FLAC and try again.")
