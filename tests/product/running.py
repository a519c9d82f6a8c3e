"""The server as a user starts it: a process of its own on loopback, the built-in model, real files."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"


def sample_texts() -> dict[str, str]:
    """File name → what is said in it."""
    lines = (SAMPLES / "transcripts.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.partition("\t") for line in lines if line and not line.startswith("file\t")]
    return {name: text for name, _, text in rows}


def words(text: str) -> list[str]:
    """Lower-case words without punctuation: what two transcripts must share."""
    return "".join(c.lower() if c.isalnum() or c == "'" else " " for c in text).split()


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def engine(self) -> psutil.Process:
        """The process that owns the model."""
        for child in self.children:
            with contextlib.suppress(psutil.NoSuchProcess):  # a decoder that has just done its work
                if child.name() == "asr-api-engine":
                    return child
        raise AssertionError("the server has no engine process")

    def memory_bytes(self) -> int:
        """Of the server and everything it started; what they share is counted once (PSS)."""
        total = 0
        for process in [psutil.Process(self.process.pid), *self.children]:
            try:
                total += process.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
        return total

    def client(self, timeout_s: float = 60) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=timeout_s, trust_env=False)

    def transcribe(self, audio: bytes, timeout_s: float = 60) -> httpx.Response:
        with self.client(timeout_s) as client:
            return client.post("/asr", content=audio)

    def metric(self, name: str) -> float:
        """Sum over the labels of one metric."""
        with self.client() as client:
            lines = client.get("/metrics").text.splitlines()
        values = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
        found = [float(value) for key, value in values if key.partition("{")[0] == name]
        assert found, f"/metrics shows no {name}"
        return sum(found)

    def wait_until_ready(self, timeout_s: float = 20) -> None:
        with self.client(timeout_s=5) as client:
            deadline = time.monotonic() + timeout_s
            while time.monotonic() < deadline:
                assert self.process.poll() is None, self.log.read_text()
                try:
                    if client.get("/hc").status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.02)
        raise AssertionError(f"not ready after {timeout_s} s: {self.log.read_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_server(folder: Path, **settings: str) -> Iterator[Running]:
    """Starts `asr-api serve` and yields when /hc says 200; ends it with SIGTERM, and by force if that fails."""
    port = free_port()
    log = folder / "server.log"
    environment = {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "MODEL_ID": "builtin",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "CACHE_DIR": str(folder),
        **settings,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "asr_api", "serve"], env=environment, stdout=output, stderr=output
        )
    server = Running(process, f"http://127.0.0.1:{port}", log)
    try:
        server.wait_until_ready()
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
