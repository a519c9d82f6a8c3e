"""Starts `asr-api serve` as a process of its own, with the scripted engine or the built-in model, and ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from asr_api.benchmark.speech import wav_bytes
from tests.engines.scripted import number_pcm
from tests.process_coverage import ENVIRONMENT

ROOT = Path(__file__).parents[2]
START_S = 60  # at most; a busy machine takes a quarter of it for whisper-base


def wav(*numbers: int, word_s: float = 0.5, pause_s: float = 0.5) -> bytes:
    """A WAV file that the scripted engine transcribes as these numbers."""
    return wav_bytes(number_pcm(numbers, word_s=word_s, pause_s=pause_s))


def command(script: Mapping[str, object], *arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "tests.server.scripted_server", json.dumps(script), *arguments]


def environment(folder: Path, **settings: str) -> dict[str, str]:
    path = str(Path(sys.executable).parent)
    own = {
        "PATH": path,
        "HOME": str(folder),
        "CACHE_DIR": str(folder),
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
    }
    return {**ENVIRONMENT, **own, **settings}


def run_command(
    folder: Path, *line: str, given: bytes = b"", cwd: Path = ROOT, **settings: str
) -> subprocess.CompletedProcess[bytes]:
    variables = environment(folder, **settings)
    return subprocess.run(line, check=False, input=given, env=variables, cwd=cwd, capture_output=True)


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    log: Path
    port: int

    def http(self, timeout_s: float = 20) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=timeout_s, trust_env=False)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def transcribe(self, audio: bytes, timeout_s: float = 60) -> httpx.Response:
        with self.http(timeout_s) as http:
            return http.post("/asr", content=audio)

    def metric(self, name: str) -> float:
        """Sum over the labels."""
        with self.http() as http:
            found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", http.get("/metrics").text, re.MULTILINE)
        assert found, name
        return sum(map(float, found))

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
    """script: of the scripted engine, unless MODEL_ID is set; wait: until the engine is ready, not only for the port

    Every request is transcribed, also the same one again, unless `settings` say otherwise.
    """
    log = folder / "server.log"
    program = [sys.executable, "-m", "asr_api"] if "MODEL_ID" in settings else command(script or {})
    arguments = [*program, "serve", "--port", settings.get("PORT", "0"), "--log-level", "debug"]
    with log.open("wb") as output:
        variables = environment(folder, **{"HOST": "127.0.0.1", "RESULT_CACHE_S": "0", **settings})
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
    deadline = time.monotonic() + START_S
    while not (found := re.search(pattern, log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)
    return found[1]
