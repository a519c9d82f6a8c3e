"""One run of the engine process, seen from its parent: the process, its pipe, its shared buffers and two threads.

Messages go out by `send`; messages of the child and its exit code come back in the event loop's thread. The supervisor
decides about restarts; worker.py is the other end.
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
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from asr_api.engine_process.exit_cause import is_outside_kill, num_memory_kills
from asr_api.engine_process.messages import Heartbeat, Load, Ready, buffer_samples, shared_memory_bytes
from asr_api.engines.protocol import Engine
from asr_api.logs import current_log_format
from asr_api.pcm import Pcm

logger = logging.getLogger(__name__)

EXIT_TIMEOUT_S = 5.0
MAX_TICK_S = 1.0

# The import path is handed on instead of the parent's main module, so that the child starts in the same way below a
# console script, pytest and `python -m`. NumPy gets one thread: its own would spin beside the model's threads.
BOOT = (
    "import os, sys; os.putenv('OPENBLAS_NUM_THREADS', '1'); sys.path[:] = sys.argv[4:]; "
    "from asr_api.engine_process.worker import main; main(*map(int, sys.argv[1:4]))"
)


class ChildProcess:
    """One engine process from start to exit. `ended` is the exit code."""

    def __init__(
        self,
        factory: Callable[[], Engine],
        on_message: Callable[[ChildProcess, object], None],
        *,
        is_traced: bool = False,
    ) -> None:
        """Raises OSError when the machine cannot start a process."""
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = self._loop.create_future()
        self._started_s = time.monotonic()
        self.is_ready = False
        self.shared_buffers: Pcm = np.empty((0, 0), np.int16)  # (n_slots, n_window_samples)
        self.slow_step_s = 0.0
        self.num_heartbeats = 0
        self._num_memory_kills = num_memory_kills()
        self._was_killed_here = False
        with contextlib.ExitStack() as undo:
            self._memory_fd = os.memfd_create("asr-api-shared-buffers")  # has no name that a kill -9 could leave behind
            undo.callback(os.close, self._memory_fd)
            ours, theirs = socket.socketpair()
            self._pipe = Connection(ours.detach())
            undo.callback(self._pipe.close)
            with theirs:
                self.process = _spawn(theirs.fileno(), self._memory_fd)
            undo.callback(self._end_process)
            self._outbox: queue.SimpleQueue[object] = queue.SimpleQueue()
            self._threads = [
                threading.Thread(target=target, name=f"asr-api-engine-{target.__name__.strip('_')}", daemon=True)
                for target in (self._write, self._read)
            ]
            undo.callback(self.send, None)
            for thread in self._threads:
                _start(thread)
            undo.pop_all()
        self.send(Load(factory, logging.getLogger().getEffectiveLevel(), current_log_format(), is_traced))

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._started_s

    async def watch(self, is_busy: Callable[[], bool], heartbeat_timeout_s: float, load_timeout_s: float) -> None:
        """Kills a process that is not ready in time, or that has work and sends no heartbeat; returns when it has.

        Silence is counted in ticks of the event loop and not by the clock, so that a suspended machine or a stopped
        parent does not count against the child.
        """
        tick_s = min(MAX_TICK_S, heartbeat_timeout_s / 4)
        silent_s, num_heartbeats = 0.0, 0
        while True:
            await asyncio.sleep(tick_s)
            is_alive = self.is_ready and (self.num_heartbeats != num_heartbeats or not is_busy())
            silent_s = 0.0 if is_alive else silent_s + tick_s
            num_heartbeats = self.num_heartbeats
            if silent_s > (max(heartbeat_timeout_s, self.slow_step_s) if self.is_ready else load_timeout_s):
                logger.error(
                    "The engine process %s for %.1f s; killing it.",
                    "sent no heartbeat" if self.is_ready else "was not ready",
                    silent_s,
                )
                self.kill()
                return

    def map_shared_buffers(self, ready: Ready) -> None:
        """To be called when the child has sized the shared memory. Raises OSError when it cannot be mapped."""
        info = ready.info
        memory = mmap.mmap(self._memory_fd, shared_memory_bytes(info))
        self.shared_buffers = np.frombuffer(memory, np.int16).reshape(info.n_slots, buffer_samples(info))
        # A big model on a small machine is slow, not stuck: one step may encode a window for every slot, and the
        # warm-up has shown how long one takes.
        self.slow_step_s = 2 * info.n_slots * ready.warm_up_s
        self.is_ready = True

    def send(self, message: object) -> None:
        """Never waits, although the child reads only between two steps; None ends the writing thread."""
        self._outbox.put(message)

    def kill(self) -> None:
        self._was_killed_here = True
        self.process.kill()

    @property
    def was_killed_outside(self) -> bool:
        """After `ended`: by neither this program nor, for want of memory, the kernel."""
        return not self._was_killed_here and is_outside_kill(self.ended.result(), self._num_memory_kills)

    def close(self) -> None:
        """To be called after `ended`."""
        self.send(None)
        for thread in self._threads:
            thread.join()
        self.shared_buffers = self.shared_buffers[:0].copy()  # the mapping holds a descriptor of its own
        self._pipe.close()
        os.close(self._memory_fd)

    def _write(self) -> None:
        try:
            while (message := self._outbox.get()) is not None:
                self._pipe.send(message)
        except OSError:
            pass  # the reading thread reports the exit; what was sent is lost with the process
        except Exception:
            logger.exception("A message to the engine process could not be written; this is a bug.")
            self.kill()

    def _read(self) -> None:
        try:
            while True:
                self._handle(self._pipe.recv())
        except (EOFError, OSError):
            pass  # the child has ended, or is about to
        except Exception:
            logger.exception("A message from the engine process could not be read; this is a bug.")
            self.kill()
        try:
            code = self.process.wait(EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self.process.wait()
        self._call_in_loop(lambda: self._set_ended(code))

    def _end_process(self) -> None:
        self.process.kill()
        self.process.wait()

    def _set_ended(self, code: int) -> None:
        if not self.ended.done():
            self.ended.set_result(code)

    def _handle(self, message: object) -> None:
        self.num_heartbeats += 1
        if not isinstance(message, Heartbeat):
            self._call_in_loop(lambda: self._on_message(self, message))

    def _call_in_loop(self, callback: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(callback)


def _start(thread: threading.Thread) -> None:
    """Raises OSError when the machine allows no more threads."""
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(str(error)) from error


def _spawn(pipe_fd: int, memory_fd: int) -> subprocess.Popen[bytes]:
    """Linux ends the child together with the calling thread, so this has to be called from the loop's."""
    search_path = [entry or str(Path.cwd()) for entry in sys.path]
    return subprocess.Popen(  # noqa: S603 - our own interpreter, our own arguments
        [sys.executable, "-c", BOOT, str(os.getpid()), str(pipe_fd), str(memory_fd), *search_path],
        stdin=subprocess.DEVNULL,
        stdout=2,  # what a library prints must not end up in a transcript
        pass_fds=(pipe_fd, memory_fd),
        start_new_session=True,  # away from the terminal's signals even before the child ignores them
    )
