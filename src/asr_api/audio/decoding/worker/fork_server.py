"""The parent of all workers: it has loaded everything, so that a worker is a fork of it and ready at once.

In come bytes on the socket that is standard input, each with three descriptors: a worker's channel, its standard error,
and its lifeline. On that one goes its exit status, four bytes, when it has ended; it is killed when the other side
shuts the lifeline down. Sees no media and no PCM; ends with the server, and all workers end with it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import struct
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from asr_api.audio.decoding.worker import main as worker_main
from asr_api.audio.decoding.worker.sandbox import confine_process

STATUS = struct.Struct("<i")
NUM_FDS = 3

Work = Callable[[socket.socket], None]


def main() -> None:
    worker_main.load_everything()
    confine_process()
    serve(worker_main.work)


def serve(work: Work) -> None:
    """Returns when the server is gone, and in a worker never."""
    _Nursery(work).run()


class _Nursery:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._control = socket.socket(fileno=0)
        self._bell, bell_in = os.pipe()  # rings when a worker has ended
        os.set_blocking(bell_in, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(bell_in)
        self._lifelines: dict[int, socket.socket] = {}  # by process id
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._control, selectors.EVENT_READ, self._bear)
        self._selector.register(self._bell, selectors.EVENT_READ, self._bury)
        self._is_wanted = True

    def run(self) -> None:
        self._control.sendall(b"R")
        while self._is_wanted:
            for key, _ in self._selector.select():
                key.data()

    def _bear(self) -> None:
        message, fds, _, _ = socket.recv_fds(self._control, 1, NUM_FDS)
        if not message:
            self._is_wanted = False
            return
        pid = self._fork(fds) if len(fds) == NUM_FDS else None
        for fd in fds if pid is None else fds[:2]:  # with its lifeline closed, the other side knows that it is not born
            os.close(fd)
        if pid is None:
            return
        self._lifelines[pid] = socket.socket(fileno=fds[2])
        self._selector.register(self._lifelines[pid], selectors.EVENT_READ, partial(self._kill, pid))

    def _fork(self, fds: Sequence[int]) -> int | None:
        """The worker's process id; None when the machine allows no more processes, and then the others go on."""
        last_fd = max([*fds, *(each.fileno() for each in self._lifelines.values())])
        try:
            pid = os.fork()
        except OSError as error:
            os.write(fds[1], f"it was not born: {error}".encode())
            return None
        if pid == 0:
            _live(self._work, fds, last_fd)
        return pid

    def _kill(self, pid: int) -> None:
        """Nothing is said on a lifeline, so the other side has shut it down."""
        if pid in self._lifelines:
            self._selector.unregister(self._lifelines[pid])
            os.kill(pid, signal.SIGKILL)  # it was not buried yet, so the number is still its own

    def _bury(self) -> None:
        os.read(self._bell, 4096)
        for pid, code in _ended():
            with contextlib.suppress(KeyError):  # it was killed
                self._selector.unregister(self._lifelines[pid])
            with self._lifelines.pop(pid) as lifeline, contextlib.suppress(OSError):
                lifeline.sendall(STATUS.pack(code))


def _live(work: Work, fds: Sequence[int], last_fd: int) -> None:
    """The worker. All that belongs to the nursery and to others is closed. Does not return.

    fds: channel, standard error, lifeline; no descriptor is higher than the last
    """
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(fds[0], 0)
        os.dup2(fds[1], 2)
        os.closerange(3, last_fd + 1)
        os.setsid()
        work(socket.socket(fileno=0))
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  # told on standard error, whatever it is
        traceback.print_exc()
    finally:
        os._exit(code)


def _ended() -> Iterator[tuple[int, int]]:
    """(process id, exit code) of the workers that have ended since the last call."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            yield ended[0], os.waitstatus_to_exitcode(ended[1])
