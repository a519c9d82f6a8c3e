"""One life of the engine process, seen from its parent: the process, its pipe, its shared memory, and two threads.

In: messages for the child. Out: the child's messages and its exit code, told in the event loop's thread.
Knows nothing about restarts; `child.py` is the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mmap
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from asr_api.engine_process.worker import Heartbeat, Load, Ready, shared_buffer_bytes, window_samples
from asr_api.engines.protocol import Engine
from asr_api.pcm import Pcm

logger = logging.getLogger(__name__)

EXIT_TIMEOUT_S = 5.0
MAX_TICK_S = 1.0

# A path to import from, not the parent's main module: the same below a console script, pytest and `python -m`. Threads
# of numpy's own would wait for work beside the model's, and burn a core while they do.
BOOT = (
    "import os, sys; os.putenv('OPENBLAS_NUM_THREADS', '1'); sys.path[:] = sys.argv[4:]; "
    "from asr_api.engine_process.worker import main; main(*map(int, sys.argv[1:4]))"
)


class ChildProcess:
    """One life of the engine process: the process, its pipe, its arena, and the threads that write and listen to it."""

    def __init__(self, factory: Callable[[], Engine], tell: Callable[[ChildProcess, object], None]) -> None:
        """Raises OSError when the machine can't start a process."""
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = self._loop.create_future()  # the exit code
        self._started_s = time.monotonic()
        self.is_ready = False
        self.arena: Pcm = np.empty((0, 0), np.int16)  # (n_slots, n_window_samples)
        self.n_slots = 0
        self.warm_up_s = 0.0
        self.num_heartbeats = 0
        with contextlib.ExitStack() as undo:
            self._arena_fd = _open_unnamed_memory()
            undo.callback(os.close, self._arena_fd)
            ours, theirs = socket.socketpair()
            self._pipe = Connection(ours.detach())
            undo.callback(self._pipe.close)
            with theirs:
                self.process = _spawn(theirs.fileno(), self._arena_fd)
            undo.callback(self._end_process)
            self._outbox: queue.SimpleQueue[object] = queue.SimpleQueue()
            self._threads = [
                threading.Thread(target=work, name=f"asr-api-engine-{work.__name__.strip('_')}", daemon=True)
                for work in (self._write, self._listen)
            ]
            undo.callback(self.send, None)
            for thread in self._threads:
                _start(thread)
            undo.pop_all()
        self.send(Load(factory, logging.getLogger().getEffectiveLevel()))

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._started_s

    async def watch(self, is_busy: Callable[[], bool], heartbeat_timeout_s: float, load_timeout_s: float) -> None:
        """Kills a process that loads too long, or that has work and stands still; returns when it has done so.

        Silence is counted in ticks, not by the clock: after a suspended laptop or a stopped parent nobody is guilty.
        """
        tick_s = min(MAX_TICK_S, heartbeat_timeout_s / 4)
        silent_s, num_heartbeats = 0.0, 0
        while True:
            await asyncio.sleep(tick_s)
            is_alive = self.num_heartbeats != num_heartbeats or (self.is_ready and not is_busy())
            silent_s = 0.0 if is_alive else silent_s + tick_s
            num_heartbeats = self.num_heartbeats
            if silent_s > (max(heartbeat_timeout_s, self._slow_step_s) if self.is_ready else load_timeout_s):
                logger.error("The engine process gave no sign of life for %.1f s; killing it.", silent_s)
                self.kill()
                return

    @property
    def _slow_step_s(self) -> float:
        """How long a step may take without being a hang. A big model on a small machine is slow, not dead: one step may
        have to encode a window for every slot, and how long one takes is known from the warm-up.
        """
        return 2 * self.n_slots * self.warm_up_s

    def map_shared_buffers(self, ready: Ready) -> None:
        """Once the child has sized the shared memory."""
        info = ready.info
        memory = mmap.mmap(self._arena_fd, shared_buffer_bytes(info))
        self.arena = np.frombuffer(memory, np.int16).reshape(info.n_slots, window_samples(info))
        self.is_ready, self.n_slots, self.warm_up_s = True, info.n_slots, ready.warm_up_s

    def send(self, message: object) -> None:
        """Never waits, though the child reads only between two steps; None ends the writing."""
        self._outbox.put(message)

    def kill(self) -> None:
        self.process.kill()

    def close(self) -> None:
        """After `ended`."""
        self.send(None)
        for thread in self._threads:
            thread.join()
        self.arena = self.arena[:0].copy()  # the mapping holds a descriptor of its own
        self._pipe.close()
        os.close(self._arena_fd)

    def _write(self) -> None:
        try:
            while (message := self._outbox.get()) is not None:
                self._pipe.send(message)
        except OSError:
            pass  # a dead child is reported by the listening thread; what was sent to it is lost with it
        except Exception:
            logger.exception("A message to the engine process could not be written; this is a bug.")
            self.process.kill()

    def _listen(self) -> None:
        try:
            while True:
                self._take(self._pipe.recv())
        except (EOFError, OSError):
            pass  # the child has ended, or is about to
        except Exception:
            logger.exception("A message from the engine process could not be read; this is a bug.")
            self.process.kill()
        try:
            code = self.process.wait(EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._post(lambda: self._end(code))

    def _end_process(self) -> None:
        self.process.kill()
        self.process.wait()

    def _end(self, code: int) -> None:
        if not self.ended.done():
            self.ended.set_result(code)

    def _take(self, message: object) -> None:
        self.num_heartbeats += 1
        if not isinstance(message, Heartbeat):
            self._post(lambda: self._tell(self, message))

    def _post(self, callback: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(callback)


def _start(thread: threading.Thread) -> None:
    """Raises OSError when the machine allows no more threads."""
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(str(error)) from error


def _spawn(pipe_fd: int, arena_fd: int) -> subprocess.Popen[bytes]:
    """Its parent is the calling thread: when that ends, Linux ends the child too; so call from the loop's."""
    search_path = [entry or str(Path.cwd()) for entry in sys.path]
    return subprocess.Popen(  # noqa: S603 - our own interpreter, our own arguments
        [sys.executable, "-c", BOOT, str(os.getpid()), str(pipe_fd), str(arena_fd), *search_path],
        stdin=subprocess.DEVNULL,
        stdout=2,  # what a library prints must not end up in a transcript
        pass_fds=(pipe_fd, arena_fd),
        start_new_session=True,  # away from the terminal's signals even before it can ignore them
    )


def _open_unnamed_memory() -> int:
    """A file descriptor of memory that no name refers to, so that nothing is left behind by a kill -9."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("asr-api-arena")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
