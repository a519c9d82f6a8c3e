"""Client of the fork server: starts and ends decoder workers, sends jobs, receives frames, and reports crashes."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from asr_api.audio.decoding.counted_wait import counted_wait
from asr_api.audio.decoding.protocol import EXIT_STATUS, FRAME_HEADER, MORE, DecodeLimits
from asr_api.audio.decoding.reply import BrokenReply, Frame, Reply, check_length
from asr_api.errors import AsrError, DecoderUnavailable, DecodeTimeout, InvalidAudio

logger = logging.getLogger(__name__)

# Isolated from the user's site and environment, but with the module search path of this process.
PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from asr_api.audio.decoding.worker.fork_server import main; main()"
START_TIMEOUT_S = 20.0  # of the fork server, which loads PyAV
WORKER_TIMEOUT_S = 5.0  # for the fork server to start or end a worker; it is stuck if it takes longer
RETRY_AFTER_S = 5
EXIT_TIMEOUT_S = 1.0  # from the end of its channel to the exit of a process
STDERR_BYTES = 8 * 2**10
MAX_READY_BYTES = 2**10
CRASHED = "The decoder crashed because the audio is badly damaged; re-encode it."
TOO_SLOW = "Decoding the audio took too long; convert it to WAV or FLAC and try again."


class DecoderProcess:
    """The server's side of one worker, made by `ForkServerClient.start_worker`; the caller closes it."""

    def __init__(
        self, channel: socket.socket, status_socket: socket.socket, stderr_fd: int, fork_server: Process
    ) -> None:
        self.waited_s = 0.0  # by all calls of `receive` since `begin`
        self._channel, self._status_socket, self._stderr_fd = channel, status_socket, stderr_fd
        self._fork_server = fork_server
        self._reply = Reply()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        # The exit status; None when the fork server exited and took the worker along.
        self._exited: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(status_socket, self._on_exit)

    @property
    def is_alive(self) -> bool:
        return not self._exited.done()

    async def connect(self) -> None:
        """Waits until the process is ready to work. Errors as those of `receive`."""
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._channel)
        await self.receive(WORKER_TIMEOUT_S)

    def begin(self, fd: int, limits: DecodeLimits, *, is_complete: bool) -> None:
        self.waited_s = 0.0  # without the start, which does not depend on the media
        self._reply = Reply(limits, is_complete=is_complete)
        job = {"limits": asdict(limits), "is_complete": is_complete}
        try:
            with _read_only(fd) as read_only_fd:
                socket.send_fds(self._channel, [json.dumps(job).encode()], [read_only_fd])
        except OSError as error:
            logger.warning("a file cannot be handed to a decoder: %s", error)
            raise unavailable() from error

    def tell_more(self) -> None:
        """Answers protocol.WAIT: the file is larger now."""
        with contextlib.suppress(OSError):  # it has exited, which `receive` reports
            self._channel.send(MORE)

    def tell_complete(self) -> None:
        self._reply.tell_complete()
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)

    async def receive(self, timeout_s: float) -> Frame:
        """The next frame.

        Errors: DecodeTimeout; InvalidAudio after a crash, usually caused by the media, and after a frame that breaks
        the protocol; DecoderUnavailable when the system killed the process or could not start it.
        """
        reading = asyncio.ensure_future(self._read_frame())
        try:
            self.waited_s += await counted_wait(reading, timeout_s)
            if not reading.done():
                raise DecodeTimeout(TOO_SLOW)
            return reading.result()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise await self._exit_error() from error
        except BrokenReply as error:
            logger.warning("a decoder was stopped, because it sent %s", error)
            self._kill_process()
            raise InvalidAudio(CRASHED) from error
        finally:
            if not reading.cancel():
                reading.exception()  # marks it as retrieved, for a cancelled call

    async def _read_frame(self) -> Frame:
        assert self._reader is not None, "connect() comes first; this is a bug"  # noqa: S101
        kind, num_bytes = FRAME_HEADER.unpack(await self._reader.readexactly(FRAME_HEADER.size))
        check_length(kind, num_bytes)
        return self._reply.frame(kind, await self._reader.readexactly(num_bytes))

    async def _exit_error(self) -> AsrError:
        """The error for a process that closed its channel, by its exit status; the cause goes to the log."""
        await asyncio.wait([self._exited], timeout=EXIT_TIMEOUT_S)
        has_exited = self._exited.done()
        self._kill_process()
        await self._wait_for_exit()
        status = self._exited.result()
        with contextlib.suppress(OSError):
            message = os.read(self._stderr_fd, STDERR_BYTES).decode(errors="replace").strip()
            logger.warning("a decoder ended, exit status %s: %s", status or "unknown", message or "no message")
        if status == -signal.SIGXCPU:
            return DecodeTimeout(TOO_SLOW)
        if status is None or (has_exited and status == -signal.SIGKILL):  # by the system, when memory runs out
            return unavailable()
        return InvalidAudio(CRASHED)

    def kill(self) -> None:
        self._kill_process()
        if self._writer is not None:
            self._writer.close()
        self._channel.close()
        if self._stderr_fd >= 0:
            os.close(self._stderr_fd)
            self._stderr_fd = -1

    async def close(self) -> None:
        """Kills the process and waits until it has exited; a cancellation ends the waiting alone."""
        self.kill()
        await self._wait_for_exit()

    async def _wait_for_exit(self) -> None:
        """Kills a fork server that does not report the exit in time. All workers then exit, and another is started."""
        await counted_wait(self._exited, WORKER_TIMEOUT_S)
        if self.is_alive:
            logger.error("the fork server of the decoders does not answer; killing it")
            await _kill(self._fork_server)
            await asyncio.wait([self._exited])

    def _kill_process(self) -> None:
        """Shutting the status socket down makes the fork server kill the worker."""
        if self.is_alive:
            with contextlib.suppress(OSError):
                self._status_socket.shutdown(socket.SHUT_WR)

    def _on_exit(self) -> None:
        """Reads the exit status; the socket ends without one when the fork failed or the fork server exited."""
        try:
            status = self._status_socket.recv(EXIT_STATUS.size)
        except OSError:
            status = b""
        asyncio.get_running_loop().remove_reader(self._status_socket)
        self._status_socket.close()
        self._exited.set_result(EXIT_STATUS.unpack(status)[0] if len(status) == EXIT_STATUS.size else None)


