"""Sandbox of the decoder workers: they reach nothing, load no more than they need, and exit with the server."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path

import psutil
import pytest

from asr_api.audio.decoding import fork_server_client
from asr_api.audio.sources.growing_spool import GrowingSpool
from asr_api.audio.sources.spool import open_unnamed_file
from asr_api.errors import DecoderUnavailable, InvalidAudio
from tests.audio.decoding.decode_media import Decoded, decode, decoding, has_exited, spool_of, wait_until
from tests.audio.media_files import encoded, silent_flac

pytestmark = pytest.mark.anyio


CONFINED = """
import ctypes, os, resource, signal, socket, sys, av
from asr_api.audio.decoding.worker.main import load_everything
from asr_api.audio.decoding.worker.sandbox import *
load_everything()
limit_bytes = address_space_bytes() + 2**29
libc = ctypes.CDLL(None, use_errno=True)
parent = os.getppid()
def call(function, *arguments):
    if function(*arguments) == -1: raise OSError(ctypes.get_errno(), "")
confine_process()
confine_worker()
confine_job(limit_bytes, 9)
for attempt in sys.argv[1:]:
    try:
        exec(attempt)
    except (OSError, MemoryError, ValueError) as error:
        print(attempt, "->", error)
print("end")
"""
ATTEMPTS = (
    "open('P')",
    "os.open('P', os.O_RDONLY)",
    "open('/dev/null', 'w')",
    "os.stat('P')",
    "os.readlink('/proc/self/exe')",
    "os.unlink('P')",
    "os.rename('P', 'P2')",
    "os.truncate('P', 0)",
    "os.chmod('P', 0o777)",
    "os.utime('P')",
    "os.mkdir('P3')",
    "os.symlink('P', 'P3')",
    "os.link('P', 'P3')",
    "os.mkfifo('P3')",
    "os.chdir('/tmp')",
    "os.pipe()",
    "os.dup(1)",
    "os.memfd_create('x')",
    "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "socket.socketpair()",
    "av.open('/etc/hostname')",
    "av.open('http://127.0.0.3/x.wav', timeout=1)",
    "os.fork()",
    "os.execv('/bin/true', ['true'])",
    "call(libc.clone, 0, 0, 17, 0)",
    "os.kill(parent, 0)",
    "os.kill(os.getpid(), signal.SIGTERM)",
    "call(libc.ptrace, 16, parent, 0, 0)",
    "call(libc.process_vm_readv, parent, 0, 0, 0, 0, 0)",
    "os.setpriority(os.PRIO_PROCESS, parent, 5)",
    "os.setpriority(os.PRIO_USER, 0, 5)",
    "resource.prlimit(parent, resource.RLIMIT_NOFILE, (0, 0))",
    "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
    "call(libc.shmget, 0, 4096, 0o1600)",
    "call(libc.msgget, 0, 0o1600)",
    "call(libc.semget, 0, 1, 0o1600)",
    "call(libc.unshare, 0x10020000)",
    "call(libc.mount, b'none', b'/tmp', b'tmpfs', 0, None)",
    "call(libc.prctl, 4, 1, 0, 0, 0)",
    "os.setuid(0)",
    "bytearray(2**30)",
)


def refused(attempts: Sequence[str]) -> list[str]:
    done = subprocess.run([sys.executable, "-c", CONFINED, *attempts], capture_output=True, check=False, text=True)
    *lines, end = done.stdout.splitlines()
    assert end == "end", done.stderr
    return [line.split(" -> ")[0] for line in lines]


def test_a_sandboxed_worker_reaches_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "P").write_text("precious")
    attempts = [attempt.replace("'P", f"'{tmp_path}/P") for attempt in ATTEMPTS]
    assert refused(attempts) == attempts
    assert [path.name for path in tmp_path.iterdir()] == ["P"]
    assert (tmp_path / "P").read_text() == "precious"


def test_a_sandboxed_worker_may_lower_its_own_priority() -> None:
    assert refused(["os.setpriority(os.PRIO_PROCESS, 0, 19)"]) == []


def test_landlock_alone_refuses_files_and_leaves_what_is_open() -> None:
    program = """
from asr_api.audio.decoding.worker.landlock import forbid_files
with open("/etc/passwd") as file:
    assert forbid_files()
    assert file.read()
    open("/etc/passwd")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
    assert "PermissionError: [Errno 13] Permission denied: '/etc/passwd'\n" in done.stderr


