"""Sandbox of the decoder workers: they open nothing, load no more than they need, and exit with the server."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import psutil
import pytest

from tests.audio.decoding.decode_media import has_exited, wait_until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        ("open('/etc/hostname')", "OSError"),
        ("open('/dev/null', 'w')", "OSError"),
        ("socket.socket(socket.AF_INET, socket.SOCK_STREAM)", "OSError"),
        ("bytearray(2**30)", "MemoryError"),
        ("av.open('/etc/hostname')", "OSError"),
        ("av.open('http://127.0.0.3/x.wav', timeout=1)", "OSError"),
    ],
)
def test_a_sandboxed_worker_opens_nothing(attempt: str, error: str) -> None:
    program = f"""
import socket, av
from asr_api.audio.decoding.worker.main import load_everything
from asr_api.audio.decoding.worker.sandbox import *
load_everything()
limit_bytes = address_space_bytes() + 2**29
confine_process()
confine_worker()
confine_resources(limit_bytes, 9)
try:
    {attempt}
except {error} as caught:
    print("refused", type(caught).__name__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
    assert done.stdout.startswith("refused"), done.stderr


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
