"""Fork server: a process that has loaded PyAV and forks one worker for each request of the server.

When it is ready, it sends a JSON list of the protections that the system lacks. A request is one byte on the control
socket (standard input) with three descriptors: the worker's channel, its standard error, and its status socket. When
the worker has exited, its exit status is sent on the status socket. The server shuts the status socket down to kill the
worker. The fork server exits with the server, and all workers exit with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from asr_api.audio.decoding.protocol import EXIT_STATUS
from asr_api.audio.decoding.worker import main as worker_main
from asr_api.audio.decoding.worker.sandbox import address_space_bytes, confine_process

N_FDS = 3  # channel, standard error, status socket

Work = Callable[[socket.socket], None]


def main() -> None:
    worker_main.load_everything()
    work = partial(worker_main.work, loaded_bytes=address_space_bytes())
    missing = confine_process()
    ForkServer(work).run(missing)


class ForkServer:
    """Forks workers that run `work`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._control = socket.socket(fileno=0)
        self._wakeup_fd, signal_fd = os.pipe()  # readable after SIGCHLD
        os.set_blocking(signal_fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(signal_fd)
        self._status_sockets: dict[int, socket.socket] = {}  # by process id
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._control, selectors.EVENT_READ, self._on_request)
        self._selector.register(self._wakeup_fd, selectors.EVENT_READ, self._reap)
        self._is_running = True

    def run(self, missing: Sequence[str] = ()) -> None:
        """Returns when the server has closed the control socket. missing: protections, for its log"""
        self._control.sendall(json.dumps(list(missing)).encode())
        while self._is_running:
            for key, _ in self._selector.select():
                key.data()

    def _on_request(self) -> None:
        message, fds, _, _ = socket.recv_fds(self._control, 1, N_FDS)
        if not message:
            self._is_running = False
            return
        pid = self._fork_worker(fds) if len(fds) == N_FDS else None
        for fd in fds if pid is None else fds[:2]:  # closing the status socket tells the server that the fork failed
            os.close(fd)
        if pid is not None:
            self._status_sockets[pid] = socket.socket(fileno=fds[2])
            self._selector.register(self._status_sockets[pid], selectors.EVENT_READ, partial(self._kill, pid))

    def _fork_worker(self, fds: Sequence[int]) -> int | None:
        """The worker's process id; None when the system allows no more processes. Other workers are not affected."""
        last_fd = max([*fds, *(status.fileno() for status in self._status_sockets.values())])
        try:
            pid = os.fork()
        except OSError as error:
            os.write(fds[1], f"fork failed: {error}".encode())
            return None
        if pid == 0:
            _run_worker(self._work, fds, last_fd)
        return pid

    def _kill(self, pid: int) -> None:
        """The server never sends on a status socket, so a readable one was shut down."""
        if pid in self._status_sockets:
            self._selector.unregister(self._status_sockets[pid])
            os.kill(pid, signal.SIGKILL)  # it is not reaped yet, so no other process has its id

    def _reap(self) -> None:
        os.read(self._wakeup_fd, 4096)
        for pid, exit_code in _exited_workers():
            with self._status_sockets.pop(pid) as status_socket:
                with contextlib.suppress(KeyError):  # already unregistered by `_kill`
                    self._selector.unregister(status_socket)
                with contextlib.suppress(OSError):
                    status_socket.sendall(EXIT_STATUS.pack(exit_code))


def _run_worker(work: Work, fds: Sequence[int], last_fd: int) -> None:
    """Runs in the fork; does not return. Closes all descriptors of the fork server and of other workers.

    fds: channel, standard error, status socket; no open descriptor is higher than `last_fd`
    """
    exit_code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(fds[0], 0)
        os.dup2(fds[1], 2)
        os.closerange(3, last_fd + 1)
        work(socket.socket(fileno=0))
        exit_code = 0
    except SystemExit as error:
        exit_code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001  # every error is reported on standard error
        traceback.print_exc()
    finally:
        os._exit(exit_code)


def _exited_workers() -> Iterator[tuple[int, int]]:
    """(process id, exit code) of the workers that have exited since the last call."""
    with contextlib.suppress(ChildProcessError):
        while (exited := os.waitpid(-1, os.WNOHANG))[0]:
            yield exited[0], os.waitstatus_to_exitcode(exited[1])