CHANGES = {
    "write": "os.write(fd, b'forged')",
    "pwrite": "os.pwrite(fd, b'forged', 0)",
    "truncate": "os.ftruncate(fd, 0)",
    "mmap": "mmap.mmap(fd, 4, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)[:] = b'fake'",
    "position": "os.lseek(fd, 2**40, os.SEEK_SET)",
}
CHANGING_WORKER = """
import mmap, os, socket, struct
def work(channel):
    channel.sendall(struct.pack("<cI", b"R", 0))
    _, (fd,), _, _ = socket.recv_fds(channel, 4096, 1)
    CHANGE
fork_server.ForkServer(work).run()
"""


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_worker_that_is_not_confined_cannot_change_the_file(
    monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    program = "import sys; sys.path[:] = sys.argv[1:]; from asr_api.audio.decoding.worker import fork_server\n"
    program += CHANGING_WORKER.replace("CHANGE", change)
    monkeypatch.setattr(fork_server_client, "PROGRAM", program)
    async with decoding(is_started=False) as decoder, GrowingSpool(open_unnamed_file()) as spool:
        await spool.fill(chunks(b"precious"), 2**20)
        with pytest.raises(InvalidAudio):
            async with decoder.decode(spool):
                pass
        assert os.pread(spool.fd, 100, 0) == b"precious"
        assert os.lseek(spool.fd, 0, os.SEEK_CUR) == len(b"precious")  # where the server writes on


async def test_without_proc_there_is_no_decoder(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with decoding() as decoder:
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", partial(open_without_proc, os.open))
            with pytest.raises(DecoderUnavailable):
                await decode(decoder, encoded("flac"))
        assert isinstance(await decode(decoder, encoded("flac")), Decoded)
    (message,) = caplog.messages
    assert message.startswith("a file cannot be handed to a decoder: [Errno 2]")
    assert "/proc/" in message


def open_without_proc(system_open: Callable[..., int], path: str, *arguments: int) -> int:
    if path.startswith("/proc/"):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return system_open(path, *arguments)


async def chunks(*content: bytes) -> AsyncIterator[bytes]:
    for chunk in content:
        yield chunk


async def test_only_a_worker_that_has_worked_long_has_the_lowest_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import sys; sys.path[:] = sys.argv[1:]; from asr_api.audio.decoding.worker import fork_server, sandbox\n"
    shorter = f"{program}sandbox.SHORT_CPU_S = 0.05\nfork_server.main()"
    for is_lowered, used_program in ((False, fork_server_client.PROGRAM), (True, shorter)):
        monkeypatch.setattr(fork_server_client, "PROGRAM", used_program)
        async with decoding() as decoder, spool_of(silent_flac(3600)) as spool:
            (worker,) = psutil.Process().children()[0].children()
            async with decoder.decode(spool) as pcm:
                while worker.cpu_times().user < 0.15:
                    await anext(pcm)
                assert (worker.nice() == 19) is is_lowered


async def test_a_system_that_lacks_a_protection_is_named_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lacking = "sandbox.forbid_files = sandbox.has_system_call_filters = lambda: False"
    program = "import sys; sys.path[:] = sys.argv[1:]; from asr_api.audio.decoding.worker import fork_server, sandbox\n"
    monkeypatch.setattr(fork_server_client, "PROGRAM", f"{program}{lacking}\nfork_server.main()")
    async with decoding() as decoder:
        assert isinstance(await decode(decoder, encoded("flac")), Decoded)
    assert caplog.messages == ["decoders are protected less: the system lacks Landlock, seccomp"]


def test_the_fork_server_has_one_thread() -> None:
    """Only such a process can be forked safely; numpy, for one, starts threads when it is loaded."""
    program = """
import sys, threading, pathlib
from asr_api.audio.decoding.worker.fork_server import worker_main
worker_main.load_everything()
print("numpy" in sys.modules, len(list(pathlib.Path("/proc/self/task").iterdir())))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["False", "1"]


async def test_workers_exit_with_the_server() -> None:
    program = """
import asyncio, time
from asr_api.audio.decoding.decoder import Decoder
async def main():
    await Decoder().start()
    print("started", flush=True)
    time.sleep(60)
asyncio.run(main())
"""
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    assert await server.stdout.readline() == b"started\n"
    processes = psutil.Process(server.pid).children(recursive=True)
    assert len(processes) == 2  # the fork server and the spare worker
    server.kill()
    await server.wait()
    await wait_until(lambda: all(map(has_exited, processes)))
