"""Starts a server for a benchmark, with the settings of the environment, and stops it afterwards."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

import httpx

MAX_LOG_BYTES = 4000


@contextmanager
def started_server(
    settings: Mapping[str, str] | None = None,
    program: Sequence[str] = ("-m", "asr_api"),
    log: BinaryIO | None = None,
) -> Iterator[tuple[str, int]]:
    """Its address and process id; it is stopped at the end, by force if necessary. It answers no repeat from memory.

    settings: beside the environment
    program:  the asr-api command, as arguments of Python
    log:      a file for all of its output; None prints the beginning at the end
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    defaults = {"MODEL_ID": "builtin", "LOG_LEVEL": "warning"}
    fixed = {"HOST": "127.0.0.1", "PORT": str(port), "RESULT_CACHE_S": "0"}
    variables = {**defaults, **os.environ, **fixed, **(settings or {})}
    with ExitStack() as stack:
        output = log or stack.enter_context(tempfile.TemporaryFile())
        line = [sys.executable, *program, "serve"]
        process = subprocess.Popen(  # noqa: S603 – our own program
            line, env=variables, stdout=output, stderr=output, start_new_session=True
        )
        try:
            wait_until_ready(process, f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            for _ in range(2):  # the second signal ends open requests, whose replies are not needed
                process.send_signal(signal.SIGTERM)
                time.sleep(0.5)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if log is None:
                output.seek(0)
                sys.stderr.write(output.read(MAX_LOG_BYTES).decode(errors="replace"))


def wait_until_ready(process: subprocess.Popen[bytes], url: str, timeout_s: float = 300) -> None:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            if httpx.get(f"{url}/hc", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    sys.exit("The server did not start; its log says why.")
