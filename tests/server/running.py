"""Starts the scripted server as a process of its own, as a user would, and ends it."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from asr_api.pcm import SAMPLE_RATE_HZ
from tests.engines.scripted import number_pcm
from tests.process_coverage import ENVIRONMENT

ROOT = Path(__file__).parents[2]


def wav(*numbers: int, word_s: float = 0.5, pause_s: float = 0.5) -> bytes:
    """A WAV file in which the scripted engine hears these numbers."""
    body = io.BytesIO()
    with wave.open(body, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes(number_pcm(numbers, word_s=word_s, pause_s=pause_s).tobytes())
    return body.getvalue()


def command(script: Mapping[str, object], *arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "tests.server.scripted_server", json.dumps(script), *arguments]


def environment(folder: Path, **settings: str) -> dict[str, str]:
    path = str(Path(sys.executable).parent)
    own = {"PATH": path, "HOME": str(folder), "CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    return {**ENVIRONMENT, **own, **settings}


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    log: Path
    port: int

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20, trust_env=False)

    def metric(self, name: str) -> float:
        with self.http() as http:
            found = re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)$", http.get("/metrics").text, re.MULTILINE)
        assert found, name
        return float(found[1])

    def wait_for_metric(self, name: str, value: float, timeout_s: float = 5) -> None:
        deadline = time.monotonic() + timeout_s
        while (now := self.metric(name)) != value:
            assert time.monotonic() < deadline, f"{name} is {now} and not {value}: {self.log.read_text()}"
            time.sleep(0.01)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


@contextmanager
def serving(
    folder: Path, script: Mapping[str, object] | None = None, *, wait: bool = True, **settings: str
) -> Iterator[Server]:
    """wait: until the engine is ready; else only until the port is known."""
    log = folder / "server.log"
    arguments = command(script or {}, "serve", "--port", "0", "--log-level", "debug")
    with log.open("wb") as output:
        variables = environment(folder, **{"HOST": "127.0.0.1", **settings})
        process = subprocess.Popen(arguments, env=variables, stdout=output, stderr=output, cwd=ROOT)
    try:
        server = Server(process, log, int(_wait_for_line(process, log, r"listening on \S+:(\d+)")))
        if wait:
            _wait_for_line(process, log, "(ready) after")
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _wait_for_line(process: subprocess.Popen[bytes], log: Path, pattern: str) -> str:
    deadline = time.monotonic() + 15
    while not (found := re.search(pattern, log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)
    return found[1]