class ForkServerClient:
    """Starts any number of workers, and the fork server with the first one (0.1 s), or again after it has exited."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._process: Process | None = None
        self._control: socket.socket | None = None
        self._is_closed = False

    async def start_worker(self) -> DecoderProcess:
        """Starts a worker and waits until it is ready. Raises DecoderUnavailable, with the cause in the log."""
        try:
            try:
                return await self._start()
            except (ConnectionError, DecodeTimeout):  # the fork server has just exited or was stuck; a new one may work
                return await self._start()
        except (AsrError, OSError) as error:  # such as: no memory, descriptor or process left
            logger.warning("no decoder could be started: %s", error)
            raise unavailable() from error

    async def aclose(self) -> None:
        """Ends the fork server, and all workers with it."""
        self._is_closed = True
        async with self._lock:
            if self._control is not None:
                self._control.close()
            if self._process is not None:
                await _kill(self._process)

    async def _start(self) -> DecoderProcess:
        worker = await self._fork()
        async with contextlib.AsyncExitStack() as on_error:
            on_error.push_async_callback(worker.close)
            await worker.connect()
            on_error.pop_all()
        return worker

    async def _fork(self) -> DecoderProcess:
        async with self._lock:
            if self._is_closed:
                raise unavailable()
            if self._control is None or self._process is None or self._process.returncode is not None:
                if self._control is not None:
                    self._control.close()
                self._control, self._process = await _spawn()
            try:
                return _request_fork(self._control, self._process)
            except ConnectionError:
                await _kill(self._process)
                raise


@contextlib.contextmanager
def _read_only(fd: int) -> Iterator[int]:
    """A descriptor of the same file through which it cannot be changed, nor the position of `fd`, where a spool writes.

    Raises OSError, also without /proc: a decoder that is taken over must not change the file.
    """
    if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        yield fd  # opened for reading alone, perhaps with rights that are gone
        return
    reopened_fd = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    try:
        yield reopened_fd
    finally:
        os.close(reopened_fd)


def _request_fork(control: socket.socket, fork_server: Process) -> DecoderProcess:
    with contextlib.ExitStack() as workers_ends, contextlib.ExitStack() as on_error:
        channel, workers_channel = socket.socketpair()
        on_error.callback(channel.close)
        workers_ends.callback(workers_channel.close)
        status_socket, workers_status_socket = socket.socketpair()
        on_error.callback(status_socket.close)
        workers_ends.callback(workers_status_socket.close)
        stderr_fd, workers_stderr_fd = os.pipe()
        on_error.callback(os.close, stderr_fd)
        workers_ends.callback(os.close, workers_stderr_fd)
        for fd in (channel.fileno(), status_socket.fileno(), stderr_fd):
            os.set_blocking(fd, False)
        os.set_blocking(workers_stderr_fd, False)  # a flood of messages is cut off and does not block the worker
        socket.send_fds(control, [b"F"], [workers_channel.fileno(), workers_stderr_fd, workers_status_socket.fileno()])
        on_error.pop_all()
    return DecoderProcess(channel, status_socket, stderr_fd, fork_server)


async def _spawn() -> tuple[socket.socket, Process]:
    """A fork server that is ready, and its control socket. Raises OSError."""
    control, servers_end = socket.socketpair()
    with contextlib.ExitStack() as on_error, servers_end:
        on_error.callback(control.close)
        control.setblocking(False)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", PROGRAM),
            *(path for path in sys.path if Path(path).is_absolute()),
            stdin=servers_end.fileno(),
            stdout=DEVNULL,
            env={},
            start_new_session=True,
        )
        servers_end.close()
        answer = asyncio.create_task(asyncio.get_running_loop().sock_recv(control, MAX_READY_BYTES))
        ready = b""
        try:
            await counted_wait(answer, START_TIMEOUT_S)
            ready = answer.result() if answer.done() else b""
        finally:
            if not ready:
                answer.cancel()
                await _kill(process)
        if not ready:
            raise OSError(f"the fork server did not start; its exit status is {process.returncode}")
        if missing := json.loads(ready):
            logger.warning("decoders are protected less: the system lacks %s", ", ".join(missing))
        on_error.pop_all()
    return control, process


async def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def unavailable() -> DecoderUnavailable:
    return DecoderUnavailable("The server has no working audio decoder; try again later.", retry_after_s=RETRY_AFTER_S)
